"""What taps do, without a display: R34 to R36, R55, R59, R70, R77, R81."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.types import Verdict
from edge_app.ui.desk import CASE_ACTIVE_S, CLEAN_S, Desk, Sheet, Step, desk_from, tap, tick
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from tests.unit.ui.views import MOMENT, NOW_S, entry, finished

SITE = ScreenSettings(pin="4711", centre="CSC A")
CASE = finished(Verdict.HEMORRHAGE)
NURSE = Desk(role="nurse")


def press(desk: Desk, *actions: str, study: StudyView | None = CASE, site: ScreenSettings = SITE) -> Step:
    """Tap one after the other; the entries of all of them."""
    entries: tuple = ()
    for action in actions:
        step = tap(desk, action, study, MOMENT, site)
        desk, entries = step.desk, (*entries, *step.entries)
    return Step(desk, entries, step.save_card)


def later(seconds: float) -> Moment:
    return Moment(NOW_S + seconds, MOMENT.local + timedelta(seconds=seconds))


@pytest.mark.requirement("R36")
def test_an_opinion_is_one_tap_and_kept_with_role_and_revision() -> None:
    (kept,) = press(NURSE, "opinion:disagree").entries
    assert (kept.study_uid, kept.kind) == (CASE.study_uid, "opinion")
    assert kept.body == {"opinion": "disagree", "by": "nurse", "revision": 1}


def test_the_first_entry_asks_for_the_role_and_then_goes_on() -> None:
    asked = press(Desk(), "opinion:agree")
    assert asked.desk.sheet is Sheet.ROLE and asked.entries == ()
    done = press(asked.desk, "role:doctor")
    assert done.desk.sheet is Sheet.NONE
    assert [(kept.kind, kept.body.get("by", kept.body.get("role"))) for kept in done.entries] == [
        ("opinion", "doctor"),
        ("desk", "doctor"),
    ]


@pytest.mark.requirement("R55")
def test_last_known_well_is_read_back_before_it_is_kept_and_names_the_old_one() -> None:
    step = press(NURSE, "open:lkw", "lkw:-60", "lkw:-10", "lkw:+1", "lkw:read_back")
    assert step.desk.sheet is Sheet.LKW_READ_BACK and step.entries == ()
    (kept,) = press(step.desk, "lkw:keep").entries
    expected = MOMENT.local.replace(second=0, microsecond=0) - timedelta(minutes=69)
    assert kept.body["at"] == expected.isoformat() and kept.body["by"] == "nurse" and kept.body["old"] is None
    known = replace(CASE, crew={"lkw": entry("lkw", at=kept.body["at"])})
    (again,) = press(NURSE, "open:lkw", "lkw:unknown", "lkw:keep", study=known).entries
    assert (again.body["at"], again.body["unknown"], again.body["old"]) == (None, True, kept.body["at"])


def test_nobody_was_last_well_in_the_future() -> None:
    draft = press(NURSE, "open:lkw", "lkw:+60", "lkw:+60").desk.draft
    assert draft is not None and draft <= MOMENT.local


@pytest.mark.requirement("R59")
def test_confirming_the_patient_keeps_whom_it_was() -> None:
    case = replace(CASE, patient={"name": "A^B", "id": "7", "birth_date": "19510402"})
    step = press(NURSE, "open:confirm", "confirm", study=case)
    assert step.desk.sheet is Sheet.NONE
    assert step.entries[0].body == {"name": "A^B", "id": "7", "birth_date": "19510402", "by": "nurse", "revision": 1}


@pytest.mark.requirement("R77")
def test_notifying_the_centre_takes_two_taps() -> None:
    opened = press(NURSE, "open:notify")
    assert opened.entries == () and opened.desk.sheet is Sheet.NOTIFY
    (kept,) = press(opened.desk, "notify:send").entries
    assert (kept.kind, kept.body["recipient"]) == ("notify", "CSC A")
    assert [kept.kind for kept in press(opened.desk, "notify:answered").entries] == ["acknowledged"]


@pytest.mark.requirement("R81")
def test_the_screen_never_locks_over_an_active_case() -> None:
    assert CASE.last_image_s is not None
    assert not press(NURSE, "lock").desk.locked
    assert not tick(Desk(touched_s=0.0), CASE, later(CASE_ACTIVE_S - 2), SITE).desk.locked
    assert tick(Desk(touched_s=0.0), CASE, later(CASE_ACTIVE_S), SITE).desk.locked
    assert not tick(Desk(locked=True, touched_s=0.0), CASE, MOMENT, SITE).desk.locked


@pytest.mark.requirement("R81")
def test_an_idle_screen_locks_and_a_pin_unlocks_it() -> None:
    assert not tick(Desk(touched_s=NOW_S), None, later(599), SITE).desk.locked
    locked = tick(Desk(touched_s=NOW_S), None, later(600), SITE)
    assert locked.desk.locked and locked.entries[0].body["locked"] is True
    wrong = press(locked.desk, "unlock", "pin:1", "pin:2", "pin:unlock", study=None)
    assert wrong.desk.locked and wrong.desk.wrong_pin and wrong.entries[0].kind == "pin_refused"
    right = press(wrong.desk, *(f"pin:{digit}" for digit in "471"), "pin:2", "pin:delete", "pin:1", study=None)
    done = press(right.desk, "pin:unlock", study=None)
    assert not done.desk.locked and done.entries[0].body == {"how": "unlock"}
    glass = press(locked.desk, "unlock", "pin:break_glass", study=None)
    assert not glass.desk.locked and glass.entries[0].body == {"how": "break_glass"}
    assert not press(locked.desk, "unlock", study=None, site=ScreenSettings()).desk.locked


@pytest.mark.requirement("R70")
def test_cleaning_ends_by_itself() -> None:
    cleaning = press(Desk(), "clean").desk
    assert tick(cleaning, CASE, later(CLEAN_S - 1), SITE).desk.clean_until_s is not None
    assert tick(cleaning, CASE, later(CLEAN_S), SITE).desk.clean_until_s is None


def test_what_outlives_the_screen_is_kept_and_comes_back() -> None:
    step = press(Desk(), "theme", "language", "curtain", "role:nurse")
    kept = step.entries[-1]
    assert (kept.study_uid, kept.kind) == ("", "desk")
    again = desk_from(kept.body, SITE)
    assert (again.theme, again.language, again.curtain, again.role) == ("day", "de", True, "nurse")
    assert desk_from({"theme": "pink", "role": "king"}, SITE) == Desk()


def test_a_tap_whose_button_is_gone_does_nothing() -> None:
    for action in ("nonsense", "opinion:agree", "lkw:keep", "save"):
        step = tap(NURSE, action, None, MOMENT, SITE)
        assert step.entries == () and step.desk == replace(NURSE, touched_s=NOW_S)


def test_a_sheet_closes_when_its_button_is_tapped_again() -> None:
    assert press(Desk(), "open:menu").desk.sheet is Sheet.MENU
    assert press(Desk(), "open:menu", "open:menu").desk.sheet is Sheet.NONE
    assert press(Desk(), "open:menu", "back").desk.sheet is Sheet.NONE
