"""Real senders (dcmtk, pynetdicom) push to the receiver over real sockets."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from edge_app.core.errors import NetworkError, StoreError
from edge_app.processes import receive
from edge_app.receiver import handlers
from edge_app.receiver.contexts import IMAGE_SYNTAXES
from edge_app.store import audit
from edge_app.store.associations import associations
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import STUDY_UID, make_dataset, write_files
from tests.integration.conftest import dcmtk
from tests.integration.receiving import Running, associating, in_thread, receiving, send, settings_for
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def _storescu(port: int, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [dcmtk("storescu"), "+sd", *options, "-aec", "MSU1", "127.0.0.1", str(port), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _wait_for(running: Running, *outcomes: str) -> None:
    wait_until(lambda: running.outcomes() == list(outcomes), f"associations {outcomes}")


def test_dcmtk_pushes_a_study_and_every_slice_is_in_the_ledger(tmp_path: Path) -> None:
    files = write_files(tmp_path / "study", 12)
    with receiving(tmp_path / "store") as running:
        pushed = _storescu(running.port, tmp_path / "study", "--required")
        assert pushed.returncode == 0, pushed.stderr
        rows = running.ledger.instances(study_uid=STUDY_UID)
        assert {row.sop_uid for row in rows} == {str(dcmread(f).SOPInstanceUID) for f in files}
        assert len(rows) == 12
        _wait_for(running, "released")
        (association,) = associations(running.ledger, STUDY_UID)
        assert (association.calling_aet, association.called_aet) == ("STORESCU", "MSU1")
        with running.ledger.transaction() as db:
            assert audit.verify(db) is None


def test_dcmtk_echo_is_answered(tmp_path: Path) -> None:
    with receiving(tmp_path) as running:
        command = [dcmtk("echoscu"), "-aec", "MSU1", "127.0.0.1", str(running.port)]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_the_smallest_pdus_are_put_together(tmp_path: Path) -> None:
    write_files(tmp_path / "study", 2)
    with receiving(tmp_path / "store", max_pdu_bytes=4096) as running:
        assert _storescu(running.port, tmp_path / "study", "--max-send-pdu", "4096").returncode == 0
        assert len(running.ledger.instances()) == 2


def test_a_study_sent_twice_is_one_study(tmp_path: Path) -> None:
    write_files(tmp_path / "study", 3)
    with receiving(tmp_path / "store") as running:
        for _ in range(2):
            assert _storescu(running.port, tmp_path / "study").returncode == 0
        assert len(running.ledger.instances()) == 3
        assert running.ledger.conflicts(STUDY_UID) == []


def test_another_image_under_the_same_uid_is_accepted_and_noted(tmp_path: Path) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        assert send(association, make_dataset("1.2.3")) == 0x0000
        assert send(association, make_dataset("1.2.3", pixel=7)) == 0x0000
        assert running.ledger.conflicts(STUDY_UID) == ["1.2.3"]


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ],
    ids=lambda uid: uid.keyword,
)
def test_what_was_sent_can_be_read_in_each_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    dataset = make_dataset()
    dataset.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    pixels = dataset.pixel_array.copy()
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    with receiving(tmp_path / "store") as running, associating(running.port, syntax=syntax) as association:
        assert send(association, dataset) == 0x0000
        (row,) = running.ledger.instances()
        assert row.transfer_syntax_uid == syntax
        stored = dcmread(running.ledger.paths.root / row.path)
    assert (stored.pixel_array == pixels).all()


def test_a_real_slice_in_every_transfer_syntax_is_stored(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(p for p in (shared_data / "transfer_syntaxes").iterdir() if p.suffix == ".dcm")
    stored = 0
    with receiving(tmp_path) as running:
        for path in files:
            dataset = dcmread(path)
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax not in IMAGE_SYNTAXES:
                continue
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.{stored + 1}"
            with associating(running.port, syntax=syntax) as association:
                assert send(association, dataset) == 0x0000, path.name
            stored += 1
        rows = running.ledger.instances()
    assert len(rows) == stored
    assert len({row.transfer_syntax_uid for row in rows}) >= 10


def test_two_scanners_push_at_the_same_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_files(tmp_path / name, 8, study_uid=f"1.2.{len(name)}.{ord(name[0])}")
    with receiving(tmp_path / "store") as running:
        done: list[int] = []
        threads = [
            in_thread(lambda n=name: done.append(_storescu(running.port, tmp_path / n).returncode))
            for name in ("one", "two")
        ]
        for thread in threads:
            thread.join()
        assert done == [0, 0]
        assert len(running.ledger.instances()) == 16
        assert len({row.association_id for row in running.ledger.instances()}) == 2


def test_a_full_disk_is_answered_with_a700_and_nothing_is_kept(tmp_path: Path) -> None:
    with receiving(tmp_path, min_free_bytes=1 << 62) as running, associating(running.port) as association:
        assert send(association, make_dataset()) == 0xA700
        assert running.ledger.instances() == []


def test_without_fsync_there_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with receiving(tmp_path) as running, associating(running.port) as association:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            assert send(association, make_dataset("1.2.3")) == 0xA701
        assert running.ledger.instances() == []
        assert send(association, make_dataset("1.2.3")) == 0x0000


def _no_commit(_ledger: Ledger) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_without_commit_there_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        _wait_for(running, "open")  # noted: it is the instance's own commit that fails
        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "_commit", _no_commit)
            assert send(association, make_dataset("1.2.3")) == 0xA701
        assert running.ledger.instances() == []
        assert send(association, make_dataset("1.2.3")) == 0x0000


def test_an_association_that_could_not_be_noted_takes_instances_once_the_disk_is_well(
    tmp_path: Path,
) -> None:
    with receiving(tmp_path) as running, ExitStack() as sender:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Ledger, "_commit", _no_commit)
            association = sender.enter_context(associating(running.port))
            assert send(association, make_dataset("1.2.3")) == 0xA701
            assert running.outcomes() == []
        assert send(association, make_dataset("1.2.3")) == 0x0000
        (row,) = running.ledger.instances()
        (noted,) = associations(running.ledger, STUDY_UID)
        assert (row.sop_uid, noted.calling_aet, noted.outcome) == ("1.2.3", "SCANNER", "open")
        sender.close()
        _wait_for(running, "released")


def test_an_association_that_cannot_be_noted_brings_nothing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(handlers, "open_association", fail)
    with receiving(tmp_path) as running, associating(running.port) as association:
        assert send(association, make_dataset()) == 0xA701
        assert running.ledger.instances() == []


def test_an_instance_that_is_not_the_announced_one_is_answered_with_a900(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        as_announced = running.inbox.add_instance
        monkeypatch.setattr(
            running.inbox, "add_instance", lambda content, **a: as_announced(content, **{**a, "sop_uid": "1.2.9"})
        )
        assert send(association, make_dataset()) == 0xA900
        assert len(running.ledger.quarantined()) == 1


def test_a_data_set_without_study_is_answered_with_c000_and_kept_in_quarantine(tmp_path: Path) -> None:
    dataset = make_dataset()
    del dataset.StudyInstanceUID
    with receiving(tmp_path) as running, associating(running.port) as association:
        assert send(association, dataset) == 0xC000
        ((_, reason),) = running.ledger.quarantined()
        assert "StudyInstanceUID" in reason


def test_what_was_acknowledged_stays_when_the_association_is_aborted(tmp_path: Path) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        assert send(association, make_dataset("1.2.3")) == 0x0000
        association.abort()
        _wait_for(running, "aborted")
        assert [row.sop_uid for row in running.ledger.instances()] == ["1.2.3"]


def test_what_was_acknowledged_stays_when_the_connection_breaks(tmp_path: Path) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        assert send(association, make_dataset("1.2.3")) == 0x0000
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        _wait_for(running, "aborted")
        assert len(running.ledger.instances()) == 1


def test_a_peer_that_goes_silent_is_let_go(tmp_path: Path) -> None:
    with receiving(tmp_path, network_timeout_s=0.3) as running, associating(running.port) as association:
        _wait_for(running, "aborted")
        wait_until(lambda: not association.is_established, "the peer is told")


def test_a_peer_that_stops_in_the_middle_of_a_pdu_is_let_go(tmp_path: Path) -> None:
    with receiving(tmp_path, pdu_timeout_s=0.3) as running, associating(running.port) as association:
        association.dul.socket.socket.sendall(b"\x04\x00\x00\x00\x10\x00half")
        _wait_for(running, "aborted")


def test_a_wrong_called_ae_title_is_refused(tmp_path: Path) -> None:
    with receiving(tmp_path) as running, associating(running.port, called_aet="OTHER") as association:
        assert association.is_rejected
        assert association.acceptor.primitive.diagnostic == 0x07
        assert running.outcomes() == []


def test_one_association_too_many_is_refused_and_the_self_check_still_passes(tmp_path: Path) -> None:
    with receiving(tmp_path, max_associations=2) as running:
        with associating(running.port) as first, associating(running.port) as second:
            with associating(running.port) as third:
                assert (first.is_established, second.is_established, third.is_rejected) == (True, True, True)
            running.receiver.check_self()
        _wait_for(running, "released", "released")
        with associating(running.port) as fourth:
            assert fourth.is_established


def test_the_self_check_leaves_no_association_in_the_ledger(tmp_path: Path) -> None:
    with receiving(tmp_path) as running:
        running.receiver.check_self()
        assert running.outcomes() == []


def test_a_receiver_whose_echo_handler_fails_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_ledger: Ledger) -> int:
        raise RuntimeError("stuck")

    with receiving(tmp_path) as running, monkeypatch.context() as patched:
        patched.setattr(Ledger, "data_version", fail)
        with pytest.raises(NetworkError):
            running.receiver.check_self()


def test_a_port_that_is_taken_is_refused_with_its_number(tmp_path: Path) -> None:
    with (
        receiving(tmp_path / "one") as running,
        pytest.raises(NetworkError, match=str(running.port)),
        receiving(tmp_path / "two", port=running.port),
    ):
        pytest.fail("two receivers on one port")


def _two(running: Running) -> list[threading.Thread] | None:
    own = running.receiver._ae
    threads = [thread for thread in threading.enumerate() if getattr(thread, "ae", None) is own]
    return threads if len(threads) == 2 and running.outcomes() == ["open"] else None


def test_a_stopping_receiver_lets_go_of_open_and_idle_connections(tmp_path: Path) -> None:
    with receiving(tmp_path) as running, associating(running.port) as association:
        with socket.create_connection(("127.0.0.1", running.port)):
            connections = wait_until(lambda: _two(running), "both connections")
            running.receiver.__exit__()
            assert not any(connection.is_alive() for connection in connections)
            wait_until(lambda: not association.is_established, "the peer is told")
        assert running.outcomes() == ["aborted"]


class TestProcess:
    def test_it_says_where_it_listens_beats_and_ends(self, tmp_path: Path) -> None:
        stop, addresses = threading.Event(), []
        settings = settings_for(tmp_path)
        thread = threading.Thread(
            target=receive.run,
            args=(settings,),
            kwargs={"ready": lambda *address: (addresses.append(address), stop.set()), "stop": stop},
        )
        thread.start()
        thread.join()
        ((aet, host, port),) = addresses
        assert (aet, host) == ("MSU1", "127.0.0.1")
        with Ledger(StorePaths(tmp_path), "test") as ledger:
            detail = ledger.heartbeats()["receive"].detail
        assert (detail["port"], detail["aet"], detail["low_disk"]) == (port, "MSU1", False)
        assert detail["free_bytes"] > 0

    def test_two_on_one_store_are_refused(self, tmp_path: Path) -> None:
        stop = threading.Event()
        refused: list[StoreError] = []

        def start_another(*_address: object) -> None:
            try:
                receive.run(settings_for(tmp_path), stop=stop)
            except StoreError as error:
                refused.append(error)
            stop.set()

        receive.run(settings_for(tmp_path), ready=start_another, stop=stop)
        assert "another process" in str(refused[0])

    def test_a_full_disk_shows_in_the_sign_of_life(self, tmp_path: Path) -> None:
        stop = threading.Event()
        settings = settings_for(tmp_path, min_free_bytes=1 << 62)
        receive.run(settings, ready=lambda *_: stop.set(), stop=stop)
        with Ledger(StorePaths(tmp_path), "test") as ledger:
            assert ledger.heartbeats()["receive"].detail["low_disk"] is True

    def test_without_an_answer_to_itself_it_gives_no_sign_of_life_and_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(receive, "BEAT_S", 0.01)
        monkeypatch.setattr(receive, "SELF_CHECK_S", 0.0)
        beats: list[None] = []
        original = receive._beat

        def fail(_receiver: object) -> None:
            raise NetworkError("no answer", remedy="none")

        def die(*_address: object) -> None:
            beats.clear()
            monkeypatch.setattr(receive.Receiver, "check_self", fail)

        monkeypatch.setattr(receive, "_beat", lambda *a: (beats.append(None), original(*a)))
        with pytest.raises(receive.ProcessError, match="3 C-ECHOs"):
            receive.run(settings_for(tmp_path), ready=die, stop=threading.Event())
        assert beats == []
