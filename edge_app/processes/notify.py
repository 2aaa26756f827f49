"""Signs of life to systemd: READY, WATCHDOG and STATUS as one datagram each, see sd_notify(3).

Without NOTIFY_SOCKET (laptop, tests, `msu serve`) nothing is sent. `alive` is called by the thing that must live (the
loop that does the work, a timer of the GUI thread), never by a helper thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from edge_app.core.clock import MonotonicClock, monotonic_s

__all__ = ["Notifier"]

_SHARE = 4
"""So many signs of life fit into systemd's patience; one that is late does no harm."""


class Notifier:
    """Speaks to the systemd that started this process.

    Parameters
    ----------
    environment
        Where NOTIFY_SOCKET and WATCHDOG_USEC are looked for.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, *, clock: MonotonicClock = monotonic_s) -> None:
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]  # Linux's abstract namespace
        patience_us = environment.get("WATCHDOG_USEC", "")
        self._period_s = int(patience_us) / 1e6 / _SHARE if patience_us.isdigit() else None
        self._clock = clock
        self._alive_at_s: float | None = None

    def ready(self) -> None:
        """Say that the process does what it is for."""
        self._send("READY=1\nSTATUS=ready")
        self.alive()

    def alive(self) -> None:
        """Say that the process lives; may be called as often as one likes."""
        if self._period_s is None:
            return
        now_s = self._clock()
        if self._alive_at_s is None or now_s - self._alive_at_s >= self._period_s:
            self._alive_at_s = now_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the process was told to end, and does."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def refused(self, message: str) -> None:
        """Say why the process ends: `systemctl status` shows it."""
        self._send(f"STATUS={' '.join(message.split())}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(self._address)
            channel.sendall(text.encode())
