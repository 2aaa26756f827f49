"""The ledger: whole transactions or none, one word per association, no other version."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest

from edge_app.core.errors import StoreError
from edge_app.store import audit
from edge_app.store.associations import associations, close_association, close_orphaned_associations, open_association
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import STUDY_UID, add, make_instance


def _events(ledger: Ledger) -> list[str]:
    with ledger.transaction() as db:
        return [row[0] for row in db.execute("SELECT event FROM audit ORDER BY seq")]


def test_a_block_that_fails_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction():
        ledger.audit("first", {})
        raise RuntimeError("in the middle")
    assert _events(ledger) == []


def test_after_a_failed_commit_the_next_transaction_is_a_new_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_ledger: Ledger) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "_commit", fail)
        with pytest.raises(sqlite3.OperationalError):
            ledger.audit("lost", {})
    ledger.audit("kept", {})
    with Ledger(ledger.paths, "work") as other:
        assert _events(other) == ["kept"]


def test_threads_share_a_ledger_and_the_audit_chain_holds(ledger: Ledger) -> None:
    threads = [threading.Thread(target=lambda: [ledger.audit("event", {"n": n}) for n in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_events(ledger)) == 80
    with ledger.transaction() as db:
        assert audit.verify(db) is None


def test_a_ledger_is_not_closed_under_a_thread_that_writes(ledger: Ledger) -> None:
    writing, closed = threading.Event(), threading.Event()

    def write() -> None:
        with ledger.transaction():
            writing.set()
            assert not closed.wait(0.3)
            ledger.audit("test", {"last": True})

    def close() -> None:
        ledger.close()
        closed.set()

    threads = [threading.Thread(target=write), threading.Thread(target=close)]
    threads[0].start()
    assert writing.wait(20.0)
    threads[1].start()
    for thread in threads:
        thread.join()
    with Ledger(ledger.paths, "test") as again:
        assert again.read("SELECT body FROM audit") == [('{"last": true}',)]


def test_an_association_ends_once_and_the_first_word_counts(ledger: Ledger) -> None:
    open_association(ledger, "a1", "SCANNER", "MSU1", "10.0.0.1:104")
    close_association(ledger, "a1", "released")
    close_association(ledger, "a1", "aborted")
    (row,) = associations(ledger)
    assert (row.outcome, row.calling_aet) == ("released", "SCANNER")
    assert _events(ledger) == ["association_opened", "association_closed"]


def test_associations_of_a_dead_receiver_are_lost(ledger: Ledger) -> None:
    open_association(ledger, "a1", "SCANNER", "MSU1", "10.0.0.1:104")
    close_orphaned_associations(ledger)
    assert [row.outcome for row in associations(ledger)] == ["lost"]


def test_only_the_associations_that_brought_a_study_are_its_own(ledger: Ledger, inbox: Inbox) -> None:
    for name in ("a1", "a2"):
        open_association(ledger, name, "SCANNER", "MSU1", "10.0.0.1:104")
    add(inbox, make_instance(), association_id="a2")
    assert [row.id for row in associations(ledger, STUDY_UID)] == ["a2"]


def test_another_process_commit_changes_the_data_version(ledger: Ledger) -> None:
    with Ledger(ledger.paths, "work") as other:
        before = other.data_version()
        ledger.beat({"port": 104})
        assert other.data_version() != before
        assert other.heartbeats()["receive"].detail == {"port": 104}


def test_a_ledger_of_another_version_is_refused(ledger: Ledger) -> None:
    with ledger.transaction() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99"):
        Ledger(ledger.paths, "work")


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path)
    paths.ledger.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(StoreError):
        Ledger(paths, "receive")
    assert paths.ledger.read_bytes() == b"not a ledger" * 1000


def _open_and_beat(root: Path, name: str) -> None:
    with Ledger(StorePaths(root), name) as ledger:
        ledger.beat()


def test_four_processes_may_open_an_empty_store_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("receive", "work", "screen", "deliver")
    processes = [context.Process(target=_open_and_beat, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with Ledger(StorePaths(tmp_path), "doctor") as ledger:
        assert sorted(ledger.heartbeats()) == sorted(names)


def test_a_ledger_of_an_older_release_gets_the_tables_it_lacks(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path)
    with Ledger(paths, "old") as ledger:
        ledger.audit("kept", {})
        with ledger.transaction() as db:
            db.execute("DROP TABLE heartbeats")
            db.execute("DROP INDEX instances_by_study")
    with Ledger(paths, "new") as ledger:
        ledger.beat()
        assert ledger.read("SELECT COUNT(*) FROM audit WHERE event = 'kept'") == [(1,)]
        assert ledger.read("SELECT name FROM sqlite_master WHERE name = 'instances_by_study'")
