"""What the networks answer where they should not know: without a brain to look at, and within one source.

- *Brain masked out*: the whole model judges studies without their brains (SCREEN.md M2). More right answers than chance
  gives must come from scalp, skull, noise or slice distance: from a shortcut.
- *Within one source*: slices with a lesion against slices without, of the same patients and at the same heights, so
  that neither scanner nor height can help (M3); and how often lesion-free slices are called ischemic (M4).

Slice figures explain; they never headline (R89).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge_app.core.types import CLASSES
from training.bootstrap import PatientBootstrap
from training.brain_mask import without_brain
from training.data.prepared import PreparedSet
from training.feature_cache import FeatureCache, study_features
from training.features import FeatureSet
from training.train_patient import predict_patients

__all__ = ["SHORTCUT_MARGIN", "answers_without_brain", "contrast_within_sources"]

SHORTCUT_MARGIN = 0.1
"""Balanced accuracy above chance that says shortcut."""

MAX_STUDIES = 150
_SLICE_ROUNDS = 500
_FEWEST_SLICES = 5


class _Brainless(PreparedSet):
    """The same studies with their brains masked out."""

    def inputs(self, slices: NDArray[np.int64]) -> NDArray[Any]:
        return without_brain(PreparedSet.inputs(self, slices))


def answers_without_brain(
    cache: FeatureCache, model: nn.Module, data: PreparedSet, *, seed: int = 2023
) -> dict[str, Any]:
    """Return the balanced accuracy of the whole model on studies whose brains are masked out, and what chance gives."""
    labels = data.study_labels()
    drawn = np.random.default_rng(seed).permutation(len(labels))[:MAX_STUDIES]
    some = data.subset_of_studies(np.sort(drawn).tolist())
    blank = _Brainless(**{field.name: getattr(some, field.name) for field in fields(PreparedSet)})
    logits, _ = predict_patients(model, study_features(cache, blank, title="brain masked out"))  # type: ignore[arg-type]
    bootstrap = PatientBootstrap([f"{s.source}|{s.patient_id}" for s in some.studies], seed=seed)
    accuracy = bootstrap.balanced_accuracy(logits.numpy().argmax(axis=1), some.study_labels())
    chance = 1.0 / max(1, len(set(some.study_labels().tolist())))
    return {
        "balanced_accuracy": accuracy,
        "chance": round(chance, 4),
        "shortcut": accuracy["value"] is not None and accuracy["value"] > chance + SHORTCUT_MARGIN,
    }


def contrast_within_sources(features: FeatureSet, data: PreparedSet, *, seed: int = 2023) -> list[dict[str, Any]]:
    """Return, for each source and finding that has lesion slices, how well the image network parts them from others."""
    rows = []
    for source in sorted({study.source for study in data.studies}):
        for index, finding in enumerate(CLASSES[1:], start=1):
            row = _contrast(features, data, source, index, seed)
            if row is not None:
                rows.append({"source": source, "finding": finding, **row})
    return rows


def _contrast(features: FeatureSet, data: PreparedSet, source: str, finding: int, seed: int) -> dict[str, Any] | None:
    score, label, height, patient = [], [], [], []
    for record, rows, study in zip(features.records, features.features, data.studies, strict=True):
        if study.source == source and study.label == finding:
            score.append(rows[:, -len(CLASSES) + finding] - rows[:, -len(CLASSES)])
            label.append(np.asarray(record.slice_labels))
            height.append(np.linspace(0, 1, len(rows)))
            patient += [study.patient_id] * len(rows)
    if not score:
        return None
    scores, labels, heights = np.concatenate(score), np.concatenate(label), np.concatenate(height)
    lesion, free = np.flatnonzero(labels == finding), np.flatnonzero(labels == 0)
    if min(len(lesion), len(free)) < _FEWEST_SLICES:
        return None
    # Each lesion slice with the lesion-free one nearest to its height: lesions lie where brains are large.
    order = free[np.argsort(heights[free], kind="stable")]
    places = np.searchsorted(heights[order], heights[lesion])
    below, above = (order[np.clip(at, 0, len(order) - 1)] for at in (places - 1, places))
    is_lower = np.abs(heights[below] - heights[lesion]) < np.abs(heights[above] - heights[lesion])
    chosen = np.concatenate([lesion, np.where(is_lower, below, above)])
    bootstrap = PatientBootstrap([patient[i] for i in chosen], rounds=_SLICE_ROUNDS, seed=seed)
    everyone = PatientBootstrap([patient[i] for i in free], rounds=_SLICE_ROUNDS, seed=seed)
    return {
        "lesion_slices": len(lesion),
        "lesion_free_slices": len(free),
        "patients": len(set(patient)),
        "slice_auc": bootstrap.auc(scores[chosen].astype(np.float64), np.repeat([True, False], len(lesion))),
        "called_on_lesion_free": everyone.rate(scores[free] > 0),
    }
