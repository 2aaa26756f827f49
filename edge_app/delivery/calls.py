"""Network calls that can be cut: they run on a thread of their own, so that a link that hangs stops nothing else."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

from edge_app.core.errors import NetworkError
from edge_app.delivery.pace import Pace

__all__ = ["POLL_S", "Calls", "prepare_socket"]

_T = TypeVar("_T")

POLL_S = 0.1
"""How often the waiting thread looks up from a network call."""

CUT_S = 1.0
"""How long a call may take to notice that its connection was cut."""


_THIN_LINEAR_TIMEOUTS = 16
"""TCP_THIN_LINEAR_TIMEOUTS of linux/tcp.h."""


def prepare_socket(connection: socket.socket, stalled_timeout_s: float) -> None:
    """Set what a link that comes and goes, and loses packets, needs."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # not Linux
        # While less than four packets are on their way, as of a message, a second loss is not waited for twice as long.
        connection.setsockopt(socket.IPPROTO_TCP, _THIN_LINEAR_TIMEOUTS, 1)
    if hasattr(socket, "TCP_CONGESTION"):
        with contextlib.suppress(OSError):  # not in this kernel, or not loaded (msu-deliver.service)
            # On radio a lost packet is no sign of congestion: what slows down at each one hardly moves at 5 %.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A vehicle that drives out of coverage gets no reset: without this the kernel keeps trying for 15 minutes.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stalled_timeout_s * 1000))
    if hasattr(socket, "TCP_KEEPIDLE"):
        # That time counts only while something of ours is not acknowledged. A link that dies while we wait for the
        # answer to an object that is wholly there would else be noticed after `answer_timeout_s` only: ten minutes.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(stalled_timeout_s / 3)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(stalled_timeout_s / 6)))


class Calls:
    """Runs one call after another on threads; `go_on` is asked about ten times a second while one runs.

    The connection to cut is told by `watch`, as soon as there is one. `pace` holds its rate while a call runs.
    """

    def __init__(self, go_on: Callable[[], bool], pace: Pace | None = None) -> None:
        self._go_on = go_on
        self._pace = pace
        self._socket: socket.socket | None = None
        self._is_cut = False

    def watch(self, connection: socket.socket) -> None:
        """Take the connection that `cut` closes; one that comes too late is closed at once."""
        self._socket = connection
        if self._is_cut:
            self.cut()
        else:
            self._adjust()

    def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns.

        Raises
        ------
        NetworkError
            If it failed, or was cut because it was not to go on.
        """
        outcome: list[_T] = []
        problem: list[Exception] = []

        def call() -> None:
            try:
                outcome.append(work())
            except (OSError, RuntimeError, ValueError, AttributeError, NetworkError) as error:
                problem.append(error)

        thread = threading.Thread(target=call, name="delivery-call", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
            self._adjust()
            if thread.is_alive() and not self._go_on():
                self.cut()
                thread.join(CUT_S)
                raise NetworkError("stopped while sending", remedy="It is sent again by itself.")
        if problem:
            if isinstance(problem[0], NetworkError):
                raise problem[0]
            raise NetworkError(f"sending failed: {problem[0]}", remedy="It is tried again by itself.") from problem[0]
        return outcome[0]

    def _adjust(self) -> None:
        connection = self._socket
        if self._pace is not None and connection is not None:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                self._pace.adjust(connection)

    def cut(self) -> None:
        """Close the connection under the call's feet: its threads end, whatever they were waiting for."""
        self._is_cut = True
        # Two threads may be here: the one that waits, and the one that has just got its connection (`watch`).
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                # What still lies in the kernel's buffer is thrown away: on a thin link it would go before all else.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
