"""Thresholds from a site's own patients: as bold as their number allows, and no bolder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.core.errors import InputError
from edge_app.triage.site_thresholds import MAX_T_LO, MIN_T_HI, SiteThresholds, choose_site_thresholds

BEFORE = (0.1, 0.9)


def chosen(bled: list[float], others: list[float]) -> SiteThresholds:
    return choose_site_thresholds([*bled, *others], [True] * len(bled) + [False] * len(others), BEFORE)


def test_thresholds_lie_where_the_patients_allow_and_say_on_what_evidence() -> None:
    bled = [0.05, *[0.2] * 59]
    others = [*[0.02] * 59, 0.7]
    found = chosen(bled, others)
    # Of 60, one may be on the wrong side: Wilson's interval of 59 of 60 still reaches 0.911.
    assert (found.t_lo, found.t_hi) == (0.2, MIN_T_HI)
    now = found.evidence["now"]
    assert (now["sensitivity"]["hits"], now["specificity"]["hits"]) == (59, 59)
    assert now["sensitivity"]["low"] == pytest.approx(0.911, abs=1e-3)
    assert found.evidence["before"]["sensitivity"]["hits"] == 59 and found.evidence["before"]["t_hi"] == 0.9


def test_easy_patients_make_no_thresholds_that_would_be_reckless_on_the_road() -> None:
    found = chosen([0.99] * 50, [0.01] * 50)
    assert (found.t_lo, found.t_hi) == (MAX_T_LO, MIN_T_HI)


def test_the_upper_threshold_lies_above_a_score_of_four_decimals_too() -> None:
    found = chosen([0.99] * 35, [0.5005] * 35)  # times 10 000 that is a hair less than 5005
    assert found.t_hi == 0.5006 and found.evidence["now"]["specificity"]["hits"] == 35


@pytest.mark.parametrize(("bled", "others", "named"), [(34, 100, "34 patients with"), (100, 12, "12 patients without")])
def test_too_few_patients_are_refused_saying_how_many_are_needed(bled: int, others: int, named: str) -> None:
    with pytest.raises(InputError, match=rf"{named} haemorrhage .* at least 35 are needed"):
        chosen([0.9] * bled, [0.1] * others)


@given(
    bled=st.lists(st.floats(0, 1), min_size=35, max_size=80),
    others=st.lists(st.floats(0, 1), min_size=35, max_size=80),
)
def test_whatever_the_scores_sensitivity_keeps_its_bound_and_the_order_holds(
    bled: list[float], others: list[float]
) -> None:
    found = chosen(bled, others)
    assert 0.0 <= found.t_lo <= MAX_T_LO < MIN_T_HI <= found.t_hi <= 1.0
    assert found.evidence["now"]["sensitivity"]["low"] >= 0.90
    if found.t_hi < 1.0:
        assert found.evidence["now"]["specificity"]["low"] >= 0.90
