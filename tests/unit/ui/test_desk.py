"""What taps do, without a display: R34 to R36, R55, R59, R70, R77, R81."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.types import SeriesOption, Verdict
from edge_app.ui.desk import CASE_ACTIVE_S, Desk, Sheet, Step, desk_from
from edge_app.ui.facts import Moment
from edge_app.ui.lock_taps import badge_hash
from edge_app.ui.snapshot import StudyView
from edge_app.ui.taps import AMBIENT_DWELL_S, CLEAN_S, MUTE_S, for_the_next, scan, tap, tick
from tests.unit.ui.views import MOMENT, NOW_S, entry, finished

SITE = ScreenSettings(pin="4711", centre="CSC A")
CASE = finished(Verdict.HEMORRHAGE)
NURSE = Desk(role="nurse")


def press(
    desk: Desk, *actions: str, study: StudyView | None = CASE, site: ScreenSettings = SITE, **more: StudyView
) -> Step:
    """Tap one after the other; the entries of all of them."""
    entries: tuple = ()
    for action in actions:
        step = tap(desk, action, study, MOMENT, site, **more)
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
    (kept,) = press(step.desk, "lkw:keep:witness").entries
    expected = MOMENT.local.replace(second=0, microsecond=0) - timedelta(minutes=69)
    assert kept.body["at"] == expected.isoformat() and kept.body["by"] == "nurse" and kept.body["old"] is None
    assert kept.body["source"] == "witness" and not kept.body["changed"]
    assert press(Desk(), "open:lkw", "lkw:read_back", "lkw:keep:patient").desk.sheet is Sheet.ROLE, "by whom?"


@pytest.mark.requirement("R55")
def test_changing_last_known_well_after_a_result_takes_a_second_confirmation() -> None:
    known = replace(CASE, crew={"lkw": entry("lkw", at=MOMENT.local.isoformat())})
    asked = press(NURSE, "open:lkw", "lkw:unknown", "lkw:keep:patient", study=known)
    assert asked.desk.sheet is Sheet.LKW_AFTER_RESULT and asked.entries == ()
    assert press(asked.desk, "back", study=known).entries == ()
    (again,) = press(asked.desk, "lkw:keep", study=known).entries
    assert (again.body["at"], again.body["unknown"], again.body["old"]) == (None, True, MOMENT.local.isoformat())
    assert (again.body["source"], again.body["changed"]) == ("patient", True)
    early = replace(known, result=None)
    assert press(NURSE, "open:lkw", "lkw:keep:patient", study=early).entries, "without a result once is enough"


def test_nobody_was_last_well_in_the_future() -> None:
    draft = press(NURSE, "open:lkw", "lkw:+60", "lkw:+60").desk.draft
    assert draft is not None and draft <= MOMENT.local


@pytest.mark.requirement("R59")
def test_confirming_the_patient_keeps_whom_it_was() -> None:
    case = replace(CASE, patient={"name": "A^B", "id": "7", "birth_date": "19510402"})
    step = press(NURSE, "open:confirm", "confirm", study=case)
    assert step.desk.sheet is Sheet.NONE
    who = {"name": "A^B", "id": "7", "birth_date": "19510402"}
    assert step.entries[0].body == {**who, "how": "crew", "by": "nurse", "revision": 1}


@pytest.mark.requirement("R59")
def test_a_wristband_confirms_its_own_patient_and_nobody_else() -> None:
    case = replace(CASE, patient={"name": "A^B", "id": "7", "accession": "A-1"})
    asking = press(NURSE, "open:confirm", study=case).desk
    for line in ("7", " A-1 "):
        step = scan(asking, line, case, MOMENT, SITE)
        assert (step.entries[0].kind, step.entries[0].body["how"]) == ("identity", "wristband")
    wrong = scan(asking, "8", case, MOMENT, SITE)
    assert wrong.desk.sheet is Sheet.CONFIRM and wrong.desk.scanned == "8"
    assert [kept.kind for kept in wrong.entries] == ["identity_differs"]
    nobody = scan(replace(asking, role=""), "7", case, MOMENT, SITE)
    assert (
        nobody.desk.sheet is Sheet.ROLE and press(nobody.desk, "role:nurse", study=case).entries[0].kind == "identity"
    )
    differs = press(scan(replace(asking, role=""), "8", case, MOMENT, SITE).desk, "role:nurse", study=case)
    assert differs.desk.sheet is Sheet.CONFIRM and differs.desk.scanned == "8", "the role does not swallow the warning"
    assert [kept.kind for kept in differs.entries] == ["identity_differs", "desk"]
    assert scan(NURSE, "7", case, MOMENT, SITE).entries == (), "not while nobody asks"


@pytest.mark.requirement("R79")
def test_the_neurologists_reading_is_kept_with_who_entered_it() -> None:
    step = press(NURSE, "open:second_reading", "second_reading:seen")
    assert step.desk.sheet is Sheet.NONE
    body = {"reading": "seen", "by": "neurologist", "name": "", "revision": 1, "source": "screen"}
    assert step.entries[0].body == {**body, "entered_by": "nurse"}


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


@pytest.mark.requirement("R81")
def test_a_badge_unlocks_and_a_foreign_one_is_refused() -> None:
    site = ScreenSettings(badges=(badge_hash("04:A2:19"),))
    locked = Desk(locked=True)
    step = scan(locked, "04:A2:19\n", None, MOMENT, site)
    assert not step.desk.locked
    assert step.entries[0].body == {"how": "badge", "badge": badge_hash("04:A2:19")[:8]}
    refused = scan(locked, "04:FF:00", None, MOMENT, site)
    assert refused.desk.locked and refused.desk.wrong_pin and refused.entries[0].kind == "pin_refused"
    typed = scan(locked, "4711", None, MOMENT, SITE)
    assert not typed.desk.locked and typed.entries[0].body == {"how": "unlock"}
    assert scan(locked, "", None, MOMENT, ScreenSettings()).desk.locked, "no PIN is not an empty PIN"
    assert press(locked, "unlock", study=None, site=site).desk.sheet is Sheet.PIN


@pytest.mark.requirement("R81")
@pytest.mark.parametrize("action", ["open:menu", "open:about", "open:hand_over", "full", "heat_map", "opinion:agree"])
def test_a_locked_screen_opens_nothing_that_shows_a_case(action: str) -> None:
    old = replace(CASE, last_image_s=NOW_S - CASE_ACTIVE_S)
    locked = Desk(locked=True, role="nurse")
    step = press(locked, action, study=old)
    assert step.entries == () and step.desk == replace(locked, touched_s=NOW_S)
    assert press(locked, "theme", study=old).desk.theme == "day"


@pytest.mark.requirement("R69")
def test_the_light_changes_the_theme_late_and_not_back_and_forth() -> None:
    def feel(desk: Desk, lux: float | None, after_s: float) -> Desk:
        return tick(desk, CASE, replace(later(after_s), lux=lux), SITE).desk

    assert feel(Desk(), None, 0).shown_theme == "night", "no sensor"
    day = feel(Desk(), 400.0, 0)
    assert day.shown_theme == "day"
    dusk = feel(day, 50.0, 60)
    assert dusk.shown_theme == "day", "between the limits nothing changes"
    dark = feel(dusk, 5.0, 61)
    assert dark.shown_theme == "day" and feel(dark, 400.0, 62).ambient_since_s is None, "a tunnel"
    assert feel(dark, 5.0, 61 + AMBIENT_DWELL_S).shown_theme == "night"


@pytest.mark.requirement("R69")
def test_one_tap_overrides_the_light_and_the_way_round_leads_back_to_it() -> None:
    lit = Desk(ambient="day")
    themes = []
    desk = lit
    for _ in range(3):
        desk = press(desk, "theme").desk
        themes.append((desk.theme, desk.shown_theme))
    assert themes == [("night", "night"), ("auto", "day"), ("night", "night")]
    assert [press(Desk(), *["theme"] * n).desk.theme for n in (1, 2, 3)] == ["day", "night", "day"], "no sensor"


@pytest.mark.requirement("R73")
def test_mute_ends_by_itself_after_two_minutes() -> None:
    muted = press(Desk(), "mute")
    assert MUTE_S <= 120 and muted.desk.muted_until_s == NOW_S + MUTE_S and muted.entries[0].kind == "sound"
    assert tick(muted.desk, CASE, later(MUTE_S - 1), SITE).desk.muted_until_s is not None
    assert tick(muted.desk, CASE, later(MUTE_S), SITE).desk.muted_until_s is None
    assert press(muted.desk, "mute").desk.muted_until_s is None


def test_nothing_that_was_open_for_one_patient_is_open_for_the_next() -> None:
    open_things = press(NURSE, "heat_map", "full", "open:lkw", "lkw:-60").desk
    assert for_the_next(open_things) == replace(NURSE, touched_s=NOW_S)


@pytest.mark.requirement("R18")
def test_only_a_series_that_may_be_chosen_is_chosen() -> None:
    options = tuple(SeriesOption(f"1.2.{n}", n, "", "", 30, 5.0, 5.0, n == 3, n < 5, "nearest") for n in (3, 4, 5))
    case = finished(Verdict.HEMORRHAGE, series=options)
    (kept,) = press(NURSE, "open:series", "series:1.2.4", study=case).entries
    assert (kept.kind, kept.body["series_uid"], kept.body["by"]) == ("series_chosen", "1.2.4", "nurse")
    for refused in ("series:1.2.3", "series:1.2.5", "series:9.9"):
        assert press(NURSE, refused, study=case).entries == ()


@pytest.mark.requirement("R43", "R55")
def test_a_patient_is_announced_and_last_known_well_entered_before_the_scan() -> None:
    step = press(NURSE, "announce", "lkw:-60", "lkw:read_back", "lkw:keep:witness", study=None)
    assert [(kept.study_uid, kept.kind) for kept in step.entries] == [("", "announced"), ("", "lkw")]
    assert step.entries[1].body["source"] == "witness" and step.desk.sheet is Sheet.NONE
    nobody = press(Desk(), "announce", "lkw:-60", "lkw:read_back", "lkw:keep:witness", study=None)
    assert nobody.desk.sheet is Sheet.ROLE
    assert [kept.kind for kept in press(nobody.desk, "role:nurse", study=None).entries] == ["lkw", "desk"]
    assert press(NURSE, "announce:over", study=None).entries[0].body["over"] is True


@pytest.mark.requirement("R43", "R55")
def test_a_screen_that_starts_anew_knows_what_was_entered_of_an_awaited_patient() -> None:
    before = entry("lkw", at=(MOMENT.local - timedelta(minutes=64)).isoformat(), source="witness")
    awaited = StudyView("", crew={"lkw": before})
    opened = press(NURSE, "open:lkw", study=None, awaited=awaited)
    assert opened.desk.draft == MOMENT.local - timedelta(minutes=64)
    (kept,) = press(opened.desk, "lkw:read_back", "lkw:keep:witness", study=None, awaited=awaited).entries
    assert (kept.study_uid, kept.body["at"], kept.body["unknown"]) == ("", before.body["at"], False)
    assert (kept.body["old"], kept.body["changed"]) == (before.body["at"], True)
    fresh = press(NURSE, "open:lkw", study=None, awaited=StudyView(""))
    assert fresh.desk.draft == MOMENT.local.replace(second=0, microsecond=0)


@pytest.mark.requirement("R55")
def test_what_was_entered_before_the_scan_is_read_back_and_not_taken_over() -> None:
    before = entry("lkw", at=(MOMENT.local - timedelta(minutes=64)).isoformat(), source="witness")
    case = replace(CASE, announced_lkw=before)
    read = press(NURSE, "open:lkw_read_back", study=case)
    assert read.entries == () and read.desk.draft == MOMENT.local - timedelta(minutes=64)
    (kept,) = press(read.desk, "lkw:keep:patient", study=case).entries
    assert (kept.study_uid, kept.body["at"], kept.body["changed"]) == (case.study_uid, before.body["at"], False)
    unknown = replace(CASE, announced_lkw=entry("lkw", at=None))
    assert press(NURSE, "open:lkw_read_back", study=unknown).desk.draft is None
