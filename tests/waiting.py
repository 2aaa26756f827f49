"""Waiting for other processes: look again and again until a deadline, never sleep and hope."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

_T = TypeVar("_T")

DEADLINE_S = 60.0
"""Generous: a test that needs it is broken or on a very busy machine."""


def wait_until(look: Callable[[], _T | None], what: str, deadline_s: float = DEADLINE_S) -> _T:
    """Return the first true answer of `look`; fail with `what` when none came before the deadline."""
    pause = threading.Event()
    end = time.monotonic() + deadline_s
    while not (answer := look()):
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s in vain: {what}"
        pause.wait(0.02)
    return answer
