"""Peers that lie about lengths, stop, flood and talk nonsense: each is cut off, and nobody else notices."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.receiver import server
from tests.faults.raw_peer import (
    ABORT,
    ACCEPT,
    COMMITMENT,
    CT,
    ECHO,
    RawPeer,
    associate_rq,
    connecting,
    fragment,
    pdu,
    store_command,
)
from tests.instances import encode, make_dataset
from tests.integration.receiving import ReceiveProcess, Running, associating, in_thread, receiving, send, start_process
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's, about the bytes it is given here
]

MIB = 1 << 20

SIZES = {"max_pdu_bytes": 16384, "max_instance_bytes": MIB, "max_memory_bytes": 4 * MIB}

HALF_A_NUMBER = b"\x00\x00\x00\x01\x01\x00\x00\x00\x01"
"""A command set of CommandField (US) alone, in one byte."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One receiver with small limits for the whole module: what one test does to it, the next would notice.

    Its limits on time are longer than the busiest machine takes: who is honest must be cut off for none of them.
    """
    times = dict.fromkeys(("pdu_timeout_s", "message_timeout_s", "request_timeout_s", "network_timeout_s"), 300.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server, "SELF_CHECK_TIMEOUT_S", 60.0)
        with receiving(tmp_path_factory.mktemp("store"), **times, **SIZES) as running:
            yield running


@pytest.fixture(autouse=True)
def others_go_on(running: Running) -> Iterator[None]:
    """During and after each attack a scanner is answered on one association, and the receiver answers itself."""
    answers, over = [], threading.Event()
    with associating(running.port) as scanner:

        def echo() -> None:
            while not over.wait(1.0):
                answers.append(scanner.send_c_echo().get("Status", -1))

        echoing = threading.Thread(target=echo)
        echoing.start()
        yield
        over.set()
        echoing.join()
        assert set(answers) <= {0x0000}
        assert send(scanner, make_dataset()) == 0x0000
    running.receiver.check_self()


def _refused(running: Running) -> list[str]:
    rows = running.ledger.read("SELECT body FROM audit WHERE event = 'refused' ORDER BY seq")
    return [json.loads(row[0])["why"] for row in rows]


def _connections(running: Running) -> int:
    """Return how many connections the receiver has threads for."""
    return sum(getattr(thread, "ae", None) is running.receiver._ae for thread in threading.enumerate())


def _attack(running: Running, content: bytes, *, associated: bool = True) -> None:
    with connecting(running.port) as peer:
        if associated:
            peer.associate()
        peer.send(content)
        assert peer.is_cut_off()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pdu(0x04, b"", length=0xFFFFFFFF), "P-DATA PDU longer than offered"),
        (pdu(0x04, b"x" * 100, length=40000), "P-DATA PDU longer than offered"),
        (pdu(0x07, bytes(4), length=0x7FFFFFFF), "PDU of a wrong length"),
        (pdu(0x05, bytes(4), length=5), "PDU of a wrong length"),
        (pdu(0x01, b"", length=1 << 30), "association request too long"),
        (pdu(0x99, b"junk"), "PDU type that is none"),
        (pdu(0x02, b"junk"), "PDU type that is none"),
        (b"GET / HTTP/1.1\r\nHost: msu\r\n\r\n", "PDU type that is none"),
        (pdu(0x04, fragment(CT, 3, b"", length=0xFFFFFFF0)), ""),
        (pdu(0x04, fragment(CT, 3, b"", length=1)), ""),
        (pdu(0x04, fragment(CT, 3, b"\xff" * 200)), "DIMSE message that cannot be read"),
        (pdu(0x04, fragment(CT, 3, store_command(CommandField=0x7777))), "DIMSE message that cannot be read"),
        (pdu(0x04, fragment(CT, 3, HALF_A_NUMBER)), "DIMSE message that cannot be read"),
        (pdu(0x04, fragment(99, 3, store_command()) + fragment(99, 2, b"")), ""),
        (pdu(0x04, fragment(CT, 1, bytes(15000))) * 6, "command set too long"),
        (pdu(0x04, fragment(CT, 3, store_command()) + fragment(CT, 0, bytes(15000))) * 90, "object larger than"),
        (pdu(0x04, fragment(CT, 0, bytes(15000))) * 90, "object larger than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_about_lengths_or_types_ends_this_association_alone(running: Running, content: bytes, why: str) -> None:
    _attack(running, content)
    wait_until(lambda: any(why in reason for reason in _refused(running)), why)


@pytest.mark.parametrize("content", [pdu(0x01, b"", length=0xFFFFFFFF), pdu(0x01, b"\x00\x01" + bytes(200))])
def test_nonsense_instead_of_a_request_gets_no_association(running: Running, content: bytes) -> None:
    _attack(running, content, associated=False)
    wait_until(lambda: _connections(running) == 1, "no thread waits for a request that cannot come any more")


def test_a_command_set_of_nested_sequences_is_no_message(running: Running) -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (b"\x00\x00\x40\x00\xff\xff\xff\xff" + item) * 900
    _attack(running, pdu(0x04, fragment(CT, 3, nested)))


def test_an_event_report_to_us_is_refused(running: Running) -> None:
    command = store_command(sop_class_uid="1.2.840.10008.1.20.1", CommandField=0x0100, EventTypeID=1)
    command = command.replace(struct.pack("<HHLH", 0, 0x0800, 2, 1), struct.pack("<HHLH", 0, 0x0800, 2, 0x0101))
    _attack(running, pdu(0x04, fragment(COMMITMENT, 3, command)))
    wait_until(lambda: "N-EVENT-REPORT request to an SCP" in _refused(running), "refused")


def test_a_flood_of_idle_connections_makes_room_for_the_scanner(running: Running) -> None:
    peers = [connecting(running.port) for _ in range(60)]
    open_peers: list[RawPeer] = [peer.__enter__() for peer in peers]
    try:
        with associating(running.port) as scanner:
            assert send(scanner, make_dataset()) == 0x0000
        running.receiver.check_self()
        assert open_peers[0].answer() is None
    finally:
        for peer in peers:
            peer.__exit__(None, None, None)
    wait_until(lambda: _connections(running) == 1, "no thread is left of them but the scanner's")


def test_a_flood_of_associations_is_refused_and_passes(running: Running) -> None:
    wait_until(lambda: running.receiver.associations == 1, "nobody is there but the scanner")
    answers: list[int | None] = []

    def knock() -> None:
        with connecting(running.port) as peer:
            peer.send(associate_rq())
            answers.append(peer.answer())
            done.wait(60)

    done = threading.Event()
    threads = [in_thread(knock) for _ in range(30)]
    wait_until(lambda: len(answers) == 30, "all are answered")
    running.receiver.check_self()
    done.set()
    for thread in threads:
        thread.join()
    assert answers.count(ACCEPT) == 9  # ten, and the scanner of this test has one
    wait_until(lambda: running.receiver.associations == 1, "the places are free again")


def test_a_sender_that_does_not_wait_for_answers_is_slowed_down_and_loses_nothing(running: Running) -> None:
    datasets = [make_dataset() for _ in range(12)]
    with connecting(running.port) as peer:
        peer.associate()

        def push() -> None:
            for dataset in datasets:
                content = encode(dataset)
                pieces = [content[at : at + 16000] for at in range(0, len(content), 16000)]
                peer.send(pdu(0x04, fragment(CT, 3, store_command(dataset.SOPInstanceUID))))
                for index, piece in enumerate(pieces):
                    peer.send(pdu(0x04, fragment(CT, 2 if index == len(pieces) - 1 else 0, piece)))

        sender = in_thread(push)
        assert [peer.answer() for _ in datasets] == [0x04] * 12
        sender.join()
    known = {row.sop_uid for row in running.ledger.instances()}
    assert known >= {dataset.SOPInstanceUID for dataset in datasets}


_bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda context, control, data, length: fragment(context, control, data, length),
        st.sampled_from([CT, ECHO, COMMITMENT, 0, 255]),
        st.integers(0, 255),
        st.binary(max_size=200),
        st.none() | st.integers(0, 0xFFFFFFFF),
    ),
    st.builds(
        lambda at, byte: (c := store_command())[: at % len(c)] + bytes([byte]) + c[at % len(c) + 1 :],
        st.integers(0, 500),
        st.integers(0, 255),
    ).map(lambda command: fragment(CT, 3, command)),
)
_pdus = st.builds(
    pdu, st.sampled_from([1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 0, 255]), _bodies, st.none() | st.integers(0, 400)
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pdus=st.lists(_pdus, min_size=1, max_size=4), associated=st.booleans())
def test_fuzzed_pdus_end_their_own_association_at_most(running: Running, pdus: list[bytes], associated: bool) -> None:
    with connecting(running.port) as peer:
        if associated:
            peer.associate()
        for content in pdus:
            peer.send(content)
    wait_until(lambda: running.receiver.associations <= 1, "the association is over")
    running.receiver.check_self()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_damaged_association_request_is_answered_or_cut_off(running: Running, at: int, value: int, cut: int) -> None:
    request = bytearray(associate_rq())
    request[6 + at % (len(request) - 6)] = value
    content = bytes(request[: len(request) - cut % 8 if cut > 380 else len(request)])
    with connecting(running.port) as peer:
        peer.send(content)
    running.receiver.check_self()


class TestWhoTakesTooLong:
    """Against a receiver that waits so long and no longer; the scanner beside them does not keep it waiting."""

    @pytest.fixture(scope="class")
    def running(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        times = {"pdu_timeout_s": 1.0, "message_timeout_s": 5.0, "request_timeout_s": 60.0, "network_timeout_s": 60.0}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(server, "SELF_CHECK_TIMEOUT_S", 60.0)
            with receiving(tmp_path_factory.mktemp("hasty"), **times, **SIZES) as running:
                yield running

    def test_a_peer_that_stops_in_the_middle_of_a_request_gets_no_association(self, running: Running) -> None:
        _attack(running, b"\x01", associated=False)

    def test_a_request_that_drips_byte_by_byte_is_cut_off(self, running: Running) -> None:
        with connecting(running.port) as peer:
            pause = threading.Event()
            for byte in associate_rq():
                if not peer.send(bytes([byte])):
                    break
                pause.wait(0.05)
            assert peer.is_cut_off()

    def test_a_pdu_that_drips_byte_by_byte_is_cut_off(self, running: Running) -> None:
        with connecting(running.port) as peer:
            peer.associate()
            pause = threading.Event()
            for byte in pdu(0x04, fragment(CT, 3, store_command())):
                if not peer.send(bytes([byte])):
                    break
                pause.wait(0.05)
            assert peer.is_cut_off()
        wait_until(lambda: "stopped in the middle of a PDU" in _refused(running), "the reason")

    def test_an_object_that_drips_pdu_by_pdu_is_cut_off(self, running: Running) -> None:
        with connecting(running.port) as peer:
            peer.associate()
            pause = threading.Event()
            peer.send(pdu(0x04, fragment(CT, 3, store_command())))
            while peer.send(pdu(0x04, fragment(CT, 0, b"xx"))):
                pause.wait(0.05)
        wait_until(lambda: "object took too long" in _refused(running), "the reason")


class TestMemory:
    """The receiver in a process of its own, so that its memory can be measured."""

    LIMIT = 48 * MIB

    @pytest.fixture
    def process(self, tmp_path: Path) -> Iterator[ReceiveProcess]:
        process = start_process(
            tmp_path, max_instance_bytes=16 * MIB, max_memory_bytes=self.LIMIT, request_timeout_s=60.0
        )
        try:
            yield process
        finally:
            assert process.stop() == 0

    def test_objects_without_end_on_all_associations_stay_within_the_budget(self, process: ReceiveProcess) -> None:
        before = process.resident_bytes()

        def pour() -> None:
            with connecting(process.port) as peer:
                peer.associate()
                peer.send(pdu(0x04, fragment(CT, 3, store_command())))
                chunk = pdu(0x04, fragment(CT, 0, bytes(MIB - 6)))
                while peer.send(chunk):
                    pass

        threads = [in_thread(pour) for _ in range(8)]
        for thread in threads:
            thread.join()
        # Twice: what is received, and the PDUs on their way there.
        assert process.resident_bytes() - before < 2 * self.LIMIT
        with associating(process.port) as scanner:
            assert send(scanner, make_dataset()) == 0x0000

    def test_claims_of_4_gib_cost_nothing(self, process: ReceiveProcess) -> None:
        before = process.resident_bytes()
        for _ in range(20):
            with connecting(process.port) as peer:
                peer.associate()
                peer.send(pdu(0x04, b"", length=0xFFFFFFFF))
                assert peer.answer() in (ABORT, None)
        assert process.resident_bytes() - before < 16 * MIB
