"""Judge a patient-level model on studies: what the vehicle would have said, and how sure these numbers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import CLASSES, Verdict
from edge_app.inference.manifest import OperatingPoint
from edge_app.triage.decision import decide
from training.shards import StudyRecord, class_counts

__all__ = ["Thresholds", "evaluate_studies", "verdicts"]

BOOTSTRAP_ROUNDS = 2000
EXPECTED = {0: Verdict.NONE_DETECTED, 1: Verdict.HEMORRHAGE, 2: Verdict.ISCHEMIC}


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
    seed: int = 2023,
) -> dict[str, object]:
    """Return plain JSON types: accuracies, sensitivity and specificity per class, and groups of studies.

    `accuracy` takes the class with the highest probability; `decision_accuracy` takes the vehicle's rule, where
    INDETERMINATE is wrong whatever the truth. Intervals are 95 %, by bootstrap over studies.
    """
    labels = np.asarray([record.label for record in records], np.int64)
    said = verdicts(probabilities, distances, thresholds)
    right = probabilities.argmax(axis=1) == labels
    decided = np.asarray([verdict == EXPECTED[label] for verdict, label in zip(said, labels, strict=True)])
    rng = np.random.default_rng(seed)
    per_class = {}
    for index, name in enumerate(CLASSES):
        flagged = np.asarray([verdict == EXPECTED[index] for verdict in said])
        per_class[name] = {
            "sensitivity": _rate(flagged[labels == index], rng),
            "specificity": _rate(~flagged[labels != index], rng),
        }
    return {
        "n": len(records),
        "studies": class_counts(labels),
        "accuracy": _rate(right, rng),
        "decision_accuracy": _rate(decided, rng),
        "indeterminate": int(sum(verdict == Verdict.INDETERMINATE for verdict in said)),
        "unlike_training": int((distances > thresholds.distance).sum()),
        "per_class": per_class,
        "by_lesion": _groups([r.lesion or "none" for r in records], right, decided),
        "by_scanner": _groups([r.personality for r in records], right, decided),
        "by_volume": _groups([_volume_group(r) for r in records], right, decided),
        "confusion": [
            [int(((labels == truth) & (probabilities.argmax(axis=1) == answer)).sum()) for answer in range(3)]
            for truth in range(3)
        ],
    }


def _rate(hits: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, object]:
    """Return a share with its number of studies and its bootstrap interval."""
    if not len(hits):
        return {"value": None, "n": 0, "ci95": None}
    rounds = rng.binomial(len(hits), hits.mean(), BOOTSTRAP_ROUNDS) / len(hits)  # resampling 0/1 values is binomial
    low, high = np.quantile(rounds, [0.025, 0.975])
    return {
        "value": round(float(hits.mean()), 4),
        "n": len(hits),
        "ci95": [round(float(low), 4), round(float(high), 4)],
    }


def _groups(names: Sequence[str], right: NDArray[np.bool_], decided: NDArray[np.bool_]) -> dict[str, dict[str, object]]:
    groups: dict[str, dict[str, object]] = {}
    for name in sorted(set(names)):
        of = np.asarray([other == name for other in names])
        groups[name] = {
            "n": int(of.sum()),
            "accuracy": round(float(right[of].mean()), 4),
            "decision_accuracy": round(float(decided[of].mean()), 4),
        }
    return groups


def _volume_group(record: StudyRecord) -> str:
    if not record.lesion:
        return "none"
    finding = CLASSES[record.label]
    for limit in (5, 15, 30, 60, 120):
        if record.volume_ml < limit:
            return f"{finding} below {limit} ml"
    return f"{finding} from 120 ml"
