"""Let an association react at once, and sleep while there is nothing to do.

pynetdicom runs two threads per association, and both poll: the upper layer sleeps 1 ms after each look at the socket
that found nothing (`DULServiceProvider.run_reactor`), the association 1 ms before each look at its queues
(`Association._run_reactor`). With a sender that waits for each answer this adds up with every PDU of every image, and
costs a share of a core while nothing arrives at all. Here the upper layer waits in select() for the socket or for
something to send, and wakes the association when something came.

Nothing of the protocol is touched: only how the two loops wait. What this relies on inside pynetdicom is pinned by
tests/unit/receiver/test_reactor.py.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["make_prompt", "run_soon"]

IDLE_S = 0.25
"""Longest wait without a look at the timers (network timeout, ARTIM) and at the order to end."""

CLOSED_S = 0.001
"""Pause of the upper layer between the close of the connection and the end of its thread."""


class _Bell:
    """Wakes a thread that waits in select(). Threads share it; after `close` ringing does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._is_closed = False

    def fileno(self) -> int:
        return self._read

    def ring(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                os.write(self._write, b"\0")
            except BlockingIOError:  # full: it rings already
                return

    def clear(self) -> None:
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._read)
                os.close(self._write)


class _Checkpoint(threading.Event):
    """Stands in for `Association._reactor_checkpoint`, which the association's loop waits at in each round.

    Besides holding the loop while it is cleared (as before), it holds it while there is nothing to do, and runs what
    others want to have run in the association's own thread: only there may a message be sent, since the fragments of
    two messages must not mix.
    """

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association = association
        self._work = threading.Event()
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        super().set()

    def set(self) -> None:
        super().set()
        self._work.set()

    def wake(self) -> None:
        self._work.set()

    def run_soon(self, task: Callable[[], None]) -> None:
        self._tasks.put(task)
        self._work.set()

    def has_work(self) -> bool:
        association = self._association
        return not (
            association.dimse.msg_queue.empty() and association.dul.to_user_queue.empty() and self._tasks.empty()
        )

    def wait(self, timeout: float | None = None) -> bool:
        is_set = super().wait(timeout)
        if not self.has_work():
            self._work.wait(IDLE_S)
        # Cleared before the queues are looked at, so a message that comes after that look is never slept over.
        self._work.clear()
        while not self._tasks.empty():
            self._tasks.get()()
        return is_set


def run_soon(association: Any, task: Callable[[], None]) -> None:
    """Run `task` in the thread of a prompt association, between two messages; never, if it ends before."""
    association._reactor_checkpoint.run_soon(task)


def make_prompt(association: Any, *, is_behind: Callable[[], bool]) -> None:
    """Replace the polling of an acceptor association; call it before its threads start (EVT_CONN_OPEN).

    Parameters
    ----------
    is_behind
        Whether messages wait to be served; nothing more is read from the peer while they do.
    """
    dul, bell, checkpoint = association.dul, _Bell(), _Checkpoint(association)
    send_pdu, run, is_transport_event = dul.send_pdu, dul.run, dul._is_transport_event

    def send_and_ring(primitive: Any) -> None:
        send_pdu(primitive)
        bell.ring()

    connection: socket.socket | None = dul.socket.socket if dul.socket else None

    def run_and_close() -> None:
        try:
            run()
        finally:
            # pynetdicom lets go of some connections without closing them: those a peer cut off in a flood, say.
            if connection is not None:
                connection.close()
            bell.close()
            checkpoint.wake()

    def wait_for_transport_event() -> bool:
        if checkpoint.has_work():
            checkpoint.wake()
        if is_behind() and dul.state_machine.current_state != "Sta13":
            _wait_for(bell, bell.fileno())  # rung when the next answer is sent
            return False
        _wait(dul, bell)
        return bool(is_transport_event())

    association._reactor_checkpoint = checkpoint
    dul.send_pdu, dul.run, dul._is_transport_event = send_and_ring, run_and_close, wait_for_transport_event
    dul._run_loop_delay = 0


def _wait(dul: Any, bell: _Bell) -> None:
    """Wait until the socket can be read, something is to be sent, or it is time to look at the timers."""
    connection: socket.socket | None = dul.socket.socket
    if not dul.event_queue.empty() or dul.state_machine.current_state == "Sta13":
        return  # there is work already, or the connection is about to be closed
    if connection is None or connection.fileno() < 0:
        time.sleep(CLOSED_S)
        return
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return  # decrypted bytes that select() does not see
    try:
        # A sender that leaves Nagle's algorithm on holds the data set back until its command set is acknowledged, and
        # Linux delays that by 40 ms in the hope of an answer to send along. It must be told anew each time (tcp(7)).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        _wait_for(bell, connection.fileno(), bell.fileno())
    except (OSError, ValueError):
        return  # closed by another thread; pynetdicom's own look at the socket says so to the state machine


def _wait_for(bell: _Bell, *handles: int) -> None:
    ready, _, _ = select.select(handles, [], [], IDLE_S)
    if bell.fileno() in ready:
        bell.clear()
