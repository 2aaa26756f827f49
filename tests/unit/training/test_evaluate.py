"""Thresholds keep their targets, and INDETERMINATE counts as wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from edge_app.inference.manifest import Calibration, OperatingPoint
from training.calibrate import (
    calibrated,
    choose_operating_point,
    fit_calibration,
    fit_platt,
    fit_temperature,
    forgiving,
    reliability_bins,
)
from training.evaluate import Thresholds, evaluate_studies
from training.targets import Targets

from .conftest import random_study

POINTS = {"hemorrhage": OperatingPoint(t_lo=0.3, t_hi=0.6), "ischemic": OperatingPoint(t_lo=0.3, t_hi=0.6)}


def test_temperature_softens_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    logits = torch.from_numpy(np.eye(3)[labels] * 2.0 + 1.5 * rng.standard_normal((600, 3))) * 5.0
    calibration = fit_calibration(logits, Targets("softmax", labels.astype("f4"), np.ones(600, "f4")))
    assert calibration.temperature is not None and 3.0 < calibration.temperature < 8.0
    assert np.allclose(calibrated(logits, calibration).sum(axis=1), 1.0)


def test_flawless_validation_does_not_make_every_answer_certain() -> None:
    labels = np.arange(90) % 3
    logits = torch.from_numpy(np.eye(3)[labels] * 9.0)
    assert calibrated(logits, Calibration(temperature=fit_temperature(logits, labels))).max() < 0.98
    sure = fit_platt(np.where(labels == 1, 9.0, -9.0), labels == 1)
    assert 0.02 < 1 / (1 + np.exp(-(9.0 * sure.slope + sure.intercept))) < 0.98


@pytest.mark.requirement("R22", "R23")
def test_each_finding_is_calibrated_by_itself_on_the_studies_that_its_source_labels() -> None:
    rng = np.random.default_rng(4)
    true_logit = rng.normal(0, 2, (4000, 2))
    present = rng.random((4000, 2)) < 1 / (1 + np.exp(-true_logit))
    said = np.stack([np.zeros(4000), 3.0 * true_logit[:, 0] + 2.0, 0.5 * true_logit[:, 1] - 1.0], axis=1)
    weight = np.ones((4000, 2), "f4")
    weight[2000:, 1] = 0.0  # of another source, which says nothing of the second finding
    present[2000:, 1] = True
    found = fit_calibration(torch.from_numpy(said), Targets("findings", present.astype("f4"), weight)).findings
    assert found is not None
    assert (found["hemorrhage"].slope, found["hemorrhage"].intercept) == pytest.approx((1 / 3, -2 / 3), abs=0.08)
    assert (found["ischemic"].slope, found["ischemic"].intercept) == pytest.approx((2.0, 2.0), abs=0.3)


def test_a_network_that_knows_nothing_gets_a_slope_that_turns_no_answer_round() -> None:
    logit, present = np.linspace(-3, 3, 60), np.arange(60) < 30
    found = fit_platt(logit, present)
    assert 0 < found.slope <= 0.126


def test_the_lower_threshold_keeps_the_target_sensitivity() -> None:
    rng = np.random.default_rng(1)
    probability = np.concatenate([rng.beta(5, 2, 400), rng.beta(1, 12, 800)])
    present = np.arange(1200) < 400
    point = choose_operating_point(probability, present)
    assert (probability[present] >= point.t_lo).mean() >= 0.98
    assert ((probability >= point.t_lo) & (probability < point.t_hi)).mean() <= 0.051


def test_so_many_studies_as_are_said_let_the_least_certain_one_go_and_one_less_does_not() -> None:
    for sensitivity in (0.9, 0.95, 0.98, 0.99):
        enough = int(forgiving(sensitivity))
        for count, expected in ((enough - 1, 0.01), (enough, 0.2)):
            probability = np.concatenate([[0.01], np.full(count - 1, 0.2), np.full(300, 0.001)])
            point = choose_operating_point(probability, np.arange(count + 300) < count, sensitivity=sensitivity)
            assert point.t_lo == expected, (sensitivity, count)
    assert forgiving(1.0) == np.inf


def test_the_upper_threshold_keeps_the_target_specificity_however_few_studies_there_are() -> None:
    rng = np.random.default_rng(2)
    for count in range(3, 320):
        probability = np.concatenate([np.full(count, 0.999), rng.uniform(0.5, 0.9, count)])
        present = np.arange(2 * count) < count
        point = choose_operating_point(probability, present, max_abstention=1.0)
        assert (probability[~present] < point.t_hi).mean() >= 0.98, count
        highest_kept = np.sort(probability[~present])[-1 - count // 50]
        assert 0 < point.t_hi - highest_kept <= 1e-4, count  # and it lies no higher than it must


def test_the_upper_threshold_lies_above_a_probability_of_four_decimals_too() -> None:
    probability = np.repeat([0.99, 0.5005], 40)  # times 10 000 that is a hair less than 5005
    assert choose_operating_point(probability, probability > 0.9, max_abstention=1.0).t_hi == 0.5006


def test_no_more_studies_than_allowed_lie_between_the_thresholds_as_they_are_rounded() -> None:
    crowd = np.linspace(0.01231, 0.01238, 100)  # below the threshold as it was chosen, not as it is rounded
    probability = np.concatenate([np.full(60, 0.9), [0.01239], crowd, np.full(839, 0.001)])
    point = choose_operating_point(probability, np.arange(1000) < 61, sensitivity=0.99)
    assert point.t_lo == 0.0123
    assert ((probability >= point.t_lo) & (probability < point.t_hi)).mean() <= 0.05


def test_as_many_studies_as_the_share_says_may_lie_between() -> None:
    probability = np.concatenate([np.full(50, 0.9), np.linspace(0.05, 0.3, 29), np.full(21, 0.001)])
    present = np.arange(100) <= 50
    point = choose_operating_point(probability, present, sensitivity=1.0, specificity=1.0, max_abstention=0.29)
    assert point == OperatingPoint(t_lo=0.05, t_hi=0.5)  # though 0.29 times 100 is less than 29


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
    result = evaluate_studies(records, probabilities, distances, Thresholds(POINTS, 2.0))
    assert result["accuracy"]["value"] == 1.0
    assert result["decision_accuracy"]["value"] == round(4 / 6, 4)
    assert result["indeterminate"] == 2
    assert result["unlike_training"] == 1
    assert result["per_class"]["ischemic"]["sensitivity"] == {"value": 1.0, "n": 2, "ci95": [1.0, 1.0]}


def judged(count: int = 30, **changes: object) -> dict[str, Any]:
    records = [replace(random_study(i, i % 3).record, **changes) for i in range(count)]
    rng = np.random.default_rng(4)
    probabilities = rng.dirichlet((1, 1, 1), count) * 0.5 + 0.5 * np.eye(3)[np.arange(count) % 3]
    patients = [f"p{i // 2}" for i in range(count)]
    sources = ["rsna" if i % 3 < 2 else "aisd" for i in range(count)]
    return evaluate_studies(
        records, probabilities, np.ones(count), Thresholds(POINTS, 2.0), patients=patients, sources=sources
    )


@pytest.mark.requirement("R25")
def test_sensitivity_is_told_with_and_without_what_was_left_open() -> None:
    rates = judged()["per_class"]["hemorrhage"]
    strict = rates["sensitivity"]["value"]
    assert strict <= rates["sensitivity_without_indeterminate"]["value"]
    assert strict <= rates["sensitivity_indeterminate_as_detected"]["value"]
    assert rates["specificity_indeterminate_as_detected"]["value"] < rates["specificity"]["value"]
    assert set(rates) >= {"f1", "auc", "specificity", "highest_class"}


@pytest.mark.requirement("R24")
def test_a_patient_of_whom_one_study_was_missed_is_a_missed_patient() -> None:
    records = [random_study(i, 1).record for i in range(6)]
    probabilities = np.tile([0.1, 0.8, 0.1], (6, 1))
    probabilities[1], probabilities[3] = (0.9, 0.05, 0.05), (0.5, 0.45, 0.05)  # missed, left open
    result = evaluate_studies(
        records, probabilities, np.ones(6), Thresholds(POINTS, 2.0), patients=["a", "a", "b", "b", "c", "c"]
    )
    found = result["per_class"]["hemorrhage"]
    assert found["patients"] == {"n": 3, "missed": 1}
    assert found["sensitivity_indeterminate_as_detected"]["value"] == round(5 / 6, 4)


def test_every_source_has_its_own_rates_and_confusion() -> None:
    result = judged()
    assert result["patients"] == 15
    assert result["by_source"]["aisd"]["studies"] == {"negative": 0, "hemorrhage": 0, "ischemic": 10}
    assert sum(map(sum, result["by_source"]["rsna"]["confusion"])) == 20
    assert sum(map(sum, result["verdicts"])) == 30
    assert result["by_source"]["aisd"]["per_class"]["hemorrhage"]["sensitivity"]["value"] is None


def test_groups_stand_in_the_order_of_their_sizes() -> None:
    volumes = (3.0, 10.0, 20.0, 50.0, 100.0, 500.0)
    records = [replace(random_study(i, 1).record, volume_ml=volume) for i, volume in enumerate(volumes)]
    certain = np.tile([0.1, 0.8, 0.1], (len(records), 1))
    result = evaluate_studies(records, certain, np.ones(len(records)), Thresholds(POINTS, 2.0))
    limits = ["below 5 ml", "below 15 ml", "below 30 ml", "below 60 ml", "below 120 ml", "from 120 ml"]
    assert list(result["by_volume"]) == [f"hemorrhage {limit}" for limit in limits]


def test_a_study_with_two_kinds_of_blood_counts_for_both() -> None:
    groups = judged(lesion="subdural+epidural")["by_lesion"]
    assert groups["subdural"]["n"] == groups["epidural"]["n"] == 30


def test_a_lesion_of_unknown_volume_is_no_large_one_and_is_told_by_its_extent() -> None:
    result = judged(volume_ml=float("nan"))
    assert {name for name in result["by_volume"] if "hemorrhage" in name} == {"hemorrhage, volume not known"}
    assert result["by_extent"]["hemorrhage through less than 30 mm"]["n"] == 10
