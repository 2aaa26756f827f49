"""How unlike the training data a study is: fit the patient network's `distance`, and choose where it is too much."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from training.features import FeatureSet
from training.patient_model import COMPONENTS, PatientModel

__all__ = ["choose_distance_threshold", "fit_distance"]

QUANTILE = 0.995
"""Of the studies of known scanners that stay below the threshold."""

MARGIN = 1.15
"""Factor on top, for what a few hundred studies have not shown."""

LEAST_VARIANCE = 0.1
"""Floor of a component's variance, a standardised feature having 1: few studies seem to have no spread at all."""


def fit_distance(model: PatientModel, data: FeatureSet) -> None:
    """Set the buffers of the distance from the studies' mean features (fewer studies than features is fine)."""
    means = _means(data)
    centre, spread = means.mean(axis=0), means.std(axis=0) + 1e-3
    x = (means - centre) / spread
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    kept = min(COMPONENTS, x.shape[1])
    leading = vectors[:, ::-1][:, :kept]
    outside = np.sum(x**2, axis=1) - np.sum((x @ leading) ** 2, axis=1)
    for buffer, value in (
        (model.study_mean, centre),
        (model.study_std, spread),
        (model.components, leading),
        (model.component_std, np.sqrt(np.maximum(values[::-1][:kept], LEAST_VARIANCE))),
        (model.residual, np.maximum(outside.mean(), LEAST_VARIANCE)),
    ):
        buffer.copy_(torch.tensor(np.array(value), dtype=torch.float32))


def choose_distance_threshold(train: FeatureSet, validation: FeatureSet, model: PatientModel) -> float:
    """Return the threshold above which a study counts as unlike the training data.

    A new scanner is farther than a known one, yet must not be refused for that alone. So each training scanner is
    left out in turn, and the threshold lies above the distance of its studies to all the others', too.
    """
    limits = [np.quantile(_distances(model, validation), QUANTILE)]
    scanners = sorted({record.personality for record in train.records})
    other = PatientModel(train.features[0].shape[1])
    for scanner in scanners if len(scanners) > 1 else []:
        held_out = np.asarray([record.personality == scanner for record in train.records])
        fit_distance(other, train.subset(np.flatnonzero(~held_out)))
        limits.append(np.quantile(_distances(other, train.subset(np.flatnonzero(held_out))), QUANTILE))
    return float(max(limits) * MARGIN)


def _means(data: FeatureSet) -> NDArray[np.float64]:
    return np.stack([rows.astype(np.float64).mean(axis=0) for rows in data.features])


def _distances(model: PatientModel, data: FeatureSet) -> NDArray[np.float64]:
    means = torch.as_tensor(_means(data), dtype=torch.float32)[:, None]
    with torch.no_grad():
        return np.asarray(model.distance(means, torch.ones(means.shape[:2])).numpy(), np.float64)
