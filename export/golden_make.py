"""Choose a golden set from prepared studies: whole patients of every class, scanners in turn."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import ExportError
from edge_app.core.types import CLASSES, FloatArray
from export.golden import GoldenSet
from training.data.prepared import PreparedSet
from training.data.sampling import drawn_order

__all__ = ["choose_studies", "make_golden", "scanner_of", "unit_inputs"]

SIDE = "validation"
"""Networks chose nothing but their stopping point on it, calibration sees the training side, and the test side stays
closed."""


def make_golden(data: PreparedSet, *, per_class: int, seed: int = 2023, max_slices: int = 80) -> GoldenSet:
    """Return a golden set of prepared studies.

    Parameters
    ----------
    data
        The validation side.
    per_class
        Patients of each class.
    max_slices
        A study with more is left out rather than thinned.

    Raises
    ------
    ExportError
        If a class has too few patients.
    """
    members = [np.flatnonzero((data.study_of_slice == number) & data.seen) for number in range(len(data.studies))]
    usable = [number for number, slices in enumerate(members) if 0 < len(slices) <= max_slices]
    chosen: list[int] = []
    for label, name in enumerate(CLASSES):
        numbers = choose_studies(data, [n for n in usable if data.studies[n].label == label], per_class, seed)
        if len(numbers) < per_class:
            raise ExportError(
                f"the {SIDE} side has {len(numbers)} patients with a usable {name} study, {per_class} are asked for",
                remedy="Ask for fewer, or split with a larger validation side.",
            )
        chosen += numbers
    slices = np.concatenate([members[number] for number in chosen])
    return GoldenSet(
        unit_inputs(data, slices),
        np.repeat(np.arange(len(chosen)), [len(members[number]) for number in chosen]),
        data.position_mm[slices].astype(np.float64),
        data.study_labels()[chosen],
    )


def choose_studies(data: PreparedSet, numbers: list[int], count: int, seed: int) -> list[int]:
    """Return at most `count` studies, one a patient, scanners in turn, drawn by the seed within each."""
    queues: defaultdict[str, list[int]] = defaultdict(list)
    known: set[str] = set()
    for number in sorted(numbers, key=lambda n: drawn_order(data.studies[n].key, seed)):
        if (patient := data.studies[number].patient_id) not in known:
            known.add(patient)
            queues[scanner_of(data, number)].append(number)
    turns = [(turn, drawn_order(name, seed), number) for name, own in queues.items() for turn, number in enumerate(own)]
    return [number for *_, number in sorted(turns)[:count]]


def scanner_of(data: PreparedSet, study: int) -> str:
    """Return what scanner and kernel made a study."""
    known = data.studies[study]
    return " ".join((known.source, known.manufacturer, known.model, known.kernel)).strip()


def unit_inputs(data: PreparedSet, slices: NDArray[np.int64]) -> FloatArray:
    """Return (n, 3, 224, 224) float32 in [0, 1], as the vehicle feeds them to the network."""
    stored = data.inputs(slices)
    unit = stored.astype(np.float32)
    return np.ascontiguousarray(unit / 255.0 if stored.dtype == np.uint8 else unit, np.float32)
