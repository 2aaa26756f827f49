"""Calibration is measured as the books define it, before and after; thresholds do what was asked of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_app.inference.manifest import Calibration
from training.bootstrap import PatientBootstrap
from training.operating import exact_lower_bound, operating_table, release_gates
from training.reliability import calibration_error, calibration_slope, judge_calibration


def test_the_error_is_the_weighted_distance_of_said_and_seen() -> None:
    probability = np.asarray([0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    hit = np.asarray([False, False, False, True, True, True])
    assert calibration_error(probability, hit) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)


@pytest.mark.requirement("R23")
def test_temperature_mends_certainty_and_the_report_shows_both() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    logits = torch.from_numpy(4.0 * (np.eye(3)[labels] + 0.9 * rng.standard_normal((600, 3))))
    bootstrap = PatientBootstrap([str(i) for i in range(600)], rounds=50)
    judged = judge_calibration(logits, labels, Calibration(temperature=3.5), bootstrap)
    assert (judged["before"]["fitted"], judged["after"]["fitted"]) == ({"temperature": 1.0}, {"temperature": 3.5})
    before, after = judged["before"]["hemorrhage"], judged["after"]["hemorrhage"]
    assert after["ece"]["value"] < before["ece"]["value"]
    assert before["slope"] < 0.6 < after["slope"]
    assert sum(b["n"] for b in after["reliability"]) == after["ece"]["n"] == 600


def test_the_slope_is_one_where_probabilities_are_true_and_none_where_it_has_no_value() -> None:
    rng = np.random.default_rng(1)
    probability = rng.uniform(0.02, 0.98, 20_000)
    hit = rng.random(20_000) < probability
    assert calibration_slope(probability, hit) == pytest.approx(1.0, abs=0.05)
    assert calibration_slope(np.asarray([0.1, 0.2, 0.8, 0.9]), np.asarray([False, False, True, True])) is None
    assert calibration_slope(probability, np.ones(20_000, bool)) is None


def test_the_table_keeps_each_sensitivity_where_it_was_chosen() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(300) % 3
    probabilities = rng.dirichlet((1, 1, 1), 300) * 0.6 + 0.4 * np.eye(3)[labels]
    both = (probabilities, labels)
    for row in operating_table(both, both, PatientBootstrap([str(i) for i in range(300)], rounds=50)):
        assert row["sensitivity"]["value"] >= row["target_sensitivity"]
        index = ("hemorrhage", "ischemic").index(row["finding"]) + 1
        told = (probabilities[labels == index, index] >= row["threshold"]).mean()
        assert row["sensitivity"]["value"] == pytest.approx(told, abs=1e-4), "by the threshold that is told"


def gates(specificity: float = 1.0, slope: float | None = 1.0) -> dict[str, bool]:
    """Return the gates of a flawless model, but for what is given, on too few studies."""
    perfect, none = ({"value": value, "n": n, "ci95": [value, value]} for value, n in ((1.0, 20), (0.0, 60)))
    rates = {
        "patients": {"n": 20, "missed": 0},
        "specificity_indeterminate_as_detected": {**perfect, "value": specificity},
    }
    calibration = {"after": {name: {"ece": none, "slope": slope} for name in ("hemorrhage", "ischemic")}}
    judged = {"per_class": {"hemorrhage": rates}, "abstention": none}
    return {gate["asked"]: gate["met"] for gate in release_gates(judged, calibration)}


@pytest.mark.requirement("R24")
def test_what_counts_as_found_counts_as_a_false_alarm_too() -> None:
    asked = [name for name in gates() if "haemorrhage: specificity" in name]
    assert len(asked) == 1 and gates()[asked[0]] and not gates(specificity=0.79)[asked[0]]


@pytest.mark.requirement("R23")
def test_a_slope_that_cannot_be_measured_opens_no_gate() -> None:
    asked = [name for name in gates() if "slope" in name]
    assert len(asked) == 2 and all(gates()[name] for name in asked)
    assert [gates(slope=None)[name] for name in asked] == [False, False]


@pytest.mark.requirement("R24")
def test_a_perfect_test_of_too_few_haemorrhages_does_not_open_the_gate() -> None:
    assert exact_lower_bound(0, 10) == 0.0
    assert exact_lower_bound(202, 202) == pytest.approx(0.9819, abs=1e-3)
    assert exact_lower_bound(198, 202) >= 0.95 > exact_lower_bound(197, 202)  # at most 4 of 202 missed
    met = gates()
    assert met["at least 202 patients with haemorrhage"] is False
    assert [asked for asked, passed in met.items() if "lower exact" in asked and not passed]
    assert sum(met.values()) == len(met) - 2
