"""Slices to calibrate on: of every class, scanner and height, from patients that nothing is judged on.

What is refused: slices of the test side, too few of them, and data that is no CT, such as noise. An engine that was
calibrated on noise builds and runs, and is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import ExportError
from edge_app.core.types import CLASSES, FloatArray
from export.golden import GoldenSet
from export.golden_make import choose_studies, scanner_of, unit_inputs
from training.data.prepared import PreparedSet
from training.data.sampling import drawn_order
from training.feature_cache import slice_hashes

__all__ = ["LEAST", "SIDE", "CalibrationSlices", "Chosen", "choose_slices", "refuse_noise"]

SIDE = "train"
LEAST = 128
"""Fewer slices do not fill the tails of the histograms."""

THIRDS = ("low", "middle", "high")
LEAST_LIKENESS = 0.5
"""Correlation of neighbouring pixels in the brain window; noise has none, CT prepared for a network above 0.9."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One slice: the hash of its prepared pixels, and why it was taken."""

    sha: str
    label: str
    scanner: str
    height: str


@dataclass(frozen=True, eq=False, slots=True)
class CalibrationSlices:
    """What to calibrate on (`images` (N, 3, 224, 224), what is known of each), and whole patients to judge on."""

    images: FloatArray
    chosen: tuple[Chosen, ...]
    patients: int
    judged: GoldenSet


def choose_slices(
    sets: Mapping[str, PreparedSet],
    count: int,
    *,
    side: str = SIDE,
    judged_per_class: int = 4,
    golden: GoldenSet | None = None,
    seed: int = 2023,
) -> CalibrationSlices:
    """Choose slices.

    Parameters
    ----------
    sets
        From `training.data.prepared.open_prepared`, which has refused patients that stand on two sides.
    count
        How many.
    side
        Where from.
    judged_per_class
        Patients of each class kept apart, on which layers are left out until the accuracy budget is kept.
    golden
        The golden set, none of whose slices may be calibrated on.

    Raises
    ------
    ExportError
        If the slices would be too few, of the test side, of the golden set, not of every class, or are no CT.
    """
    if side == "test":
        raise ExportError("slices of the test side are asked for", remedy="Calibrate on the training side.")
    data = sets[side]
    labels = data.study_labels()
    judged: list[int] = []
    for label, name in enumerate(CLASSES):
        numbers = np.flatnonzero(labels == label).tolist()
        if (patients := len({data.studies[n].patient_id for n in numbers})) < judged_per_class + 1:
            raise ExportError(
                f"the {side} side has {patients} patients with a {name} study, {judged_per_class + 1} are needed at "
                "least",
                remedy="Prepare more studies, or judge on fewer: --judge N.",
            )
        judged += choose_studies(data, numbers, judged_per_class, seed)
    # All that patients judged on have: they may have come more than once.
    of_judged = {data.studies[number].patient_id for number in judged}
    theirs = [number for number, study in enumerate(data.studies) if study.patient_id in of_judged]
    pool = np.flatnonzero(data.seen & ~np.isin(data.study_of_slice, theirs))
    if min(count, len(pool)) < LEAST:
        raise ExportError(
            f"{min(count, len(pool))} slices are too few to calibrate on, at least {LEAST} are needed",
            remedy="Prepare more studies, or ask for more: --slices N (500 is usual).",
        )
    strata = _strata(data, pool)
    picked = np.asarray(sorted(_in_turn(strata, count, seed)), np.int64)
    chosen = tuple(
        Chosen(sha.hex(), *next(name for name, members in strata.items() if number in members))
        for number, sha in zip(picked.tolist(), slice_hashes(data.inputs(picked)), strict=True)
    )
    if missing := {CLASSES[label] for label in set(data.labels[pool].tolist()) if label >= 0} - {
        c.label for c in chosen
    }:
        raise ExportError(f"no {min(missing)} slice was chosen", remedy="Ask for more: --slices N.")
    images = unit_inputs(data, picked)
    _refuse_judged(images, {c.sha for c in chosen}, sets, golden)
    refuse_noise(images)
    patients = len({data.studies[i].patient_id for i in data.study_of_slice[picked].tolist()})
    return CalibrationSlices(images, chosen, patients, _whole(data, judged))


def refuse_noise(images: FloatArray) -> None:
    """Look whether slices could be prepared CT.

    Raises
    ------
    ExportError
        If they are noise, all of one value, or not in [0, 1].
    """
    if images.min() < 0.0 or images.max() > 1.0 or not np.isfinite(images).all():
        raise ExportError("slices are not in [0, 1]", remedy="Calibrate on slices from `msu data preprocess`.")
    likeness = np.asarray([_likeness(image[0]) for image in images])
    strange = int((likeness < LEAST_LIKENESS).sum())
    if strange > len(images) // 20:
        raise ExportError(
            f"{strange} of {len(images)} slices are noise or empty, no CT",
            remedy="Calibrate on slices from `msu data preprocess`, never on random data.",
        )


def _likeness(image: NDArray[np.float32]) -> float:
    left, right = image[:, :-1].ravel().astype(np.float64), image[:, 1:].ravel().astype(np.float64)
    spread = left.std() * right.std()
    return float(((left - left.mean()) * (right - right.mean())).mean() / spread) if spread > 1e-9 else 0.0


def _strata(data: PreparedSet, pool: NDArray[np.int64]) -> dict[tuple[str, str, str], set[int]]:
    strata: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    lowest = np.full(len(data.studies), np.inf)
    highest = np.full(len(data.studies), -np.inf)
    np.minimum.at(lowest, data.study_of_slice, data.position_mm)
    np.maximum.at(highest, data.study_of_slice, data.position_mm)
    for number in pool.tolist():
        study = int(data.study_of_slice[number])
        span = max(highest[study] - lowest[study], 1e-6)
        third = min(int(3 * (data.position_mm[number] - lowest[study]) / span), 2)
        label = int(data.labels[number])
        name = CLASSES[label if label >= 0 else data.studies[study].label]
        strata[name, scanner_of(data, study), THIRDS[third]].add(number)
    return dict(strata)


def _in_turn(strata: Mapping[tuple[str, str, str], set[int]], count: int, seed: int) -> list[int]:
    """Return slices, strata in turn: rare ones are taken whole, common ones share what is left."""
    turns = [
        (turn, drawn_order("|".join(name), seed), number)
        for name, members in strata.items()
        for turn, number in enumerate(sorted(members, key=lambda n: drawn_order(str(n), seed)))
    ]
    return [number for *_, number in sorted(turns)[:count]]


def _refuse_judged(
    images: FloatArray, shas: set[str], sets: Mapping[str, PreparedSet], golden: GoldenSet | None
) -> None:
    test = sets["test"]
    for first in range(0, len(test), 256):
        part = np.arange(first, min(first + 256, len(test)))
        if shas & {sha.hex() for sha in slice_hashes(test.inputs(part))}:
            raise ExportError("a slice of the test side would be calibrated on", remedy="Split the studies again.")
    if golden is not None and {*slice_hashes(images)} & {*slice_hashes(golden.images)}:
        raise ExportError(
            "a slice of the golden set would be calibrated on",
            remedy="Make the golden set from the validation side: `msu export golden`.",
        )


def _whole(data: PreparedSet, studies: list[int]) -> GoldenSet:
    members = [np.flatnonzero((data.study_of_slice == number) & data.seen)[:80] for number in studies]
    slices = np.concatenate(members)
    return GoldenSet(
        unit_inputs(data, slices),
        np.repeat(np.arange(len(studies)), [len(part) for part in members]),
        data.position_mm[slices].astype(np.float64),
        data.study_labels()[studies],
    )
