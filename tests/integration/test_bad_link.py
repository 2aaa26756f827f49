"""The way out over a thin, slow and lossy link with an outage (the long ones: tests/benchmarks/bad_link.py)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from edge_app.reports import message_uid
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.bad_links import CAR, CENTRE, bad_link, why_not
from tests.delivering import CENTRE_PORT, all_sent, centre, objects, originals, start
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_after_an_outage_everything_is_there_once_and_the_message_was_first(tmp_path: Path) -> None:
    destination = f"CSC@{CENTRE}:{CENTRE_PORT}"
    with (
        Ledger(StorePaths(tmp_path / "store"), "test") as ledger,
        bad_link() as link,
        centre(tmp_path / "centre", prefix=link.centre, peer=f"MSU1@{CAR}") as there,
    ):
        add_ct_study(ledger, slices=3)
        link.shape(kbit_s=256, round_trip_ms=200, loss_percent=5)
        process = start(ledger, destination, prefix=link.car, stalled_timeout_s=2.0, connect_timeout_s=2.0)
        try:
            wait_until(lambda: "deliver" in ledger.heartbeats(), "it lives")
            ledger.add_result(study_result(slices=3), last_instance_id=3)
            wait_until(there.instances, "the first object is there")
            link.shape(kbit_s=256, round_trip_ms=200, loss_percent=100)
            wait_until(lambda: ledger.heartbeats()["deliver"].detail["link"] == "down", "the link is down")
            assert not all_sent(ledger)
            link.shape(kbit_s=256, round_trip_ms=200, loss_percent=5)
            wait_until(lambda: all_sent(ledger), "everything is sent")
            wait_until(lambda: _proofs(ledger, destination) == {"committed"}, "the centre has taken over everything")
        finally:
            process.terminate()
            process.wait()
        rows = there.instances()
        assert rows[0].sop_uid == message_uid(ct_uid(1), 1)
        sent = originals(ledger) | objects(ledger)
        assert {row.sop_uid: row.sha256 for row in rows} == {
            uid: hashlib.sha256(content).hexdigest() for uid, content in sent.items()
        }
        assert len(rows) == len(sent)
        assert not there.conflicts(ct_uid(1))


def _proofs(ledger: Ledger, destination: str) -> set[str]:
    return {row.proof for row in outbox.deliveries(ledger, ct_uid(1), destination).values()}


def test_a_link_that_dies_while_the_answer_is_awaited_is_noticed() -> None:
    """Everything we sent is acknowledged by then, so that nothing is sent again which could fail."""
    with bad_link() as link:
        link.shape(kbit_s=256, round_trip_ms=20, loss_percent=0)
        peer = subprocess.Popen([*link.centre, sys.executable, "-c", SILENT_PEER], stdout=subprocess.PIPE, text=True)
        caller = None
        try:
            assert peer.stdout is not None and peer.stdout.readline() == "listening\n"
            caller = subprocess.Popen([*link.car, sys.executable, "-c", CALLER], stdout=subprocess.PIPE, text=True)
            assert peer.stdout.readline() == "all there\n"
            link.shape(kbit_s=256, round_trip_ms=20, loss_percent=100)
            out, _ = caller.communicate(timeout=60)
            assert out == "noticed\n"
        finally:
            for process in filter(None, (peer, caller)):
                process.kill()
                process.communicate()


SILENT_PEER = f"""
import socket
server = socket.create_server(("{CENTRE}", {CENTRE_PORT}))
print("listening", flush=True)
connection, _ = server.accept()
assert connection.recv(4) == b"here"
print("all there", flush=True)
connection.recv(1)
"""

CALLER = f"""
import socket
from edge_app.delivery.calls import prepare_socket
connection = socket.create_connection(("{CENTRE}", {CENTRE_PORT}))
prepare_socket(connection, 2.0)
connection.sendall(b"here")
try:
    connection.recv(1)
except TimeoutError:
    print("noticed", flush=True)
"""
