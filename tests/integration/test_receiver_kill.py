"""[R11] kill -9 of the receiver during a transfer loses no acknowledged instance."""

from __future__ import annotations

import hashlib
import itertools
import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.association import Association

from edge_app.store import audit
from edge_app.store.associations import associations
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import encode, make_dataset
from tests.integration.receiving import associating, in_thread, send, start_process
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def _transfer(
    port: int, acknowledged: dict[str, str], kill_at: int, moment: threading.Event, senders: list[Association]
) -> None:
    """Send until the connection breaks, noting what was acknowledged; call for the kill after `kill_at` slices.

    There is always one more: however late the kill comes, it falls into the transfer.
    """
    with associating(port) as association:
        senders.append(association)
        for index in itertools.count():
            dataset = make_dataset(pixel=index % 256)
            if index == kill_at:
                moment.set()
            if not association.is_established or send(association, dataset) != 0x0000:
                association.abort()  # there is nobody left to release it
                break
            acknowledged[dataset.SOPInstanceUID] = hashlib.sha256(encode(dataset)).hexdigest()
    moment.set()


@pytest.mark.parametrize("kill_at", [0, 1, 3, 7, 12, 20])
def test_every_acknowledged_slice_survives(tmp_path: Path, kill_at: int) -> None:
    acknowledged: dict[str, str] = {}
    moment = threading.Event()
    senders: list[Association] = []
    receiver = start_process(tmp_path)
    with Ledger(StorePaths(tmp_path), "test") as ledger:
        sender = in_thread(_transfer, receiver.port, acknowledged, kill_at, moment, senders)
        assert moment.wait(60)
        # A sender is told that it may go ahead before its association is noted.
        wait_until(lambda: associations(ledger), "the association is noted")
        receiver.kill()
    for association in senders:  # pynetdicom's sender may miss the end of the connection, and waits for its time-out
        association.dimse.msg_queue.put((None, None))
    sender.join()
    assert len(acknowledged) >= kill_at

    again = start_process(tmp_path)  # sweeps before it listens
    assert again.stop() == 0
    with Ledger(StorePaths(tmp_path), "test") as ledger:
        rows = {row.sop_uid: row for row in ledger.instances()}
        for sop_uid, sha256 in acknowledged.items():
            assert rows[sop_uid].sha256 == sha256
        for row in rows.values():
            content = (tmp_path / row.path).read_bytes()
            assert len(content) == row.size
            assert hashlib.sha256(encode(dcmread(tmp_path / row.path))).hexdigest() == row.sha256
        on_disk = {p.relative_to(tmp_path).as_posix() for p in (tmp_path / "instances").rglob("*") if p.is_file()}
        assert on_disk == {row.path for row in rows.values()}
        assert [row.outcome for row in associations(ledger)] == ["lost"]
        with ledger.transaction() as db:
            assert audit.verify(db) is None
