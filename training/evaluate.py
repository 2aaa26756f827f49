"""Judge a patient-level model on studies: what the vehicle would have said, and how sure these numbers are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import CLASSES, Verdict
from edge_app.inference.manifest import OperatingPoint
from edge_app.triage.decision import decide
from training.bootstrap import PatientBootstrap
from training.shards import StudyRecord, class_counts

__all__ = ["Thresholds", "evaluate_studies", "verdicts"]

EXPECTED = {0: Verdict.NONE_DETECTED, 1: Verdict.HEMORRHAGE, 2: Verdict.ISCHEMIC}

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """All that turns probabilities into a verdict."""

    operating_points: Mapping[Literal["hemorrhage", "ischemic"], OperatingPoint]
    distance: float


def verdicts(
    probabilities: NDArray[np.float64], distances: NDArray[np.float64], thresholds: Thresholds
) -> list[Verdict]:
    """Return what the vehicle's own decision rule says of each study."""
    return [
        decide(
            dict(zip(CLASSES, map(float, row), strict=True)),
            thresholds.operating_points,
            distance=float(distance),
            distance_threshold=thresholds.distance,
            ischaemia_output="on",
        ).verdict
        for row, distance in zip(probabilities, distances, strict=True)
    ]


def evaluate_studies(
    records: Sequence[StudyRecord],
    probabilities: NDArray[np.float64],
    distances: NDArray[np.float64],
    thresholds: Thresholds,
    *,
    patients: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    seed: int = 2023,
) -> dict[str, Any]:
    """Return plain JSON types: accuracies, rates of each class, of each source, and of groups of studies.

    `accuracy` and `confusion` take the class with the highest probability; `decision_accuracy`, `verdicts` and the
    sensitivities and specificities the vehicle's rule, where INDETERMINATE is wrong whatever the truth. Intervals are
    95 %, by bootstrap over patients.

    Parameters
    ----------
    records, probabilities, distances
        Of each study; probabilities are calibrated, (studies, 3).
    thresholds
        Chosen on other studies.
    patients, sources
        Of each study; each is its own patient, and no table of sources is made, unless told otherwise.
    """
    labels = np.asarray([record.label for record in records], np.int64)
    said = verdicts(probabilities, distances, thresholds)
    of_whom = np.asarray(patients or [str(i) for i in range(len(records))], dtype=object)
    everyone = np.ones(len(records), bool)
    judged = _Judged(labels, probabilities, said, of_whom, PatientBootstrap(of_whom.tolist(), seed=seed))
    result = {
        "n": len(records),
        "patients": len(set(of_whom)),
        "unlike_training": int((distances > thresholds.distance).sum()),
        **judged.among(everyone),
        "by_lesion": _groups(judged, [_kinds(record) or ("none",) for record in records]),
        "by_scanner": _groups(judged, [(record.personality,) for record in records]),
        "by_volume": _groups(judged, [(_volume_group(record),) for record in records]),
        "by_extent": _groups(judged, [(_extent_group(record),) for record in records]),
    }
    if sources is not None:
        of = np.asarray(sources)
        result["by_source"] = {name: judged.among(of == name) for name in sorted(set(sources))}
    return result


@dataclass(frozen=True, eq=False, slots=True)
class _Judged:
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    said: list[Verdict]
    patients: NDArray[np.object_]
    bootstrap: PatientBootstrap

    def decided(self) -> Flags:
        return np.asarray([v == EXPECTED[label] for v, label in zip(self.said, self.labels, strict=True)], bool)

    def unsure(self) -> Flags:
        return np.asarray([verdict == Verdict.INDETERMINATE for verdict in self.said], bool)

    def among(self, members: Flags) -> dict[str, Any]:
        """Return all rates of some studies."""
        labels, unsure, rate = self.labels, self.unsure(), self.bootstrap.rate
        likeliest = self.probabilities.argmax(axis=1)
        order = [*EXPECTED.values(), Verdict.INDETERMINATE]
        return {
            "n": int(members.sum()),
            "studies": class_counts(labels[members]),
            "accuracy": rate(likeliest == labels, members),
            "decision_accuracy": rate(self.decided(), members),
            "indeterminate": int((unsure & members).sum()),
            "abstention": rate(unsure, members),
            "per_class": {name: self._class(index, members) for index, name in enumerate(CLASSES)},
            "confusion": [
                [int((members & (labels == truth) & (likeliest == answer)).sum()) for answer in range(len(CLASSES))]
                for truth in range(len(CLASSES))
            ],
            "verdicts": [
                [sum(v == answer for v, of in zip(self.said, members & (labels == truth), strict=True) if of)
                 for answer in order]
                for truth in range(len(CLASSES))
            ],
        }  # fmt: skip

    def _class(self, index: int, members: Flags) -> dict[str, Any]:
        true, unsure = self.labels == index, self.unsure()
        flagged = np.asarray([verdict == EXPECTED[index] for verdict in self.said], bool)
        likeliest = self.probabilities.argmax(axis=1) == index
        rate = self.bootstrap.rate
        return {
            "sensitivity": rate(flagged, members & true),
            "specificity": rate(~flagged, members & ~true),
            # R25: INDETERMINATE is treated like a positive on the road, so both are told both ways.
            "sensitivity_indeterminate_as_detected": rate(flagged | unsure, members & true),
            "specificity_indeterminate_as_detected": rate(~(flagged | unsure), members & ~true),
            "sensitivity_without_indeterminate": rate(flagged, members & true & ~unsure),
            "patients": {
                "n": len(set(self.patients[members & true])),
                "missed": len(set(self.patients[members & true & ~flagged & ~unsure])),
            },
            "f1": self.bootstrap.f1(likeliest & members, true & members),
            "auc": self._auc(index, members),
            "highest_class": {
                "sensitivity": rate(likeliest, members & true),
                "specificity": rate(~likeliest, members & ~true),
            },
        }

    def _auc(self, index: int, members: Flags) -> dict[str, Any]:
        return self.bootstrap.among(members).auc(self.probabilities[members, index], self.labels[members] == index)


def _groups(judged: _Judged, names: Sequence[Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Return rates of groups of studies; a study may be in several."""
    right = judged.probabilities.argmax(axis=1) == judged.labels
    decided, unsure = judged.decided(), judged.unsure()
    groups: dict[str, dict[str, Any]] = {}
    for name in sorted({name for each in names for name in each}, key=_by_number):
        of = np.asarray([name in each for each in names], bool)
        decision = judged.bootstrap.rate(decided, of)
        groups[name] = {
            "n": int(of.sum()),
            "accuracy": round(float(right[of].mean()), 4),
            "decision_accuracy": decision["value"],
            "ci95": decision["ci95"],
            "right_or_indeterminate": judged.bootstrap.rate(decided | unsure, of),
        }
    return groups


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return what sorts "below 5 ml" before "below 15 ml"."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _kinds(record: StudyRecord) -> tuple[str, ...]:
    return tuple(record.lesion.split("+")) if record.lesion else ()


def _volume_group(record: StudyRecord) -> str:
    if not record.lesion:
        return "none"
    finding = CLASSES[record.label]
    if not np.isfinite(record.volume_ml):
        return f"{finding}, volume not known"
    for limit in (5, 15, 30, 60, 120):
        if record.volume_ml < limit:
            return f"{finding} below {limit} ml"
    return f"{finding} from 120 ml"


def _extent_group(record: StudyRecord) -> str:
    """Return how high the lesion reaches through the stack: the only size there is where no mask was drawn."""
    places = np.asarray(record.positions_mm)[np.asarray(record.slice_labels) > 0]
    if not record.lesion:
        return "none"
    finding = CLASSES[record.label]
    if not len(places):
        return f"{finding}, slices not labelled"
    steps = np.diff(np.sort(record.positions_mm))
    extent_mm = float(places.max() - places.min()) + (float(np.median(steps)) if len(steps) else 0.0)
    for limit in (15, 30, 60):
        if extent_mm < limit:
            return f"{finding} through less than {limit} mm"
    return f"{finding} through 60 mm or more"
