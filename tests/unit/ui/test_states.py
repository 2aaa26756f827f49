from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edge_app.core.types import StudyStatus, Verdict
from edge_app.ui.facts import DEAD_AFTER_S, START_GRACE_S, Moment, clock_is_wrong, is_alive
from edge_app.ui.rules import state_of as state_of_study
from edge_app.ui.snapshot import Snapshot
from edge_app.ui.states import LOOKS, Pattern, ScreenState
from edge_app.ui.theme import Role
from tests.unit.ui.views import MOMENT, NOW_S, alive, entry, finished, heart, snapshot, study


def state_of(snap: Snapshot, now_s: float, study_uid: str | None = None) -> ScreenState:
    chosen = snap.find(study_uid) if study_uid else snap.current
    return state_of_study(snap, chosen, Moment(now_s, MOMENT.local))


@pytest.mark.requirement("R32")
def test_every_state_has_its_own_icon() -> None:
    assert set(LOOKS) == set(ScreenState)
    icons = [look.icon for look in LOOKS.values()]
    assert len(icons) == len(set(icons))


@pytest.mark.requirement("R31")
def test_only_suspicion_is_filled_and_not_detected_is_an_outline() -> None:
    filled = {state for state, look in LOOKS.items() if look.pattern in (Pattern.SOLID, Pattern.SOLID_FRAMED)}
    assert filled == {ScreenState.HAEMORRHAGE, ScreenState.ISCHAEMIC}
    assert LOOKS[ScreenState.NONE_DETECTED].pattern is Pattern.OUTLINE
    assert LOOKS[ScreenState.NONE_DETECTED].role is Role.NOT_DETECTED


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.HEMORRHAGE, ScreenState.HAEMORRHAGE),
        (Verdict.ISCHEMIC, ScreenState.ISCHAEMIC),
        (Verdict.NONE_DETECTED, ScreenState.NONE_DETECTED),
        (Verdict.INDETERMINATE, ScreenState.INDETERMINATE),
        (None, ScreenState.NO_AI_RESULT),
    ],
)
def test_a_finished_study_shows_its_verdict(verdict: Verdict | None, state: ScreenState) -> None:
    assert state_of(snapshot(finished(verdict)), NOW_S) is state


@pytest.mark.requirement("R42")
@pytest.mark.parametrize(
    ("view", "state"),
    [
        (study(None), ScreenState.RECEIVING),
        (study(StudyStatus.RECEIVING), ScreenState.RECEIVING),
        (study(StudyStatus.ANALYSING), ScreenState.ANALYSING),
        (study(StudyStatus.FAILED), ScreenState.FAILED),
        (study(StudyStatus.RESULT, result=None), ScreenState.FAILED),
        (study(StudyStatus.RECEIVING, association="aborted"), ScreenState.STALLED),
        (study(StudyStatus.RECEIVING, association="lost"), ScreenState.STALLED),
        (study(StudyStatus.RECEIVING, association="open", last_image_s=NOW_S - 30), ScreenState.STALLED),
        (study(StudyStatus.RECEIVING, association="open", last_image_s=NOW_S - 29), ScreenState.RECEIVING),
        (study(StudyStatus.RECEIVING, association="open", last_image_s=None), ScreenState.RECEIVING),
        (study(StudyStatus.ANALYSING, association="aborted"), ScreenState.ANALYSING),
        (study(StudyStatus.ANALYSING, progress={"images": 30, "analysed": 29}), ScreenState.ANALYSING),
        (study(StudyStatus.ANALYSING, progress={"images": 30, "analysed": 30}), ScreenState.CHECKING),
    ],
)
def test_an_unfinished_study_shows_where_it_is(view, state: ScreenState) -> None:
    assert state_of(snapshot(view), NOW_S) is state


@pytest.mark.requirement("R44", "R46")
def test_without_a_study_the_screen_is_ready_or_says_why_not() -> None:
    assert state_of(snapshot(), NOW_S) is ScreenState.READY
    scarce = {**alive(), "receive": heart("receive", free_bytes=14 << 30, total_bytes=100 << 30)}
    assert state_of(snapshot(heartbeats=scarce), NOW_S) is ScreenState.DISK_LOW
    fallback = {**alive(), "work": heart("work", fallback="no engine")}
    assert state_of(snapshot(heartbeats=fallback), NOW_S) is ScreenState.DEGRADED
    low = {**alive(), "receive": heart("receive", low_disk=True)}
    assert state_of(snapshot(heartbeats=low), NOW_S) is ScreenState.DISK_FULL
    missing = {**alive(), "work": heart("work", problem="E-101 bundle missing")}
    assert state_of(snapshot(heartbeats=missing), NOW_S) is ScreenState.MODEL_MISSING
    assert state_of(snapshot(heartbeats={}), NOW_S) is ScreenState.RECEIVER_STOPPED
    assert state_of(snapshot(heartbeats={}, started_s=NOW_S - 1), NOW_S) is ScreenState.STARTING


def test_a_silent_process_is_dead_within_three_seconds_but_may_start_for_fifteen() -> None:
    beats = {"work": heart("work", at_s=NOW_S - DEAD_AFTER_S)}
    assert is_alive(snapshot(heartbeats=beats), "work", NOW_S) is True
    assert is_alive(snapshot(heartbeats=beats), "work", NOW_S + 0.1) is False
    fresh = snapshot(heartbeats=beats, started_s=NOW_S - 1)
    assert is_alive(fresh, "work", NOW_S + 5) is None
    assert is_alive(fresh, "work", NOW_S + START_GRACE_S) is False


def test_a_sign_of_life_from_another_boot_is_none() -> None:
    beats = {"work": heart("work", boot="earlier")}
    assert is_alive(snapshot(heartbeats=beats), "work", NOW_S) is False


@pytest.mark.requirement("R41")
def test_a_dead_worker_stops_an_unfinished_study_but_not_a_result() -> None:
    beats = {**alive(), "work": heart("work", at_s=NOW_S - 10)}
    for status in (None, StudyStatus.RECEIVING, StudyStatus.ANALYSING):
        assert state_of(snapshot(study(status), heartbeats=beats), NOW_S) is ScreenState.AI_STOPPED
    done = finished(Verdict.HEMORRHAGE)
    assert state_of(snapshot(done, heartbeats=beats), NOW_S) is ScreenState.HAEMORRHAGE
    newer = replace(done, last_instance_id=10)
    assert state_of(snapshot(newer, heartbeats=beats), NOW_S) is ScreenState.AI_STOPPED


def test_a_dead_receiver_stops_receiving_but_not_the_analysis() -> None:
    beats = {**alive(), "receive": heart("receive", at_s=NOW_S - 10)}
    assert state_of(snapshot(study(), heartbeats=beats), NOW_S) is ScreenState.RECEIVER_STOPPED
    analysing = study(StudyStatus.ANALYSING)
    assert state_of(snapshot(analysing, heartbeats=beats), NOW_S) is ScreenState.ANALYSING
    assert state_of(snapshot(finished(Verdict.NONE_DETECTED), heartbeats=beats), NOW_S) is ScreenState.NONE_DETECTED


def test_an_earlier_case_is_shown_in_its_own_state() -> None:
    old = replace(finished(Verdict.HEMORRHAGE), study_uid="0.9")
    assert state_of(snapshot(study(), old), NOW_S, "0.9") is ScreenState.HAEMORRHAGE


@pytest.mark.requirement("R43")
def test_a_scanner_not_heard_for_ten_minutes_is_silent() -> None:
    assert state_of(snapshot(last_peer_s=NOW_S - 599), NOW_S) is ScreenState.READY
    assert state_of(snapshot(last_peer_s=NOW_S - 600), NOW_S) is ScreenState.SCANNER_SILENT
    assert state_of(snapshot(last_peer_s=None, started_s=NOW_S - 599), NOW_S) is ScreenState.READY


@pytest.mark.requirement("R45")
def test_a_clock_that_cannot_be_right_is_said() -> None:
    early = Moment(NOW_S, MOMENT.local.replace(year=1970))
    assert state_of_study(snapshot(), None, early) is ScreenState.CLOCK_BAD
    for acquired, wrong in (("20260314140900", False), ("20260314141035", True), ("20260314135400", True)):
        assert clock_is_wrong(study(patient={"acquired_at": acquired}), MOMENT) is wrong


@pytest.mark.requirement("R35")
def test_read_first_holds_back_not_detected_only() -> None:
    for verdict, state in (
        (Verdict.NONE_DETECTED, ScreenState.READ_FIRST),
        (Verdict.HEMORRHAGE, ScreenState.HAEMORRHAGE),
        (Verdict.INDETERMINATE, ScreenState.INDETERMINATE),
        (Verdict.ISCHEMIC, ScreenState.ISCHAEMIC),
    ):
        case = finished(verdict)
        assert state_of_study(snapshot(case), case, MOMENT, read_first=True) is state
    case = replace(finished(Verdict.NONE_DETECTED), crew={"impression": entry("impression", impression="unsure")})
    assert state_of_study(snapshot(case), case, MOMENT, read_first=True) is ScreenState.NONE_DETECTED


@pytest.mark.requirement("R43")
def test_a_patient_waited_for_five_minutes_without_an_image_makes_the_scanner_silent() -> None:
    def waiting(minutes: float) -> Snapshot:
        at = (MOMENT.local - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        return snapshot(announced=entry("announced", at_utc=at, over=False))

    states = [state_of(waiting(minutes), NOW_S) for minutes in (1, 4.9, 5, 119, 121)]
    silent, ready = ScreenState.SCANNER_SILENT, ScreenState.READY
    assert states == [ready, ready, silent, silent, ready]
