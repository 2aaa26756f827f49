from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from edge_app.core.clock import utc_now
from edge_app.core.config import ScreenSettings
from edge_app.core.reasons import reason
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store.associations import open_association
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.retention import remove_study
from edge_app.ui.desk import Desk
from edge_app.ui.snapshot import ANNOUNCED_S, CASES_SHOWN, SnapshotSource
from edge_app.ui.taps import tap
from tests.unit.ui.views import MOMENT

CT = "1.2.840.10008.5.1.4.1.1.2"


def arrive(ledger: Ledger, study_uid: str, number: int, sop_class_uid: str = CT) -> None:
    ledger.add_instance(
        sop_uid=f"{study_uid}.{number}",
        sop_class_uid=sop_class_uid,
        series_uid=f"{study_uid}.0",
        study_uid=study_uid,
        patient_id="P",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=ledger.paths.instance(study_uid, f"{study_uid}.{number}"),
        sha256="0",
        size=1,
        association_id="a",
    )


def refuse(ledger: Ledger, study_uid: str) -> None:
    result = StudyResult(
        study_uid=study_uid,
        patient_id="P",
        status=StudyStatus.NO_RESULT,
        verdict=None,
        probabilities=None,
        reasons=(reason("Q-14"),),
        series_uid=None,
        slices=(),
        model=None,
        backend=None,
        timings_ms={},
    )
    ledger.add_result(result, last_instance_id=1)


def test_instances_make_a_study_visible_before_the_worker_has_seen_it(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        assert source.read().current is None
        open_association(ledger, "a", "CT", "MSU1", "peer")
        arrive(ledger, "1.1", 1)
        arrive(ledger, "1.1", 2, "1.2.840.10008.5.1.4.1.1.7")
        study = source.read().current
        assert study is not None
        assert (study.status, study.images, study.association) == (None, 1, "open")
        assert study.last_image_s is not None


def test_the_study_that_started_last_comes_first_whatever_is_sent_again(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        ledger.put_study("1.1", StudyStatus.RECEIVING)
        arrive(ledger, "1.2", 1)
        arrive(ledger, "1.1", 2)
        assert [study.study_uid for study in source.read().studies] == ["1.2", "1.1"]


@pytest.mark.requirement("R47")
@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=20_000)])
def test_a_study_that_starts_after_the_clock_was_set_back_is_the_current_one(
    tmp_path: Path, back: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        refuse(ledger, "1.1")
        monkeypatch.setattr("edge_app.store.ledger.utc_now", lambda: utc_now() - back)
        arrive(ledger, "1.2", 1)
        for reader in (source, SnapshotSource(ledger)):
            assert [study.study_uid for study in reader.read().studies] == ["1.2", "1.1"]


@pytest.mark.requirement("R47")
def test_images_that_come_after_the_crew_ended_the_case_bring_it_back(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        current = source.read().current
        assert current is not None
        step = tap(Desk(role="doctor"), "new_case", current, MOMENT, ScreenSettings())
        note_crew(ledger, "1.1", step.entries[0].kind, step.entries[0].body)
        assert source.read().current is None
        arrive(ledger, "1.1", 2, "1.2.840.10008.5.1.4.1.1.88.67")
        assert source.read().current is None, "a dose report is no image"
        arrive(ledger, "1.1", 3)
        again = source.read().current
        assert again is not None and again.images == 2


def test_a_result_is_read_again_only_when_there_is_another_revision(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        refuse(ledger, "1.1")
        first = source.read().current
        assert first is not None and first.result is not None and first.result.revision == 1
        again = source.read().current
        assert again is not None and again.result is first.result
        refuse(ledger, "1.1")
        second = source.read().current
        assert second is not None and second.result is not None and second.result.revision == 2


def test_a_withdrawn_result_leaves_only_its_trace(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        refuse(ledger, "1.1")
        assert source.read().current is not None
        ledger.put_study("1.1", StudyStatus.RECEIVING)
        study = source.read().current
        assert study is not None and study.result is None and study.result_instance_id == 1


def test_a_study_that_was_removed_to_make_room_is_none_that_nobody_looks_at(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        arrive(ledger, "1.2", 1)
        refuse(ledger, "1.1")
        assert [study.study_uid for study in source.read().studies] == ["1.2", "1.1"]
        with ledger.transaction() as db:
            db.execute("UPDATE outbox SET state = 'sent'")
        assert remove_study(ledger, "1.1")
        assert [study.study_uid for study in source.read().studies] == ["1.2"]
        arrive(ledger, "1.1", 1)
        assert [(study.study_uid, study.images) for study in source.read().studies] == [("1.1", 1), ("1.2", 1)]


def test_the_list_is_bounded_but_a_chosen_case_stays_in_it(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger, ledger.transaction():
        source = SnapshotSource(ledger)
        for number in range(CASES_SHOWN + 3):
            arrive(ledger, f"1.{number}", 1)
        assert len(source.read().studies) == CASES_SHOWN
        chosen = source.read("1.0")
        assert chosen.find("1.0") is not None
        assert chosen.frames_of == "1.0"
        assert source.read("9.9").frames_of == f"1.{CASES_SHOWN + 2}"


@pytest.mark.requirement("R43", "R55")
def test_what_was_announced_belongs_to_the_next_study_and_to_no_other(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        source = SnapshotSource(ledger)
        arrive(ledger, "1.1", 1)
        note_crew(ledger, "", "lkw", {"at": "2026-03-14T11:00:00+00:00"})
        assert source.read().announced is None
        note_crew(ledger, "", "announced", {"over": False})
        snapshot = source.read()
        assert snapshot.announced is not None and snapshot.announced_lkw is None, "that was of another announcement"
        note_crew(ledger, "", "lkw", {"at": "2026-03-14T13:00:00+00:00"})
        snapshot = source.read()
        assert snapshot.announced_lkw is not None and snapshot.studies[0].announced_lkw is None
        arrive(ledger, "1.2", 1)
        arrive(ledger, "1.3", 1)
        snapshot = source.read()
        assert snapshot.announced is None and snapshot.announced_lkw is None
        taken = {study.study_uid: study.announced_lkw for study in snapshot.studies}
        assert taken["1.2"] is not None and taken["1.2"].body["at"].startswith("2026-03-14T13")
        assert taken["1.1"] is None and taken["1.3"] is None
        note_crew(ledger, "", "announced", {"over": False})
        note_crew(ledger, "", "announced", {"over": True})
        assert source.read().announced is None


@pytest.mark.requirement("R43", "R55")
def test_last_known_well_goes_to_the_next_patient_although_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        arrive(ledger, "1.1", 1)
        note_crew(ledger, "", "announced", {"over": False})
        note_crew(ledger, "", "lkw", {"at": "2026-03-14T13:00:00+00:00"})
        with monkeypatch.context() as set_back:
            set_back.setattr("edge_app.store.ledger.utc_now", lambda: utc_now() - timedelta(hours=1))
            arrive(ledger, "1.2", 1)
        arrive(ledger, "1.3", 1)
        taken = {study.study_uid: study.announced_lkw is not None for study in SnapshotSource(ledger).read().studies}
        assert taken == {"1.1": False, "1.2": True, "1.3": False}


@pytest.mark.requirement("R43", "R55")
@pytest.mark.parametrize(("late_s", "taken"), [(ANNOUNCED_S - 60, True), (ANNOUNCED_S + 60, False)])
def test_a_study_that_comes_too_late_is_not_of_the_patient_who_was_announced(
    late_s: float, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(StorePaths(tmp_path), "screen") as ledger:
        with monkeypatch.context() as earlier:
            earlier.setattr("edge_app.store.crew.utc_now", lambda: utc_now() - timedelta(seconds=late_s))
            note_crew(ledger, "", "announced", {"over": False})
            note_crew(ledger, "", "lkw", {"at": "2026-03-14T13:00:00+00:00"})
        arrive(ledger, "1.1", 1)
        assert (SnapshotSource(ledger).read().studies[0].announced_lkw is not None) is taken
