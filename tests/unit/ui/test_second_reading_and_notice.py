"""What comes from the other end of the line, and what must not be said too early: R35, R41, R77 to R79."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.types import SeriesOption, StudyStatus, Verdict
from edge_app.store.notices import NoticeState
from edge_app.store.orders import Order, OrderMatch
from edge_app.ui.desk import Desk, Sheet
from edge_app.ui.facts import DEAD_AFTER_S
from edge_app.ui.hand_over import card
from edge_app.ui.notice_texts import is_outdated, must_call, notice_words
from edge_app.ui.presenter import present
from edge_app.ui.rules import state_of
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.second_reading import contradiction
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import ScreenState
from edge_app.ui.viewer import ViewerModel
from tests.unit.ui.views import MOMENT, NOW_S, alive, entry, finished, heart, snapshot, study

NOW_UTC = "2099-01-01T00:00:00.000000Z"


def read(verdict: Verdict | None, reading: str) -> StudyView:
    return replace(finished(verdict), crew={"second_reading": entry("second_reading", reading=reading)})


def show(snap: Snapshot, sheet: Sheet = Sheet.NONE, **site: object) -> ScreenModel:
    desk = Desk(sheet=sheet, role="nurse")
    return present(snap, ViewerModel(), desk, MOMENT, site=ScreenSettings(**site))  # type: ignore[arg-type]


@pytest.mark.requirement("R79")
@pytest.mark.parametrize(
    ("verdict", "reading", "words"),
    [
        (Verdict.HEMORRHAGE, "not_seen", "NEURO: NO BLOOD"),
        (Verdict.HEMORRHAGE, "seen", ""),
        (Verdict.NONE_DETECTED, "seen", "NEURO: BLOOD"),
        (Verdict.NONE_DETECTED, "not_seen", ""),
        (Verdict.ISCHEMIC, "seen", "NEURO: BLOOD"),
        (Verdict.INDETERMINATE, "seen", ""),
        (Verdict.HEMORRHAGE, "unsure", ""),
        (None, "seen", ""),
    ],
)
def test_only_a_contradiction_is_shown_beside_the_headline(verdict: Verdict | None, reading: str, words: str) -> None:
    case = read(verdict, reading)
    assert show(snapshot(case)).result.second == words
    lines = dict(card(snapshot(case), case, "en", MOMENT).lines)
    assert lines["Neurologist"].startswith({"seen": "blood seen", "not_seen": "no blood", "unsure": "unsure"}[reading])
    assert ("NOT AS THE AI" in lines["Neurologist"]) == bool(words)
    assert f"neuro={reading}" in card(snapshot(case), case, "en", MOMENT).qr


def test_without_a_second_reading_nothing_is_said_of_one() -> None:
    case = finished(Verdict.HEMORRHAGE)
    assert contradiction(None, ScreenState.READY, "en") == ""
    assert "Neurologist" not in dict(card(snapshot(case), case, "en", MOMENT).lines)


@pytest.mark.requirement("R35")
@pytest.mark.parametrize("sheet", [Sheet.NONE, Sheet.NOTIFY, Sheet.ABOUT, Sheet.NEW_CASE, Sheet.MENU, Sheet.CONFIRM])
def test_a_site_that_reads_first_finds_the_answer_nowhere(sheet: Sheet) -> None:
    case = finished(Verdict.NONE_DETECTED)
    model = show(snapshot(case), sheet, read_first=True)
    assert model.state is ScreenState.READ_FIRST
    said = str(asdict(model)).upper()
    for word in ("DETECTED", "HAEMORRHAGE SUSPECTED", "87", "SCORE 8"):
        assert word not in said, word
    assert not model.key_slices and not model.thresholds and not any(bar.key for bar in model.strip)
    assert all(clock.label != "RESULT" for clock in model.clocks)


@pytest.mark.requirement("R77")
def test_the_call_to_the_centre_is_followed_until_somebody_answers() -> None:
    def case(state: str, at_utc: str = NOW_UTC, sent_utc: str = "") -> StudyView:
        notice = NoticeState(3, state, at_utc, sent_utc, (), "")
        return replace(
            finished(Verdict.HEMORRHAGE), crew={"notify": entry("notify", 3, at_utc, revision=1)}, notice=notice
        )

    assert notice_words(finished(Verdict.HEMORRHAGE), "en", MOMENT) == ""
    waiting = case("queued")
    assert notice_words(waiting, "en", MOMENT) == "Waiting for the link since 00:00"
    assert must_call(waiting, "en", MOMENT, off=False) == ""
    assert must_call(waiting, "en", MOMENT, off=True) == "Sending is off - call the centre"
    old = "2026-03-14T14:05:00.000000Z"
    assert must_call(case("queued", old), "en", MOMENT, off=False) == "not sent after 2 min - call the centre"
    sent = case("sent", old, "2026-03-14T14:06:00.000000Z")
    assert notice_words(sent, "en", MOMENT) == "Sent 14:06 · waiting for an answer"
    assert must_call(sent, "en", MOMENT, off=False) == "no acknowledgment after 2 min - call"
    just_now = case("sent", "2026-03-14T14:08:00.000000Z", "2026-03-14T14:08:01.000000Z")
    assert must_call(just_now, "en", MOMENT, off=False) == "", "two minutes by the screen's clock"
    refused = case("failed")
    assert must_call(refused, "en", MOMENT, off=False) == "The centre refuses it - call"
    assert notice_words(refused, "en", MOMENT) == "The centre refuses it - call", "it was never sent"
    assert any("refuses it - call" in words for _, words in card(snapshot(refused), refused, "en", MOMENT).lines)
    sheet = show(snapshot(refused), Sheet.NOTIFY).sheet
    assert sheet is not None and [line.text for line in sheet.lines].count("The centre refuses it - call") == 1
    by_telephone = replace(refused, crew={**refused.crew, "acknowledged": entry("acknowledged", 4)})
    assert notice_words(by_telephone, "en", MOMENT) == "answered 14:05"
    answered = replace(sent, acknowledged=(1, "Dr Weber", "2026-03-14T14:07:00.000000Z"))
    assert notice_words(answered, "en", MOMENT) == "Sent 14:06 · answered 14:07 Dr Weber"
    assert must_call(answered, "en", MOMENT, off=False) == ""


@pytest.mark.requirement("R78")
def test_a_revision_makes_the_call_to_the_centre_an_old_one() -> None:
    crew = {"notify": entry("notify", 3, revision=1), "acknowledged": entry("acknowledged", 4)}
    revised = replace(finished(Verdict.NONE_DETECTED, revision=2), crew=crew)
    assert is_outdated(revised) and not is_outdated(replace(finished(Verdict.HEMORRHAGE), crew=crew))
    model = show(snapshot(revised), Sheet.NOTIFY)
    assert (model.actions[3].label, model.actions[3].lit) == ("NOTIFY\nREVISED", False)
    assert model.sheet is not None
    assert any("REVISED" in line.text for line in model.sheet.lines)
    assert "notify:send" in [button.action for row in model.sheet.rows for button in row if button]


@pytest.mark.requirement("R41")
def test_what_stops_beside_a_result_is_said_with_what_to_do() -> None:
    case = finished(Verdict.HEMORRHAGE)
    for process, words in (
        ("receive", "RECEIVER STOPPED: restart, then resend."),
        ("work", "AI STOPPED: restart the system."),
        ("deliver", "SENDING STOPPED: call the centre."),
    ):
        beats = {**alive(), process: heart(process, NOW_S - DEAD_AFTER_S - 0.1)}
        model = show(snapshot(case, heartbeats=beats))
        assert model.state is ScreenState.HAEMORRHAGE and model.alerts == (words,)
    assert show(snapshot(case)).alerts == ()
    stopped = {**alive(), "work": heart("work", NOW_S - DEAD_AFTER_S - 0.1)}
    assert show(snapshot(study(), heartbeats=stopped)).alerts == (), "the state says it already"


@pytest.mark.requirement("R59")
def test_an_order_that_differs_is_a_warning_and_one_that_fits_completes_the_band() -> None:
    order = Order("S", "A-1", "4711", "MUSTERMANN^ERIKA", "19510420", "F", "", "", "")
    patient = {"name": "MUSTERMANN^ERIKA", "id": "4711", "birth_date": "19510402"}
    differs = replace(
        finished(Verdict.HEMORRHAGE), patient=patient, order=OrderMatch(order, "patient", ("patient_birth_date",))
    )
    model = show(snapshot(differs), Sheet.CONFIRM)
    assert model.patient.warning == "ORDER DIFFERS"
    assert model.sheet is not None
    words = [line.text for line in model.sheet.lines]
    assert "Order: MUSTERMANN, ERIKA · *1951-04-20 · ID 4711 · Acc A-1" in words
    assert "NOT THE SAME: birth date" in words
    fits = show(snapshot(replace(differs, order=OrderMatch(order, "patient", ()))))
    assert fits.patient.warning == "UNCONFIRMED" and "Acc A-1" in fits.patient.details


@pytest.mark.requirement("R18")
def test_another_series_can_be_chosen_where_there_is_one() -> None:
    options = (
        SeriesOption("1.2.3", 3, "", "H30s", 30, 5.0, 5.0, True, True, "nearest"),
        SeriesOption("1.2.4", 4, "", "H31s", 120, 1.25, 1.25, False, True, "spacing_outside"),
        SeriesOption("1.2.5", None, "", "H70h", 30, 5.0, None, False, False, "sharp_kernel"),
    )
    case = finished(None, series=options)
    model = show(snapshot(case), Sheet.SERIES)
    assert model.actions[0].action == "open:series"
    assert model.sheet is not None
    buttons = [button for row in model.sheet.rows for button in row if button][:3]
    assert [(button.enabled, button.active) for button in buttons] == [(False, True), (True, False), (False, False)]
    assert buttons[1].label == "Series 4 · 1.25 mm · H31s · 120 images\nslice distance outside 2.5–5 mm"
    assert show(snapshot(finished(None))).actions[0].action == ""
    again = study(StudyStatus.ANALYSING, result_instance_id=5, last_instance_id=5, crew={"series_chosen": entry("x")})
    assert show(snapshot(again)).result.lead == "Other series - re-analysing"
    assert state_of(snapshot(again), again, MOMENT) is ScreenState.ANALYSING
