"""[R11] What is acknowledged is durable; what is not durable is in no ledger."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from edge_app.core.errors import DiskFullError, HeaderError, MismatchError, StoreError
from edge_app.store import audit
from edge_app.store.inbox import Inbox, Outcome
from edge_app.store.ledger import Ledger
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID
from tests.instances import STUDY_UID, add, make_instance


def _files(ledger: Ledger) -> list[Path]:
    return sorted(p for p in (ledger.paths.root / "instances").rglob("*") if p.is_file())


def _only_file(ledger: Ledger) -> Path:
    (path,) = _files(ledger)
    return path


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.keyword,
)
def test_an_instance_is_written_byte_by_byte_behind_a_part_10_head(inbox: Inbox, ledger: Ledger, syntax: str) -> None:
    instance = make_instance(transfer_syntax_uid=syntax, PatientID="4711")
    assert add(inbox, instance) is Outcome.STORED
    (row,) = ledger.instances(study_uid=STUDY_UID)
    path = ledger.paths.root / row.path
    assert path.read_bytes().endswith(instance.content)
    assert path.stat().st_size == row.size
    assert (row.sop_uid, row.patient_id, row.transfer_syntax_uid) == (instance.sop_uid, "4711", syntax)
    read = dcmread(path)
    assert read.SOPInstanceUID == read.file_meta.MediaStorageSOPInstanceUID == instance.sop_uid
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.SourceApplicationEntityTitle == "SCANNER"


def test_a_memoryview_is_taken_in_as_bytes_are(inbox: Inbox, ledger: Ledger) -> None:
    instance = make_instance()
    assert inbox.add_instance(memoryview(instance.content), **instance.announced()) is Outcome.STORED
    assert _only_file(ledger).read_bytes().endswith(instance.content)


def test_the_same_data_set_again_is_one_instance_whoever_sends_it(inbox: Inbox, ledger: Ledger) -> None:
    instance = make_instance()
    add(inbox, instance)
    assert add(inbox, instance, association_id="a2", source_aet="OTHER") is Outcome.DUPLICATE
    assert len(ledger.instances()) == len(_files(ledger)) == 1
    assert ledger.conflicts(STUDY_UID) == []


def test_other_bytes_under_a_known_uid_are_kept_and_noted_as_conflict(inbox: Inbox, ledger: Ledger) -> None:
    first, second = make_instance("1.2.3"), make_instance("1.2.3", pixel=9)
    add(inbox, first)
    assert add(inbox, second) is Outcome.CONFLICT
    assert add(inbox, second) is Outcome.CONFLICT
    assert ledger.conflicts(STUDY_UID) == ["1.2.3"]
    assert {p.read_bytes()[-len(first.content) :] for p in _files(ledger)} == {first.content, second.content}
    assert add(inbox, first) is Outcome.DUPLICATE
    assert len(ledger.instances()) == 1


def test_a_uid_that_comes_in_two_studies_puts_both_in_doubt(inbox: Inbox, ledger: Ledger) -> None:
    add(inbox, make_instance("1.2.3"))
    assert add(inbox, make_instance("1.2.3", study_uid="1.9")) is Outcome.CONFLICT
    assert ledger.conflicts(STUDY_UID) == ledger.conflicts("1.9") == ["1.2.3"]


def test_an_acknowledged_file_that_was_lost_is_restored_by_sending_again(inbox: Inbox, ledger: Ledger) -> None:
    instance = make_instance()
    add(inbox, instance)
    _only_file(ledger).unlink()
    assert add(inbox, instance) is Outcome.DUPLICATE
    assert _only_file(ledger).read_bytes().endswith(instance.content)


def test_bytes_without_identity_go_to_quarantine_once(inbox: Inbox, ledger: Ledger) -> None:
    instance = make_instance()
    for _ in range(2):
        with pytest.raises(HeaderError):
            inbox.add_instance(b"\xff" * 300, **instance.announced())
    (kept,) = list(ledger.paths.quarantine.iterdir())
    assert kept.read_bytes() == b"\xff" * 300
    assert ledger.quarantined()[0][0] == f"quarantine/{kept.name}"
    assert ledger.instances() == []


def test_rubbish_never_takes_more_than_its_share_and_its_reasons_stay(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_app.store.inbox.QUARANTINE_MAX_BYTES", 1000)
    kept = [inbox.quarantine(bytes([number]) * 300, "rubbish", "a1") for number in range(5)]
    assert [path.exists() for path in kept] == [False, False, True, True, True]
    assert len(ledger.quarantined()) == 5


@pytest.mark.parametrize("announced", [{"sop_uid": "1.2.9"}, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}])
def test_an_instance_that_is_not_the_announced_one_is_refused(
    inbox: Inbox, ledger: Ledger, announced: dict[str, str]
) -> None:
    with pytest.raises(MismatchError):
        add(inbox, make_instance(), **announced)
    assert ledger.instances() == []
    assert len(ledger.quarantined()) == 1


def test_below_the_free_space_limit_nothing_is_written(ledger: Ledger) -> None:
    inbox = Inbox(ledger, min_free_bytes=1 << 62)
    assert inbox.is_low()
    with pytest.raises(DiskFullError):
        add(inbox, make_instance())
    assert _files(ledger) == []
    assert ledger.instances() == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_without_fsync_nothing_is_in_the_ledger(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) == (kind == "folder"):
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StoreError):
            add(inbox, make_instance("1.2.3"))
    assert ledger.instances() == []
    assert add(inbox, make_instance("1.2.3")) is Outcome.STORED


def test_a_full_disk_in_the_middle_of_a_file_is_a_full_disk(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFullError):
        add(inbox, make_instance())


def test_a_failed_commit_is_no_promise_and_the_next_one_holds(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_ledger: Ledger) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    instance = make_instance()
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "_commit", fail)
        with pytest.raises(StoreError):
            add(inbox, instance)
    assert ledger.instances() == []
    assert add(inbox, instance) is Outcome.STORED
    with Ledger(ledger.paths, "work") as other:
        assert [row.sop_uid for row in other.instances()] == [instance.sop_uid]


def test_nothing_half_written_is_left_behind_by_a_failure(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError):
        add(inbox, make_instance())
    assert _files(ledger) == []


def test_many_threads_sending_the_same_two_versions_agree_on_one_instance(inbox: Inbox, ledger: Ledger) -> None:
    versions = [make_instance("1.2.3", pixel=pixel) for pixel in (1, 2)]
    outcomes: list[Outcome] = []
    start = threading.Barrier(6)

    def send(index: int) -> None:
        start.wait()
        outcomes.append(add(inbox, versions[index % 2]))

    threads = [threading.Thread(target=send, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o.value for o in outcomes) == ["conflict"] * 3 + ["duplicate"] * 2 + ["stored"]
    (row,) = ledger.instances()
    stored = (ledger.paths.root / row.path).read_bytes()
    assert any(stored.endswith(v.content) for v in versions)
    with ledger.transaction() as db:
        assert audit.verify(db) is None
