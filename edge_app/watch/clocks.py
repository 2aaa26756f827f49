"""Is the wall clock right? Against the hardware clock, chrony's own judgement, and the CT's clock."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from edge_app.core.clock import UtcClock, utc_now
from edge_app.core.findings import Finding

__all__ = ["FIRST_YEAR", "LIMIT_S", "check_clock", "chrony_offset_s"]

LIMIT_S = 60.0
"""Further off than this the clock is wrong (SCREEN.md R45)."""

FIRST_YEAR = 2026
"""This program did not exist before: a computer that says so has lost its clock."""

CHRONYC_TIMEOUT_S = 5.0

_REMEDY = "Set the time, or let the vehicle find its network (GNSS, NTP); see deploy/runbook.md."


def check_clock(
    root: Path = Path("/"),
    *,
    now: UtcClock = utc_now,
    offset_s: Callable[[], float | None] | None = None,
) -> Finding:
    """Compare the wall clock with what else tells the time.

    Parameters
    ----------
    root
        Where /sys is.
    offset_s
        Asks a time service how far off the clock is; None for none.
    """
    at = now()
    if at.year < FIRST_YEAR:
        return Finding("Clock", False, f"{at:%Y-%m-%d %H:%M} UTC cannot be", _REMEDY, "F-06")
    if offset_s is not None and (offset := offset_s()) is not None:
        ok = abs(offset) <= LIMIT_S
        return Finding("Clock", ok, f"{offset:+.3f} s off by the time service", "" if ok else _REMEDY, "F-06")
    hardware = _hardware_clock(root)
    if hardware is None:
        return Finding("Clock", True, "nothing to compare with", "", "F-06")
    offset = (at - hardware).total_seconds()
    ok = abs(offset) <= LIMIT_S
    return Finding("Clock", ok, f"{offset:+.0f} s off by the hardware clock", "" if ok else _REMEDY, "F-06")


def chrony_offset_s() -> float | None:
    """Return how far the clock is off by chrony's reckoning; None where chrony is not there or knows no source."""
    program = shutil.which("chronyc")
    if program is None:
        return None
    try:
        asked = subprocess.run(
            [program, "-c", "tracking"], capture_output=True, timeout=CHRONYC_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # chronyc(1), tracking: reference id, address, stratum, reference time, system time offset, ...
    fields = asked.stdout.strip().split(",")
    if asked.returncode or len(fields) < 5 or fields[2] == "0":
        return None
    try:
        return float(fields[4])
    except ValueError:
        return None


def _hardware_clock(root: Path) -> datetime | None:
    try:
        seconds = int((root / "sys/class/rtc/rtc0/since_epoch").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at if at.year >= FIRST_YEAR else None
