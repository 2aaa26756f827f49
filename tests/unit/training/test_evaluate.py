"""Thresholds keep their targets, and INDETERMINATE counts as wrong."""

from __future__ import annotations

import numpy as np
import torch

from edge_app.inference.manifest import OperatingPoint
from training.calibrate import calibrated, choose_operating_point, fit_temperature, reliability_bins
from training.evaluate import Thresholds, evaluate_studies

from .conftest import random_study

POINTS = {"hemorrhage": OperatingPoint(t_lo=0.3, t_hi=0.6), "ischemic": OperatingPoint(t_lo=0.3, t_hi=0.6)}


def test_temperature_softens_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    logits = torch.from_numpy(np.eye(3)[labels] * 2.0 + 1.5 * rng.standard_normal((600, 3))) * 5.0
    temperature = fit_temperature(logits, labels)
    assert 3.0 < temperature < 8.0
    assert np.allclose(calibrated(logits, temperature).sum(axis=1), 1.0)


def test_flawless_validation_does_not_make_every_answer_certain() -> None:
    labels = np.arange(90) % 3
    logits = torch.from_numpy(np.eye(3)[labels] * 9.0)
    assert calibrated(logits, fit_temperature(logits, labels)).max() < 0.98


def test_the_lower_threshold_keeps_the_target_sensitivity() -> None:
    rng = np.random.default_rng(1)
    probability = np.concatenate([rng.beta(5, 2, 400), rng.beta(1, 12, 800)])
    present = np.arange(1200) < 400
    point = choose_operating_point(probability, present)
    assert (probability[present] >= point.t_lo).mean() >= 0.98
    assert ((probability >= point.t_lo) & (probability < point.t_hi)).mean() <= 0.051


def test_thresholds_stay_sober_where_validation_is_easy() -> None:
    probability = np.concatenate([np.full(50, 0.999), np.full(100, 0.001)])
    point = choose_operating_point(probability, np.arange(150) < 50)
    assert point == OperatingPoint(t_lo=0.35, t_hi=0.5)


def test_every_study_lies_in_one_reliability_bin() -> None:
    probability = np.asarray([0.0, 0.05, 0.1, 0.95, 1.0])
    bins = reliability_bins(probability, np.asarray([False, False, True, True, True]))
    assert [b.n for b in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert sum(b.positives for b in bins) == 3


def test_indeterminate_counts_as_wrong_and_unlike_studies_are_indeterminate() -> None:
    records = [random_study(i, i % 3).record for i in range(6)]
    probabilities = np.asarray(
        [[0.9, 0.05, 0.05], [0.1, 0.85, 0.05], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05], [0.3, 0.5, 0.2], [0.1, 0.1, 0.8]]
    )
    distances = np.asarray([1.0, 1.0, 1.0, 9.0, 1.0, 1.0])
    result = evaluate_studies(records, probabilities, distances, Thresholds(POINTS, 2.0))  # type: ignore[arg-type]
    assert result["accuracy"]["value"] == 1.0  # type: ignore[index]
    assert result["decision_accuracy"]["value"] == round(4 / 6, 4)  # type: ignore[index]
    assert result["indeterminate"] == 2
    assert result["unlike_training"] == 1
    assert result["per_class"]["ischemic"]["sensitivity"] == {"value": 1.0, "n": 2, "ci95": [1.0, 1.0]}  # type: ignore[index]
