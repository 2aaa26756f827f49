"""The association that waits for a result: used for its message, out of the way of everything else."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from edge_app.core.config import DeliverySettings
from edge_app.delivery import standby
from edge_app.delivery.address import Address, parse_address
from edge_app.delivery.items import Item, item_of_file
from edge_app.delivery.standby import Standby
from edge_app.reports import write_reports
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.stored_studies import add_ct_study, study_result
from tests.waiting import wait_until

SETTINGS = DeliverySettings(connect_timeout_s=60.0, answer_timeout_s=60.0, stalled_timeout_s=60.0)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to answer than a link is given; a test of impatience says so itself."""
    for name in ("PATIENCE_S", "PATIENCE_MIN_S", "CLOSE_S"):
        monkeypatch.setattr(standby, name, 60.0)


class Peer:
    """What a pynetdicom SCP saw; `silent` makes it answer no C-STORE."""

    def __init__(self) -> None:
        self.opened = 0
        self.received: list[str] = []
        self.closed, self.let_go = threading.Event(), threading.Event()
        self.rejected = threading.Event()
        self.silent = self.slow = False
        self.most = 10

    def on_asked(self, _: evt.Event) -> None:
        if self.slow:
            self.let_go.wait(1)  # longer than a call waits before it looks up

    def on_opened(self, _: evt.Event) -> None:
        self.opened += 1

    def on_closed(self, _: evt.Event) -> None:
        self.closed.set()

    def handle_store(self, event: evt.Event) -> int:
        if self.silent:
            self.let_go.wait(30)
        self.received.append(event.request.AffectedSOPInstanceUID)
        return 0


@contextmanager
def listening(peer: Peer) -> Iterator[Address]:
    ae = AE(ae_title="CSC")
    ae.maximum_associations = peer.most
    ae.add_supported_context(Verification)
    ae.add_supported_context(BasicTextSRStorage, ExplicitVRLittleEndian)
    handlers = [
        (evt.EVT_REQUESTED, peer.on_asked),
        (evt.EVT_ACCEPTED, peer.on_opened),
        (evt.EVT_REJECTED, lambda _: peer.rejected.set()),
        (evt.EVT_CONN_CLOSE, peer.on_closed),
        (evt.EVT_C_STORE, peer.handle_store),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield parse_address(f"CSC@127.0.0.1:{server.server_address[1]}")
    finally:
        peer.let_go.set()
        server.shutdown()
        with warnings.catch_warnings():
            # pynetdicom leaves the socket of a connection that was cut to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@contextmanager
def held(ledger: Ledger, address: Address) -> Iterator[Standby]:
    made = Standby(ledger, SETTINGS, address)
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert made.problem is None


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[tuple[Ledger, Item]]:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger)
        result = ledger.add_result(study_result(), last_instance_id=6)
        yield ledger, item_of_file(write_reports(result, ledger, ledger.paths)[0])


def test_a_message_goes_over_the_association_that_is_held_open(stored: tuple[Ledger, Item]) -> None:
    ledger, message = stored
    peer = Peer()
    with listening(peer) as address, held(ledger, address) as waiting:
        assert waiting.send(message) is None
        waiting.resume()
        receipt = wait_until(lambda: waiting.send(message), "the association is open")
        assert receipt.status == 0
        assert peer.received == [message.sop_uid]


def test_it_is_closed_before_another_one_is_opened(stored: tuple[Ledger, Item]) -> None:
    ledger, message = stored
    peer = Peer()
    with listening(peer) as address, held(ledger, address) as waiting:
        waiting.resume()
        wait_until(lambda: waiting.send(message), "the association is open")
        waiting.step_aside()
        assert peer.closed.wait(60)
        assert waiting.send(message) is None
        waiting.resume()
        wait_until(lambda: waiting.send(message), "it is open again")


def test_as_soon_as_it_stands_it_shows_whether_the_peer_serves_a_second_one(stored: tuple[Ledger, Item]) -> None:
    ledger, message = stored
    peer = Peer()
    with listening(peer) as address, held(ledger, address) as waiting:
        waiting.resume()
        wait_until(lambda: peer.opened == 2 and peer.closed.wait(0.05), "a second one was opened, and closed again")
        waiting.make_room()
        assert waiting.send(message) is not None


def test_where_the_peer_serves_one_at_a_time_it_makes_room(stored: tuple[Ledger, Item]) -> None:
    ledger, message = stored
    peer = Peer()
    peer.most = 1
    with listening(peer) as address, held(ledger, address) as waiting:
        waiting.resume()
        assert peer.rejected.wait(60)
        assert waiting.send(message) is not None
        waiting.make_room()
        assert waiting.send(message) is None


def test_beside_an_open_association_a_second_one_is_tried_and_then_kept(
    stored: tuple[Ledger, Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, message = stored
    monkeypatch.setattr(standby, "TRY_AFTER_S", 0.0)
    peer = Peer()
    peer.slow = True
    with listening(peer) as address, held(ledger, address) as waiting:
        waiting.make_room()
        with waiting.other():
            receipt = wait_until(lambda: waiting.send(message), "a second association is open")
            assert receipt.accepted
        waiting.make_room()
        assert waiting.send(message) is not None
        waiting.doubt()
        assert waiting.send(message) is None


def test_a_peer_that_does_not_answer_in_time_gets_the_message_the_usual_way(
    stored: tuple[Ledger, Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, message = stored
    monkeypatch.setattr(standby, "PATIENCE_S", 0.3)
    peer = Peer()
    with listening(peer) as address, held(ledger, address) as waiting:
        waiting.resume()
        wait_until(lambda: waiting.send(message), "the association is open")
        peer.silent = True
        assert waiting.send(message) is None
        assert waiting.send(message) is None


def test_it_ends_although_a_result_is_expected_and_it_is_told_to_resume_meanwhile(
    stored: tuple[Ledger, Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = stored
    looking, aside = threading.Event(), threading.Event()

    def expects_message(_: Ledger) -> bool:
        looking.set()
        if aside.wait(30):
            waiting.resume()  # as the runner's thread does after its last step
        return True

    monkeypatch.setattr(standby.outbox, "expects_message", expects_message)
    with listening(Peer()) as address:
        waiting = Standby(ledger, SETTINGS, address)
        step_aside = waiting.step_aside
        monkeypatch.setattr(waiting, "step_aside", lambda: (step_aside(), aside.set()))
        waiting.start()
        assert looking.wait(30)
        stopping = threading.Thread(target=waiting.stop, daemon=True)
        stopping.start()
        wait_until(lambda: not stopping.is_alive(), "it has ended", deadline_s=20)
    assert waiting.problem is None


def test_without_a_case_none_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    expects_message = standby.outbox.expects_message

    def look(ledger: Ledger) -> bool:
        looks.append(expects_message(ledger))
        return looks[-1]

    monkeypatch.setattr(standby.outbox, "expects_message", look)
    monkeypatch.setattr(standby, "POLL_S", 0.05)
    peer = Peer()
    with (
        Ledger(StorePaths(tmp_path / "store"), "test") as ledger,
        listening(peer) as address,
        held(ledger, address) as waiting,
    ):
        waiting.resume()
        before = len(looks)
        wait_until(lambda: len(looks) >= before + 3, "it has looked, gone on, and looked again")
        assert not any(looks)
    assert peer.opened == 0
