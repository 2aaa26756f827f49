"""A bulk transfer leaves the modem's queue short: a message that comes meanwhile would stand behind what is in it.

TCP itself sends until the queue is full, a second or more on a thin link, and what arrives then is thrown away: all
packets of a message, in the worst case. So the rate of a bulk transfer is held near what arrives (the kernel measures
it), a little above while the round trip shows no queue, below while it does. Linux only; elsewhere nothing is held.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

__all__ = ["Pace"]

NEAR_S = 0.1
"""Peers nearer than this are on no thin radio link."""

QUEUE_S = 0.4
"""So much longer than the shortest round trip the smoothed one may be: two full packets at 64 kbit/s."""

FIRST_BYTES_S, LEAST_BYTES_S = 16_000.0, 4_000.0
FASTER, SLOWER = 1.25, 0.8
FORGET = 0.98
"""Of the highest rate seen, ten times a second: it halves in three seconds."""

_MAX_PACING_RATE = 47
"""SO_MAX_PACING_RATE of asm-generic/socket.h."""
_NO_LIMIT = b"\xff" * 4
_ESTABLISHED = 1
_INFO_BYTES, _RTT_AT, _MIN_RTT_AT, _RATE_AT = 168, 68, 148, 160
"""In struct tcp_info of linux/tcp.h; times in microseconds, the rate in bytes a second."""


@dataclass(frozen=True, slots=True)
class _Info:
    round_trip_s: float
    queue_s: float
    arrives_bytes_s: float


class Pace:
    """The rate of one destination's bulk transfers; what was learned from one connection holds for the next."""

    def __init__(self) -> None:
        self._best_bytes_s = FIRST_BYTES_S

    def adjust(self, connection: socket.socket) -> None:
        """Set how fast a connection sends; to be called about ten times a second."""
        info = _info(connection)
        if info is None:
            return
        if info.round_trip_s < NEAR_S:  # nothing is held any more, should it have been further away before
            connection.setsockopt(socket.SOL_SOCKET, _MAX_PACING_RATE, _NO_LIMIT)
            return
        self._best_bytes_s = max(info.arrives_bytes_s, FORGET * self._best_bytes_s, LEAST_BYTES_S)
        rate = self._best_bytes_s * (SLOWER if info.queue_s > QUEUE_S else FASTER)
        connection.setsockopt(socket.SOL_SOCKET, _MAX_PACING_RATE, int(rate))


def _info(connection: socket.socket) -> _Info | None:
    """Return what the kernel knows of a connection, or None if there is none or the kernel is older."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    if len(raw) < _INFO_BYTES or raw[0] != _ESTABLISHED:
        return None
    round_trip_us, shortest_us = (struct.unpack_from("=I", raw, at)[0] for at in (_RTT_AT, _MIN_RTT_AT))
    (rate,) = struct.unpack_from("=Q", raw, _RATE_AT)
    return _Info(round_trip_us / 1e6, max(0, round_trip_us - shortest_us) / 1e6, float(rate))
