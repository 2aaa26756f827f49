from __future__ import annotations

import pytest

from edge_app.core.types import Verdict
from edge_app.triage.performance import Case, Week, performance, score_drift, weekly


def case(verdict: Verdict | None, truth: bool | None, scanner: str = "A") -> Case:
    return Case(scanner, verdict, 0.5, truth)


def test_rates_come_with_wilson_s_interval() -> None:
    cases = [case(Verdict.HEMORRHAGE, True)] * 9 + [case(Verdict.NONE_DETECTED, True)]
    rate = performance(cases)[0].sensitivity
    assert (rate.hits, rate.n, rate.value) == (9, 10, 0.9)
    # Wilson 95 % interval of 9 of 10: 0.596 to 0.982.
    assert rate.low == pytest.approx(0.596, abs=1e-3)
    assert rate.high == pytest.approx(0.982, abs=1e-3)


def test_an_abstention_counts_as_detected_and_apart() -> None:
    (everything, _) = performance([case(Verdict.INDETERMINATE, True), case(Verdict.INDETERMINATE, False)])
    assert everything.abstained == 2
    assert (everything.sensitivity.hits, everything.specificity.hits) == (1, 0)
    assert everything.disagreements == 0


def test_studies_without_result_or_outcome_are_counted_and_not_judged() -> None:
    (everything, _) = performance([case(None, True), case(Verdict.HEMORRHAGE, None)])
    assert (everything.studies, everything.no_result) == (2, 1)
    assert everything.sensitivity.n == everything.specificity.n == 0
    assert everything.sensitivity.value is None


@pytest.mark.requirement("R90")
def test_each_scanner_has_its_own_figures() -> None:
    groups = performance([case(Verdict.HEMORRHAGE, False, "B"), case(Verdict.ISCHEMIC, False, "A")])
    assert [group.scanner for group in groups] == ["all", "A", "B"]
    assert [group.disagreements for group in groups] == [1, 0, 1]


@pytest.mark.requirement("R90")
def test_drift_is_nothing_for_alike_scores_and_large_for_others() -> None:
    alike = [n / 40 for n in range(40)]
    assert score_drift(alike, alike) == pytest.approx(0.0)
    drift = score_drift(alike, [0.95] * 40)
    assert drift is not None
    assert drift > 0.2
    assert score_drift(alike, [0.5] * 19) is None


@pytest.mark.requirement("R90")
def test_each_week_has_its_counts_and_times() -> None:
    cases = [
        Case("A", Verdict.INDETERMINATE, 0.5, None, week="2026-W02", waited_ms=900.0),
        Case("A", Verdict.HEMORRHAGE, 0.9, None, week="2026-W02", disagreed=True, waited_ms=1500.0),
        Case("B", None, None, None, week="2026-W01"),
    ]
    assert weekly(cases) == [
        Week("2026-W01", 1, 1, 0, 0, None, None),
        Week("2026-W02", 2, 0, 1, 1, 1200.0, 1500.0),
    ]
