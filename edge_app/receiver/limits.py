"""What one peer may cost: bounds on the size and the duration of a PDU and of an object, checked while they arrive.

pynetdicom reads whatever length a PDU claims (up to 4 GiB), puts fragments together without end, lets a peer take all
the time it likes from byte to byte, and loses its thread on bytes that its parsers did not expect. Here the reading is
ours: a claim is refused before memory is spent on it, a peer that breaks a limit or the protocol gets an A-ABORT
(PS3.8 Section 9.3.8), and other associations do not notice. What this relies on inside pynetdicom is pinned by
tests/unit/receiver/test_limits.py.
"""

from __future__ import annotations

import collections
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.errors import BytesLengthException
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from edge_app.core.clock import monotonic_s
from edge_app.core.config import ReceiverSettings

__all__ = ["Budget", "Limits", "OnAnswer", "OnBroken", "OnEnded"]

PDU_TOLERANCE = 2
"""A P-DATA PDU may be so many times as long as offered: some senders count headers differently."""

MAX_REQUEST_BYTES = 1 << 18
"""Largest A-ASSOCIATE-RQ: 128 presentation contexts with twenty transfer syntaxes each take a third of it."""

MAX_COMMAND_BYTES = 1 << 16
"""Largest command set; real ones have some hundred bytes."""

MAX_BACKLOG = 2
"""So many whole messages may wait while one is served; then reading stops until one is done."""

_CHUNK_BYTES = 1 << 16
_DRAIN_BYTES = 1 << 22
"""How much a peer that was aborted may still send before we hang up, so that it gets to read the abort."""

_HEADER = struct.Struct(">BBL")
_ASSOCIATE_RQ, _P_DATA_TF, _RELEASE_RQ, _RELEASE_RP, _ABORT = 0x01, 0x04, 0x05, 0x06, 0x07
_SHORT_PDUS = {_RELEASE_RQ: 4, _RELEASE_RP: 4, _ABORT: 4}
_AWAITING_CLOSE = "Sta13"
_BEFORE_REQUEST = ("Sta1", "Sta2")
"""The first is that of bytes that are there before the state machine has taken note of the connection."""

_HOSTILE_BYTES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    UnicodeError,
    ValueError,
    struct.error,
)
"""What pynetdicom's and pydicom's parsers raise on bytes that they did not expect."""

OnBroken = Callable[[Any, str], None]
"""Told of an association that broke a rule, and which."""

OnAnswer = Callable[[Any, Any], None]
"""Told of an answer to an N-EVENT-REPORT of ours."""

OnEnded = Callable[[Any], None]
"""Told of an association whose thread ended."""


class Budget:
    """Bytes that all arriving objects may hold together. Threads share it."""

    def __init__(self, limit_bytes: int) -> None:
        self._free = limit_bytes
        self._held: dict[object, int] = {}
        self._lock = threading.Lock()

    def take(self, owner: object, size: int) -> bool:
        """Take bytes; False when there are not so many left."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            self._held[owner] = self._held.get(owner, 0) + size
            return True

    def give(self, owner: object, size: int | None = None) -> None:
        """Give some bytes back, or all that an owner holds."""
        with self._lock:
            held = self._held.pop(owner, 0)
            size = held if size is None else min(size, held)
            self._free += size
            if held > size:
                self._held[owner] = held - size


@dataclass(slots=True)
class _Message:
    """The message that is arriving."""

    size: int = 0
    command_size: int = 0
    started_s: float = 0.0


class Limits:
    """Takes the place of those parts of an acceptor association that read what the peer sends.

    Make it before the association's threads start (EVT_CONN_OPEN); the association keeps it.

    Parameters
    ----------
    on_broken
        Called when the peer is cut off, with the reason.
    on_answer
        Called with each answer to an N-EVENT-REPORT request of ours, in the association's thread.
    on_ended
        Called last in the association's thread, however it ended.
    """

    def __init__(
        self,
        association: Any,
        settings: ReceiverSettings,
        budget: Budget,
        *,
        on_broken: OnBroken,
        on_answer: OnAnswer,
        on_ended: OnEnded,
    ) -> None:
        self._association, self._dul, self._dimse = association, association.dul, association.dimse
        self._settings, self._budget = settings, budget
        self._on_broken, self._on_answer, self._on_ended = on_broken, on_answer, on_ended
        self._message = _Message()
        self._queued: collections.deque[int] = collections.deque()
        self._drained = 0
        self._is_broken = False
        self._do_action = self._dul.state_machine.do_action
        self._receive = self._dimse.receive_primitive
        self._serve = association._serve_request
        self._run = association.run
        self._dul._read_pdu_data = self.read_pdu
        self._dul.state_machine.do_action = self.do_action
        self._dimse.receive_primitive = self.receive_primitive
        association._serve_request = self.serve_request
        association.run = self.run

    # Upper layer: one PDU -----------------------------------------------------------------------------------------

    def read_pdu(self) -> None:
        """Read one PDU within its limits, and tell the state machine (PS3.8 Section 9.2)."""
        connection: socket.socket | None = self._dul.socket.socket
        if connection is None:
            return
        if self._state == _AWAITING_CLOSE:
            self._drain(connection)
            return
        deadline_s = monotonic_s() + self._settings.pdu_timeout_s
        try:
            head = _read(connection, _HEADER.size, deadline_s)
            kind, _, length = _HEADER.unpack(head)
            problem = self._problem_with_pdu(kind, length)
            if problem:
                self._refuse(problem)
                return
            body = _read(connection, length, deadline_s)
        except EOFError:
            self._hang_up()
            return
        except OSError as error:
            # Also a peer that takes too long: its connection is closed, since it does not listen anyhow.
            if isinstance(error, TimeoutError):
                self._break("stopped in the middle of a PDU")
            self._hang_up()
            return
        self._decode(head + body)

    def _decode(self, encoded: bytearray) -> None:
        try:
            pdu, event = self._dul._decode_pdu(encoded)
        except _HOSTILE_BYTES as error:
            self._refuse(f"PDU that cannot be read ({type(error).__name__})")
            return
        self._dul._recv_pdu.put(pdu)
        self._dul.event_queue.put(event)

    def _problem_with_pdu(self, kind: int, length: int) -> str:
        if kind == _P_DATA_TF:
            # PS3.8 Annex D.1: the length we offered is that of the PDU's variable field.
            longest = PDU_TOLERANCE * self._settings.max_pdu_bytes
            return "P-DATA PDU longer than offered" if length > longest else ""
        if kind == _ASSOCIATE_RQ:
            return "association request too long" if length > MAX_REQUEST_BYTES else ""
        if kind in _SHORT_PDUS:
            return "PDU of a wrong length" if length != _SHORT_PDUS[kind] else ""
        return "PDU type that is none, or not a requestor's"

    def _drain(self, connection: socket.socket) -> None:
        """Read on for a moment after an abort: unread bytes would make TCP discard what the peer should read."""
        connection.settimeout(self._settings.request_timeout_s)
        try:
            count = len(connection.recv(_CHUNK_BYTES))
        except OSError:
            count = 0
        self._drained += count
        if not count or self._drained > _DRAIN_BYTES:
            self._dul.socket.close()

    def _hang_up(self) -> None:
        # Evt17: transport connection closed. Before the request the association's thread waits for one; None is its
        # sign that none came, and it would otherwise stay for the whole time a request may take.
        if self._state in _BEFORE_REQUEST:
            self._dul.to_user_queue.put(None)
        self._dul.event_queue.put("Evt17")

    def do_action(self, event: str) -> None:
        """Let the state machine act; bytes that throw it off end this association and nothing else."""
        try:
            self._do_action(event)
        except _HOSTILE_BYTES as error:
            self._break(f"protocol error ({type(error).__name__})")
            self._association._kill = True
            self._dul.to_user_queue.put(None)
            self._dul.kill_dul()

    # DIMSE: one message -------------------------------------------------------------------------------------------

    def receive_primitive(self, primitive: Any) -> None:
        """Take in the fragments of one P-DATA, within the limits on a whole message (PS3.8 Annex E)."""
        if self._is_broken:
            return
        problem = self._problem_with_fragments(primitive.presentation_data_value_list)
        if problem:
            self._refuse(problem)
            return
        try:
            self._receive(primitive)
        except _HOSTILE_BYTES as error:
            self._refuse(f"DIMSE message that cannot be read ({type(error).__name__})")
            return
        if self._dimse.message is None:
            self._queued.append(self._message.size)
            self._message = _Message()

    def _problem_with_fragments(self, fragments: list[tuple[int, bytes]]) -> str:
        message = self._message
        if any(not data for _, data in fragments):
            return "fragment without control header"
        if not message.size:
            message.started_s = monotonic_s()
        elif monotonic_s() - message.started_s > self._settings.message_timeout_s:
            return "object took too long"
        size = sum(len(data) for _, data in fragments)
        message.size += size
        message.command_size += sum(len(data) for _, data in fragments if data[0] & 1)
        if message.command_size > MAX_COMMAND_BYTES:
            return "command set too long"
        if message.size > self._settings.max_instance_bytes + MAX_COMMAND_BYTES:
            return "object larger than receiver.max_instance_bytes"
        if not self._budget.take(self, size):
            return "objects that are arriving fill receiver.max_memory_bytes"
        return ""

    def is_behind(self) -> bool:
        """Tell whether whole messages wait: a peer that does not wait for answers must wait for us."""
        return int(self._dimse.msg_queue.qsize()) >= MAX_BACKLOG

    def serve_request(self, message: Any, context_id: int) -> None:
        """Serve one message in the association's thread, then give its memory back."""
        try:
            if isinstance(message, N_EVENT_REPORT):
                self._take_event_report(message)
            else:
                self._serve(message, context_id)
        except _HOSTILE_BYTES as error:
            self._break(f"request that cannot be served ({type(error).__name__})")
            self._association.abort(block=False)
        finally:
            if self._queued:
                self._budget.give(self, self._queued.popleft())

    def _take_event_report(self, message: Any) -> None:
        if message.is_valid_request:  # nobody here is an SCU that is told of events
            self._break("N-EVENT-REPORT request to an SCP")
            self._association.abort(block=False)
        else:
            self._on_answer(self._association, message)

    def run(self) -> None:
        """Run the association's thread; whatever ended it, nothing of it stays."""
        try:
            self._run()
        finally:
            self._budget.give(self)
            self._on_ended(self._association)

    # Ending -------------------------------------------------------------------------------------------------------

    @property
    def _state(self) -> str:
        return str(self._dul.state_machine.current_state)

    def _refuse(self, why: str) -> None:
        """Have the state machine abort: Evt19 is an invalid PDU (PS3.8 Table 9-10)."""
        self._break(why)
        if self._state in _BEFORE_REQUEST:
            self._dul.to_user_queue.put(None)
        self._dul.event_queue.put("Evt19")

    def _break(self, why: str) -> None:
        if not self._is_broken:
            self._is_broken = True
            self._on_broken(self._association, why)


def _read(connection: socket.socket, count: int, deadline_s: float) -> bytearray:
    """Read `count` bytes by a deadline; what lies there already is in time, however late we come to take it.

    Raises
    ------
    EOFError
        If the peer closes before.
    TimeoutError
        If it takes too long, however often it sends a byte in between.
    """
    encoded = bytearray(count)
    view, at = memoryview(encoded), 0
    sending_timeout_s = connection.gettimeout()
    try:
        while at < count:
            connection.settimeout(max(0.0, deadline_s - monotonic_s()))
            try:
                got = connection.recv_into(view[at:], min(count - at, _CHUNK_BYTES))
            except (BlockingIOError, ssl.SSLWantReadError):
                raise TimeoutError from None
            if not got:
                raise EOFError
            at += got
    finally:
        connection.settimeout(sending_timeout_s)
    return encoded
