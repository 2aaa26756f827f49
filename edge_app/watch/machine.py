"""The machine itself: disk, memory, heat and wear, read from files of the kernel. Nothing is changed.

Every check takes the root of the file tree, so that tests can put a machine there that is too hot or worn out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_app.core.clock import utc_now
from edge_app.core.findings import Finding

__all__ = ["ask_smart", "check_disk", "check_heat", "check_memory", "check_wear", "run_smartctl"]

LEAST_MEMORY_BYTES = 384 << 20
LEAST_MEMORY_SHARE = 0.04
"""Below both bounds the kernel begins to kill processes, and it picks the largest: the worker."""

_THROTTLING_TRIPS = ("passive", "hot", "critical")
"""Trip points at which the kernel slows the machine down or stops it (Documentation/driver-api/thermal/sysfs-api)."""

_EMMC_WORN = ("0x02", "0x03")
"""PRE_EOL_INFO of JEDEC eMMC 5.0: 80 % (warning) and 90 % (urgent) of the reserved blocks are used up."""

SMARTCTL_TIMEOUT_S = 20.0

SMART_ANSWERS = Path("/run/msu-smart")
"""Where msu-smart.service, which may ask disks, leaves what they say (deploy/smart/watch-disks.sh)."""

SMART_STALE_S = 120.0
"""What is older than this is no answer: four rounds of that service."""


def check_disk(folder: Path, min_free_bytes: int) -> Finding:
    """Look whether the store's disk has room, and takes writes at all."""
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB"
    if usage.free < min_free_bytes:
        remedy = "Let delivered studies go, or attach a larger disk: below receiver.min_free_bytes images are refused."
        return Finding("Disk", False, found, remedy, "F-05")
    probe = folder / ".watch"
    try:
        probe.write_bytes(b"msu")
        probe.unlink()
    except OSError as error:
        return Finding("Disk", False, f"cannot be written: {error.strerror}", "Replace the disk.", "F-10")
    return Finding("Disk", True, found, "", "F-05")


def check_memory(root: Path = Path("/")) -> Finding:
    """Look how much memory is to be had (MemAvailable of proc(5))."""
    values = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if rest.split()[:1] and rest.split()[0].isdigit():
            values[name] = int(rest.split()[0]) << 10
    available, total = values.get("MemAvailable"), values.get("MemTotal")
    if available is None or total is None:
        return Finding("Memory", True, "not told by this system", "", "F-11")
    found = f"{available / 2**20:.0f} MiB available of {total / 2**20:.0f} MiB"
    low = available < LEAST_MEMORY_BYTES or available < total * LEAST_MEMORY_SHARE
    return Finding(
        "Memory", not low, found, "Restart the computer; call service if it comes back." if low else "", "F-11"
    )


def check_heat(root: Path = Path("/")) -> Finding:
    """Look whether a thermal zone has reached a trip point at which the machine is slowed down."""
    hot, warmest = [], None
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        temperature = _number(zone / "temp")
        if temperature is None:
            continue
        celsius = temperature / 1000.0
        warmest = celsius if warmest is None else max(warmest, celsius)
        limit = _lowest_trip(zone)
        if limit is not None and celsius >= limit:
            hot.append(f"{_text(zone / 'type').strip() or zone.name} {celsius:.0f} °C (limit {limit:.0f} °C)")
    if hot:
        return Finding("Heat", False, "; ".join(hot), "Open the cabinet, check fan and air filter.", "F-09")
    return Finding("Heat", True, "no sensor" if warmest is None else f"{warmest:.0f} °C at most", "", "F-09")


def check_wear(root: Path = Path("/"), smartctl: Callable[[str], dict[str, Any] | None] | None = None) -> Finding:
    """Look whether a disk says that it is failing: eMMC wear, errors of ext4, SMART where smartctl is there."""
    problems = []
    for block in sorted((root / "sys/block").glob("mmcblk*")):
        if (state := _text(block / "device/pre_eol_info").strip()) in _EMMC_WORN:
            problems.append(f"{block.name}: worn out (pre_eol_info {state})")
    for counter in sorted((root / "sys/fs/ext4").glob("*/errors_count")):
        if errors := _number(counter):
            problems.append(f"{counter.parent.name}: {errors} file system errors")
    looked = 0
    for disk in _disks(root) if smartctl else ():
        report = smartctl(disk) if smartctl else None
        if report is None:
            continue
        looked += 1
        if report.get("smart_status", {}).get("passed") is False:
            problems.append(f"{disk}: SMART says that it is failing")
        elif report.get("nvme_smart_health_information_log", {}).get("critical_warning"):
            problems.append(f"{disk}: NVMe critical warning")
    if problems:
        remedy = "Deliver what is held, then replace the disk."
        return Finding("Disk health", False, "; ".join(problems), remedy, "F-10")
    return Finding("Disk health", True, f"no complaint ({looked} disks asked by SMART)", "", "F-10")


def run_smartctl(disk: str) -> bytes:
    """Return what smartctl says of a disk; nothing where it is not installed or does not answer."""
    program = shutil.which("smartctl")
    if program is None:
        return b""
    command = [program, "--json", "--health", "--attributes", f"/dev/{disk}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=SMARTCTL_TIMEOUT_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


def ask_smart(
    disk: str, *, answers: Path = SMART_ANSWERS, run: Callable[[str], bytes] = run_smartctl
) -> dict[str, Any] | None:
    """Return a disk's health: what msu-smart.service has just been told, else smartctl's own answer.

    None where neither is to be had: smartctl is not installed, or may not ask (it needs rights over the disk).
    """
    told = answers / f"{disk}.json"
    try:
        fresh = utc_now().timestamp() - told.stat().st_mtime <= SMART_STALE_S
    except OSError:
        fresh = False
    raw = _text(told).encode() if fresh else run(disk)
    try:
        report = json.loads(raw or b"{}")
    except ValueError:
        return None
    return report if isinstance(report, dict) and "smart_status" in report else None


def _disks(root: Path) -> Iterator[str]:
    for block in sorted((root / "sys/block").glob("*")):
        if block.name.startswith(("nvme", "sd")):
            yield block.name


def _lowest_trip(zone: Path) -> float | None:
    limits = []
    for kind in zone.glob("trip_point_*_type"):
        if _text(kind).strip() in _THROTTLING_TRIPS:
            limit = _number(kind.with_name(kind.name.replace("_type", "_temp")))
            if limit is not None and limit > 0:
                limits.append(limit / 1000.0)
    return min(limits, default=None)


def _number(path: Path) -> int | None:
    try:
        return int(_text(path).strip())
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
