from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.ui.formats import age_years, clean, date_text, elapsed, percent, person_name, when


@pytest.mark.requirement("R26")
@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "<1 %"),
        (0.0099, "<1 %"),
        (0.01, "1 %"),
        (0.871, "87 %"),
        (0.99, "99 %"),
        (0.9901, ">99 %"),
        (1.0, ">99 %"),
    ],
)
def test_scores_are_whole_per_cent_and_clipped(probability: float, shown: str) -> None:
    assert percent(probability).replace("\u00a0", " ") == shown


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_score_that_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        percent(wrong)


@given(st.floats(0, 1))
def test_no_score_has_decimals_or_claims_certainty(probability: float) -> None:
    shown = percent(probability)
    assert "." not in shown and shown.rstrip("\u00a0%") not in ("0", "100")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MUSTERMANN^ERIKA", "MUSTERMANN, ERIKA"),
        ("Doe^Jane^Marie^Dr^", "DOE, JANE MARIE"),
        ("Yamada^Tarou=山田^太郎", "YAMADA, TAROU"),
        ("EMERGENCY", "EMERGENCY"),
        ("^Erika", "ERIKA"),
        ("", ""),
        (None, ""),
    ],
)
def test_names_are_family_comma_given(name: str | None, shown: str) -> None:
    assert person_name(name) == shown


@given(st.text(max_size=200))
def test_cleaned_text_is_short_and_has_no_control_characters(text: str) -> None:
    line = clean(text, 20)
    assert len(line) <= 20
    assert line.isprintable() or any(c.isspace() for c in line)
    assert "\n" not in line


def test_a_long_identifier_keeps_both_ends() -> None:
    assert clean("ABCDEFGHIJKLMNOP", 9) == "ABCD…MNOP"


@pytest.mark.parametrize(
    ("birth", "day", "age", "years"),
    [
        ("19510402", "20260314", "", 74),
        ("19510314", "20260314", "", 75),
        ("", "20260314", "074Y", 74),
        ("", "", "018M", 0),
        ("20300101", "20260314", "", None),
        ("nonsense", "20260314", "??", None),
        (None, None, None, None),
    ],
)
def test_ages(birth: str | None, day: str | None, age: str | None, years: int | None) -> None:
    assert age_years(birth, day, age) == years


@pytest.mark.requirement("R84")
def test_dates_are_unambiguous_in_both_languages() -> None:
    assert date_text("20260314", "en") == "2026-03-14"
    assert date_text("20260314", "de") == "14.03.2026"
    assert date_text("20261399", "en") == ""


def test_date_times_with_and_without_seconds() -> None:
    for digits in ("20260314140219.123456", "20260314140219+0100"):
        assert str(when(digits)) == "2026-03-14 14:02:19"
    assert str(when("202603141402")) == "2026-03-14 14:02:00"
    assert when("20269914140219") is None
    assert when("") is None


def test_spans_change_form_at_one_hour() -> None:
    assert elapsed(-3) == "00:00"
    assert elapsed(432.9) == "07:12"
    assert elapsed(3600 + 64 * 60) == "2:04 h"
