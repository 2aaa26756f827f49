"""What the screen's computer feels of its surroundings: light, and whether its clock agrees with its own hardware.

Read on a thread of its own, as a light sensor may take half a second to answer. No Qt.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_app.core.clock import utc_now

__all__ = [
    "DAY_LUX",
    "NIGHT_LUX",
    "Surroundings",
    "Watch",
    "is_synchronised",
    "read_lux",
    "read_rtc_offset_s",
    "theme_for",
]

DAY_LUX = 80.0
"""From here on the day theme is wanted; a lit patient cabin has some hundred lux."""

NIGHT_LUX = 30.0
"""Up to here the night theme is wanted; between the two nothing changes (R69: hysteresis)."""

PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One look around; None where there is nothing to look with."""

    lux: float | None = None
    clock_offset_s: float | None = None
    """System time less the time of the battery-backed hardware clock; None while a time server holds the clock."""


def theme_for(lux: float | None, now: str) -> str:
    """Return the theme that the light asks for, `now` between the limits; "" where there is no sensor."""
    if lux is None:
        return ""
    if lux >= DAY_LUX:
        return "day"
    return "night" if lux <= NIGHT_LUX or not now else now


def read_lux(sys: Path = Path("/sys")) -> float | None:
    """Return what the first light sensor says, or None (Linux IIO ABI, ``in_illuminance``).

    ``in_illuminance_input`` is lux; ``in_illuminance_raw`` becomes lux by (raw + offset) × scale.
    """
    for device in sorted((sys / "bus/iio/devices").glob("iio:device*")):
        for name in ("in_illuminance", "in_illuminance0"):
            if (lux := _number(device / f"{name}_input")) is not None:
                return lux
            if (raw := _number(device / f"{name}_raw")) is not None:
                scale, offset = _number(device / f"{name}_scale"), _number(device / f"{name}_offset")
                return (raw + (offset or 0.0)) * (1.0 if scale is None else scale)
    return None


def read_rtc_offset_s(sys: Path = Path("/sys"), now: datetime | None = None) -> float | None:
    """Return how far system time is ahead of the hardware clock that the kernel started from; None without one."""
    for device in sorted((sys / "class/rtc").glob("rtc*"), key=lambda path: _number(path / "hctosys") != 1.0):
        since_epoch = _number(device / "since_epoch")
        if since_epoch is not None:
            return (now or utc_now()).timestamp() - since_epoch
    return None


_TIMEX_BYTES = 512
"""More than `struct timex` takes on any machine; with no mode set, adjtimex(2) only reports."""


_TIME_ERROR = 5
"""Its answer when nothing does; anything below is the state of a clock that is held (-1: it cannot be asked)."""


def is_synchronised(run: Path = Path("/run")) -> bool:
    """Return whether a time server (NTP, GNSS) holds this clock: the kernel says so, or systemd-timesyncd.

    A hardened unit may not ask the kernel; then the file counts, and else the hardware clock, which a time server sets
    every 11 minutes.
    """
    if (run / "systemd/timesync/synchronized").exists():
        return True
    try:
        return int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))) in range(
            _TIME_ERROR
        )
    except (OSError, AttributeError):
        return False


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class Watch:
    """Looks around once a second; `latest` is what it saw last."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self.latest = Surroundings()
        self._sys = sys
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surroundings", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a sensor that hangs is left behind."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            offset_s = None if is_synchronised() else read_rtc_offset_s(self._sys)
            self.latest = Surroundings(read_lux(self._sys), offset_s)
            self._stop.wait(PERIOD_S)
