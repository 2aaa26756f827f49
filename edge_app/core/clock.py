"""Two clocks: monotonic for waiting, UTC for records. The wall clock steps when the vehicle finds a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["MonotonicClock", "UtcClock", "boot_id", "monotonic_s", "utc_iso", "utc_now"]

MonotonicClock = Callable[[], float]
"""Returns seconds that never go back; comparable between the processes of one boot."""

UtcClock = Callable[[], datetime]
"""Returns an aware datetime in UTC."""


def monotonic_s() -> float:
    """Return seconds since boot, never going back (CLOCK_MONOTONIC is shared by all processes of one boot)."""
    return time.monotonic()


def utc_now() -> datetime:
    """Return the current time in UTC, aware."""
    return datetime.now(timezone.utc)


def utc_iso(at: datetime) -> str:
    """Return a UTC time as ``2026-03-14T14:05:31.123456Z``, which sorts as text."""
    return at.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def boot_id() -> str:
    """Return the kernel's id of this boot: the same id means no power cut lies between two events.

    Where there is no such file (not Linux), "unknown" is returned, and a crash cannot be told from a power cut.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
