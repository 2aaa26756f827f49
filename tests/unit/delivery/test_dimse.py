from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.dul import DULServiceProvider
from pynetdicom.sop_class import CTImageStorage, Verification

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError, SendError
from edge_app.delivery.address import Address, parse_address
from edge_app.delivery.dimse import PDU_BYTES, Link
from edge_app.delivery.items import Item, data_set_of, items_of_instances
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import encode
from tests.peers import free_port
from tests.stored_studies import add_ct_study, ct_slice

SETTINGS = DeliverySettings(connect_timeout_s=60.0, answer_timeout_s=60.0, stalled_timeout_s=60.0)


@contextmanager
def peer(
    handle_store: object, *syntaxes: str, storage: bool = True, handlers: Sequence[tuple[object, object]] = ()
) -> Iterator[Address]:
    """Run a pynetdicom SCP that takes PDUs of any length and answers C-STORE with `handle_store`."""
    ae = AE(ae_title="CSC")
    ae.maximum_pdu_size = 0
    ae.add_supported_context(Verification)
    if storage:
        ae.add_supported_context(CTImageStorage, list(syntaxes))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle_store), *handlers])
    try:
        yield parse_address(f"CSC@127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        _collect_sockets()


def _collect_sockets() -> None:
    """Do away with what pynetdicom leaves to the garbage collector: the socket of a connection that was cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def items(tmp_path: Path) -> tuple[Item, ...]:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger, slices=2, syntax=RLELossless)
        return items_of_instances(ledger.instances(), ledger.paths)


def always() -> bool:
    return True


def test_a_data_set_leaves_byte_by_byte_in_the_syntax_it_was_stored_in(items: tuple[Item, ...]) -> None:
    received = []

    def handle_store(event: evt.Event) -> int:
        received.append((event.context.transfer_syntax, event.request.DataSet.getvalue()))
        return 0

    with peer(handle_store, ExplicitVRLittleEndian, RLELossless) as there, Link(there, SETTINGS, items, always) as link:
        receipts = [link.send(item) for item in items]
    assert received == [(RLELossless, data_set_of(item.path)) for item in items]
    assert [(r.status, r.transfer_syntax_uid) for r in receipts] == [(0, RLELossless)] * 2


def test_a_large_object_leaves_in_short_pdus_however_long_ones_the_peer_takes(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path / "large"), "test") as ledger:
        add_ct_study(ledger, slices=1, size=256)
        (item,) = items_of_instances(ledger.instances(), ledger.paths)
    lengths = []

    def on_pdu(event: evt.Event) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            lengths.append(event.pdu.pdu_length)

    pdus = [(evt.EVT_PDU_RECV, on_pdu)]
    with (
        peer(lambda event: 0, ExplicitVRLittleEndian, handlers=pdus) as there,
        Link(there, SETTINGS, [item], always) as link,
    ):
        assert link.send(item).status == 0
    assert len(lengths) > 8
    assert max(lengths) <= PDU_BYTES


def test_a_peer_without_that_syntax_gets_the_same_instance_uncompressed(items: tuple[Item, ...]) -> None:
    received = []

    def handle_store(event: evt.Event) -> int:
        received.append((event.context.transfer_syntax, event.dataset.SOPInstanceUID))
        return 0

    with peer(handle_store, ImplicitVRLittleEndian) as there, Link(there, SETTINGS, items, always) as link:
        assert link.send(items[0]).transfer_syntax_uid == ImplicitVRLittleEndian
    assert received == [(ImplicitVRLittleEndian, items[0].sop_uid)]


def test_a_peer_that_takes_no_ct_refuses_the_object_and_not_the_link(items: tuple[Item, ...]) -> None:
    with (
        peer(lambda event: 0, storage=False) as there,
        Link(there, SETTINGS, items, always) as link,
        pytest.raises(SendError, match="takes no"),
    ):
        link.send(items[0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_not_there_is_a_broken_link(items: tuple[Item, ...]) -> None:
    nobody = parse_address(f"CSC@127.0.0.1:{free_port()}")
    with pytest.raises(NetworkError, match="does not answer"), Link(nobody, SETTINGS, items, always):
        pass
    # pynetdicom leaves a socket that never connected to the garbage collector.
    gc.collect()


def test_an_abort_in_the_middle_is_a_broken_link(items: tuple[Item, ...]) -> None:
    def handle_store(event: evt.Event) -> int:
        event.assoc.abort()
        return 0

    with (
        peer(handle_store, RLELossless) as there,
        pytest.raises(NetworkError, match="connection broke"),
        Link(there, SETTINGS, items, always) as link,
    ):
        link.send(items[0])


def test_a_stop_cuts_a_link_whose_peer_never_answers(items: tuple[Item, ...]) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def handle_store(event: evt.Event) -> int:
        asked.set()
        let_go.wait(30)
        return 0

    with peer(handle_store, RLELossless) as there:
        try:
            with (
                pytest.raises(NetworkError, match="stopped"),
                Link(there, SETTINGS, items, lambda: not asked.is_set()) as link,
            ):
                link.send(items[0])
        finally:
            let_go.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves it open
def test_a_connection_that_does_not_come_about_is_cut_and_keeps_no_process_from_ending(
    items: tuple[Item, ...],
) -> None:
    before, connecting = set(threading.enumerate()), list[DULServiceProvider]()

    def until_it_connects() -> bool:
        new = set(threading.enumerate()) - before
        connecting.extend(thread for thread in new if isinstance(thread, DULServiceProvider))
        return not connecting

    with ExitStack() as stack:
        # Whoever waits to be taken up fills the queue: the kernel then answers nobody, like a link without coverage.
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = parse_address(f"CSC@127.0.0.1:{full.getsockname()[1]}")
        with pytest.raises(NetworkError, match="stopped"), Link(address, SETTINGS, items, until_it_connects):
            pytest.fail("connected")
    assert [thread.daemon for thread in connecting] == [True]
    while connecting:
        connecting.pop().join()
    _collect_sockets()


@pytest.mark.parametrize("takes", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("came", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_a_peer_that_takes_no_retired_syntax_gets_the_same_values_in_another(
    tmp_path: Path, came: str, takes: str
) -> None:
    original, got = ct_slice(1, 1), []
    sent = ct_slice(1, 1)
    sent.add_new(0x00281221, "OW", b"\1\0\2\0")
    original.add_new(0x00281221, "OW", b"\1\0\2\0")
    if came == ExplicitVRBigEndian:
        for keyword in ("PixelData", "SegmentedRedPaletteColorLookupTableData"):
            sent[keyword].value = np.frombuffer(sent[keyword].value, "<u2").astype(">u2").tobytes()

    def store(event: evt.Event) -> int:
        event.dataset.file_meta = event.file_meta
        got.append(event.dataset)
        return 0x0000

    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        Inbox(ledger, min_free_bytes=0).add_instance(
            encode(sent, came), sop_uid=sent.SOPInstanceUID, sop_class_uid=sent.SOPClassUID, transfer_syntax_uid=came,
            association_id="test", source_aet="SCANNER",
        )  # fmt: skip
        (item,) = items_of_instances(ledger.instances(), ledger.paths)
        with peer(store, takes) as address, Link(address, SETTINGS, [item], lambda: True) as link:
            assert link.send(item).accepted
    (received,) = got
    assert np.array_equal(received.pixel_array, original.pixel_array)
    del received.file_meta
    assert [(e.tag, e.value) for e in received] == [(e.tag, e.value) for e in original]
