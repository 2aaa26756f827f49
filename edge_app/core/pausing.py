"""Answers that reach whoever waits for them, on associations that we opened.

A thread of pynetdicom's association looks for requests of the peer in the queue where answers to our own arrive.
Whoever sends a request asks it to pause, and takes it as paused once it says that it is about to look whether it may go
on (`Association._is_paused`). A thread that is held up just there goes on, takes the answer for a request and drops it:
the peer has stored the image, and we wait for the whole time an answer may take. Seen on a loaded machine: 60 s.

Here a thread that goes on says so in the same step in which it looks. What this relies on inside pynetdicom is pinned
by tests/integration/test_pausing.py.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["on_connection"]


class _Checkpoint(threading.Event):
    """Stands in for `Association._reactor_checkpoint`."""

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association = association
        self._look = threading.Lock()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        while True:
            is_set = super().wait(timeout)
            with self._look:
                if self.is_set() or not is_set:
                    self._association._is_paused = False
                    return is_set

    def clear(self) -> None:
        with self._look:
            super().clear()


def on_connection(event: Any) -> None:
    """Handle EVT_CONN_OPEN of a requestor, which comes before its thread looks for the first time."""
    event.assoc._reactor_checkpoint = _Checkpoint(event.assoc)
