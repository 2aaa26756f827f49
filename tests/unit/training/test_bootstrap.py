"""Rates are plain shares; their intervals come from patients, not from studies."""

from __future__ import annotations

import numpy as np
import pytest

from training.bootstrap import PatientBootstrap, roc_auc


def test_rates_are_what_counting_gives() -> None:
    bootstrap = PatientBootstrap([str(i) for i in range(8)])
    true = np.asarray([1, 1, 1, 1, 0, 0, 0, 0], bool)
    said = np.asarray([1, 1, 1, 0, 1, 0, 0, 0], bool)
    assert bootstrap.rate(said, true)["value"] == 0.75
    assert bootstrap.rate(said, true)["n"] == 4
    assert bootstrap.f1(said, true)["value"] == 0.75
    assert bootstrap.balanced_accuracy(said, true)["value"] == 0.75
    assert bootstrap.rate(said, np.zeros(8, bool)) == {"value": None, "n": 0, "ci95": None}


def test_auc_counts_pairs_and_half_of_ties() -> None:
    rng = np.random.default_rng(3)
    score, true = rng.integers(0, 5, 40) / 4, rng.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[true] for b in score[~true]]
    assert roc_auc(score, true) == pytest.approx(np.mean(pairs))
    bootstrap = PatientBootstrap([str(i) for i in range(40)])
    measured = bootstrap.auc(score, true)
    assert measured["value"] == pytest.approx(np.mean(pairs), abs=1e-4)
    assert measured["ci95"][0] < measured["value"] < measured["ci95"][1]
    assert bootstrap.auc(score, np.ones(40, bool))["value"] is None


@pytest.mark.requirement("R89")
def test_ten_studies_of_one_patient_are_no_more_evidence_than_one() -> None:
    hit = np.repeat(np.arange(20) % 2 == 0, 10)
    alone = PatientBootstrap([str(i) for i in range(200)]).rate(hit)["ci95"]
    grouped = PatientBootstrap([str(i // 10) for i in range(200)]).rate(hit)["ci95"]
    assert grouped[1] - grouped[0] > 2.5 * (alone[1] - alone[0])
    assert alone == pytest.approx([0.43, 0.57], abs=0.02)  # the normal approximation of 100 in 200
