"""Room is made with delivered studies only, oldest first, and only when it is needed."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store import outbox, proofs, retention
from edge_app.store.choices import choose_series, series_choice
from edge_app.store.inbox import Inbox, Outcome
from edge_app.store.ledger import Ledger
from tests.instances import add, make_instance


def _analyse(ledger: Ledger, study_uid: str, *, sent: bool, series_entry: int = 0) -> None:
    last = ledger.instances(study_uid=study_uid)[-1].id
    result = StudyResult(
        study_uid, "", StudyStatus.NO_RESULT, None, None, (), None, (), None, None, {}, series_entry=series_entry
    )  # fmt: skip
    ledger.add_result(result, last_instance_id=last)
    if sent:
        with ledger.transaction() as db:
            db.execute("UPDATE outbox SET state = 'sent' WHERE study_uid = ?", (study_uid,))


@pytest.fixture
def three_delivered(ledger: Ledger, inbox: Inbox) -> Ledger:
    for study_uid in ("1.1", "1.2", "1.3"):
        add(inbox, make_instance(study_uid=study_uid))
        _analyse(ledger, study_uid, sent=True)
    return ledger


def test_above_the_low_watermark_nothing_goes(three_delivered: Ledger) -> None:
    assert retention.make_room(three_delivered, low_bytes=10, high_bytes=20, free_bytes=lambda: 10) == []
    assert len(three_delivered.instances()) == 3


def test_the_oldest_go_until_the_high_watermark_is_reached(three_delivered: Ledger) -> None:
    free = iter([5, 5, 15, 25])
    removed = retention.make_room(three_delivered, low_bytes=10, high_bytes=20, free_bytes=lambda: next(free))
    assert removed == ["1.1", "1.2"]
    assert [row.study_uid for row in three_delivered.instances()] == ["1.3"]
    assert not three_delivered.paths.instance("1.1", "x").parent.exists()
    assert three_delivered.paths.instance("1.3", "x").parent.exists()
    assert three_delivered.latest_result("1.1") is not None


def test_what_has_not_been_delivered_in_full_stays(ledger: Ledger, inbox: Inbox) -> None:
    add(inbox, make_instance(study_uid="1.1"))
    add(inbox, make_instance(study_uid="1.2"))
    _analyse(ledger, "1.2", sent=False)
    add(inbox, make_instance(study_uid="1.3"))
    _analyse(ledger, "1.3", sent=True)
    add(inbox, make_instance(study_uid="1.3"))  # a late slice, in no result yet
    add(inbox, make_instance("1.9.9", study_uid="1.4"))
    _analyse(ledger, "1.4", sent=True)
    add(inbox, make_instance("1.9.9", study_uid="1.4", pixel=4))  # other bytes that nobody was sent
    assert retention.make_room(ledger, low_bytes=10, high_bytes=20, free_bytes=lambda: 0) == []
    assert len(ledger.instances()) == 5
    assert not retention.remove_study(ledger, "1.1")


def test_a_study_stays_until_the_series_that_the_crew_chose_was_analysed(three_delivered: Ledger) -> None:
    choose_series(three_delivered, "1.1", "1.1.7", by="nurse")
    assert not retention.remove_study(three_delivered, "1.1")
    assert retention.delivered_studies(three_delivered) == ["1.2", "1.3"]
    _analyse(three_delivered, "1.1", sent=True, series_entry=series_choice(three_delivered, "1.1").entry)
    assert retention.remove_study(three_delivered, "1.1")


def test_a_removed_study_may_come_again(three_delivered: Ledger, inbox: Inbox) -> None:
    assert retention.remove_study(three_delivered, "1.1")
    assert add(inbox, make_instance(study_uid="1.1")) is Outcome.STORED
    (row,) = three_delivered.instances(study_uid="1.1")
    assert (three_delivered.paths.root / row.path).is_file()


def test_an_image_that_is_written_while_its_study_is_removed_harms_neither(
    three_delivered: Ledger, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_to_write, removing, written = threading.Event(), threading.Event(), threading.Event()
    write_beside, unlink, outcomes = inbox._write_beside, os.unlink, []
    sender = threading.Thread(target=lambda: outcomes.append(add(inbox, make_instance(study_uid="1.1"))))

    def write_while_it_is_removed(*arguments: Any) -> Path:
        about_to_write.set()
        assert removing.wait(20.0)
        part = write_beside(*arguments)
        written.set()
        return part

    def unlink_when_it_is_written(*arguments: Any, **options: Any) -> None:
        removing.set()
        assert written.wait(20.0)
        unlink(*arguments, **options)

    monkeypatch.setattr(inbox, "_write_beside", write_while_it_is_removed)
    sender.start()
    assert about_to_write.wait(20.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", unlink_when_it_is_written)
        assert retention.remove_study(three_delivered, "1.1")
    sender.join()
    assert outcomes == [Outcome.STORED]
    (row,) = three_delivered.instances(study_uid="1.1")
    path = three_delivered.paths.root / row.path
    assert list(path.parent.iterdir()) == [path]
    assert not path.parent.with_name(path.parent.name + retention.REMOVED_SUFFIX).exists()


@pytest.mark.requirement("R83")
def test_a_study_stays_some_days_after_its_delivery_was_proved(three_delivered: Ledger) -> None:
    for study_uid, days in (("1.1", 8), ("1.2", 6), ("1.3", 0)):
        outbox.note_sent(
            three_delivered, "CSC@centre:104", study_uid, f"{study_uid}.1", status=0, transfer_syntax_uid="", sha256=""
        )
        with three_delivered.transaction() as db:
            proved = utc_iso(utc_now() - timedelta(days=days))
            db.execute("UPDATE deliveries SET proved_utc = ? WHERE study_uid = ?", (proved, study_uid))
    assert retention.delivered_studies(three_delivered, keep_days=7) == ["1.1"]
    proofs.note_proof(three_delivered, "CSC@centre:104", ["1.1.1"], "committed")
    assert retention.delivered_studies(three_delivered, keep_days=7) == []
    assert not retention.remove_study(three_delivered, "1.1", keep_days=7)
    assert retention.make_room(
        three_delivered, low_bytes=10, high_bytes=20, free_bytes=lambda: 0, keep_days=5
    ) == ["1.2"]  # fmt: skip


def test_a_study_that_a_destination_was_asked_to_commit_to_waits_for_the_answer(three_delivered: Ledger) -> None:
    proofs.request_commitment(three_delivered, "2.25.1", "CSC@centre:104", "1.1")
    assert retention.delivered_studies(three_delivered) == ["1.2", "1.3"]
    proofs.answer_commitment(three_delivered, "2.25.1", [], [])
    assert retention.delivered_studies(three_delivered) == ["1.1", "1.2", "1.3"]


def test_an_answer_that_never_comes_is_not_waited_for_for_ever(three_delivered: Ledger) -> None:
    proofs.request_commitment(three_delivered, "2.25.1", "CSC@centre:104", "1.1")
    with three_delivered.transaction() as db:
        db.execute("UPDATE commitments SET requested_utc = ?", (utc_iso(utc_now() - timedelta(hours=1)),))
    assert retention.delivered_studies(three_delivered) == ["1.1", "1.2", "1.3"]
