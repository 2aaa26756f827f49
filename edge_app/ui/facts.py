"""What is true now, as far as it decides the screen's state: a snapshot boiled down to a few words. No Qt.

`edge_app.ui.rules` turns facts into the state. Everything that has a limit (silence, disk, clock) has it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from edge_app.core.types import StudyStatus, Verdict
from edge_app.ui import formats
from edge_app.ui.snapshot import ANNOUNCED_S, Snapshot, StudyView

__all__ = [
    "DEAD_AFTER_S",
    "DISK_LOW_SHARE",
    "SCANNER_SILENT_S",
    "STALLED_AFTER_S",
    "START_GRACE_S",
    "Disk",
    "Facts",
    "Life",
    "Moment",
    "Phase",
    "clock_is_wrong",
    "disk_of",
    "facts_of",
    "is_alive",
    "phase_of",
    "sending_is_off",
    "unfit_codes",
    "waits_in_vain",
    "waits_s",
]

DEAD_AFTER_S = 2.5
"""A process that has not beaten its heart for this long is called dead: said on the screen within 3 s."""

WATCH_DEAD_AFTER_S = 30.0
"""The watch leaves a sign of life after each round, and a round in which it hashes a large model takes its time."""

START_GRACE_S = 15.0
"""How long a process may take to beat for the first time after the screen has started."""

STALLED_AFTER_S = 30.0
"""No new image for this long while the association is open: the transfer has stalled (R42)."""

WAITS_S = 300.0
"""No image for so long after a patient was announced: something is wrong on the scanner's side (R43)."""

SCANNER_SILENT_S = 600.0
"""No association and no C-ECHO of a peer for this long: the scanner is silent (R43)."""

DISK_LOW_SHARE = 0.15
DISK_LOW_BYTES = 50 * 100_000_000
"""Less free than this share, or than 50 studies of 100 MB, is low (R44)."""

SCAN_AHEAD_S = 60.0
SCAN_BEHIND_S = 900.0
"""An acquisition this far in the future, or this long before its images came, means that a clock is wrong (R45)."""

CLOCK_OFF_S = 60.0
"""System and hardware clock this far apart: one of them is wrong (R45)."""

FIRST_YEAR = 2026
"""The program did not exist before: a computer that says so has lost its clock."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks: `monotonic_s` for spans, `local` (aware) for the wall clock; and what is felt now."""

    monotonic_s: float
    local: datetime
    lux: float | None = None
    """Of the light sensor; None without one."""
    clock_offset_s: float | None = None
    """How far the wall clock is ahead of the hardware clock; None while a time server holds it, or without one."""


class Phase(str, Enum):
    """Where a case is, whatever the processes do."""

    NONE = "none"
    RECEIVING = "receiving"
    STALLED = "stalled"
    ANALYSING = "analysing"
    CHECKING = "checking"
    HAEMORRHAGE = "haemorrhage"
    ISCHAEMIC = "ischaemic"
    NONE_DETECTED = "none_detected"
    INDETERMINATE = "indeterminate"
    NO_RESULT = "no_result"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The store says something that this program does not know, or a result without a verdict."""


class Life(str, Enum):
    """How a process is."""

    STARTING = "starting"
    ALIVE = "alive"
    DEAD = "dead"


class Disk(str, Enum):
    """How much room there is."""

    OK = "ok"
    LOW = "low"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides the state; the defaults are a healthy system without a case."""

    phase: Phase = Phase.NONE
    newer_images: bool = False
    """Images have come that the result has not seen."""
    unread: bool = False
    """The site wants the crew to read first, and it has not yet (R35)."""
    receiver: Life = Life.ALIVE
    worker: Life = Life.ALIVE
    disk: Disk = Disk.OK
    model_missing: bool = False
    fallback: bool = False
    """The worker runs on a backend that is not the intended one."""
    scanner_silent: bool = False
    clock_wrong: bool = False
    locked: bool = False
    untested: bool = False
    """The self-test has not passed yet in this boot (or since the model changed)."""
    unfit: tuple[str, ...] = ()
    """Codes (`edge_app.core.findings`) of what the watch found wrong and no other state says."""


_TOLD_ELSEWHERE = frozenset({"F-02", "F-05"})
"""An untested vehicle and a full disk have states of their own."""

_VERDICTS = {
    Verdict.HEMORRHAGE: Phase.HAEMORRHAGE,
    Verdict.ISCHEMIC: Phase.ISCHAEMIC,
    Verdict.NONE_DETECTED: Phase.NONE_DETECTED,
    Verdict.INDETERMINATE: Phase.INDETERMINATE,
}


def facts_of(
    snapshot: Snapshot, study: StudyView | None, now: Moment, *, read_first: bool = False, locked: bool = False
) -> Facts:
    """Return the facts about a study (None: there is none) and the machine."""
    work = snapshot.heartbeats.get("work")
    detail: Mapping[str, Any] = work.detail if work else {}
    codes = unfit_codes(snapshot, now.monotonic_s)
    return Facts(
        phase=phase_of(study, now.monotonic_s) if study else Phase.NONE,
        newer_images=study is not None and study.last_instance_id > study.result_instance_id,
        unread=read_first and study is not None and "impression" not in study.crew,
        receiver=_life(snapshot, "receive", now.monotonic_s),
        worker=_life(snapshot, "work", now.monotonic_s),
        disk=disk_of(snapshot),
        model_missing=bool(detail.get("problem")),
        fallback=bool(detail.get("fallback")),
        scanner_silent=_is_silent(snapshot, now.monotonic_s) or waits_in_vain(snapshot, now),
        clock_wrong=clock_is_wrong(study, now),
        locked=locked,
        untested="F-02" in codes,
        unfit=tuple(code for code in codes if code not in _TOLD_ELSEWHERE),
    )


def unfit_codes(snapshot: Snapshot, now_s: float) -> tuple[str, ...]:
    """Return what the watch found wrong; F-08 when it is silent itself, nothing where there never was one."""
    beat = snapshot.heartbeats.get("watch")
    if beat is None:
        return ()
    lives = beat.boot_id == snapshot.boot_id and now_s - beat.at_s <= WATCH_DEAD_AFTER_S
    if not lives:
        return () if now_s - snapshot.started_s <= WATCH_DEAD_AFTER_S else ("F-08",)
    findings = beat.detail.get("findings")
    if not isinstance(findings, list):
        return ()
    return tuple(str(item.get("code")) for item in findings if isinstance(item, dict) and not item.get("ok"))


def is_alive(snapshot: Snapshot, process: str, now_s: float) -> bool | None:
    """Return whether a process lives; None while it may still be starting."""
    beat = snapshot.heartbeats.get(process)
    if beat is not None and beat.boot_id == snapshot.boot_id:
        if beat.detail.get("refused"):
            return False  # its last word: it does not run with these settings
        if now_s - beat.at_s <= DEAD_AFTER_S:
            return True
        if beat.at_s >= snapshot.started_s:
            return False
    return None if now_s - snapshot.started_s <= START_GRACE_S else False


def _life(snapshot: Snapshot, process: str, now_s: float) -> Life:
    return {True: Life.ALIVE, False: Life.DEAD, None: Life.STARTING}[is_alive(snapshot, process, now_s)]


def phase_of(study: StudyView, now_s: float) -> Phase:
    """Return where a study is, from what the store says about it."""
    result, status = study.result, study.status
    if status is StudyStatus.RESULT:
        # A result without a verdict breaks the worker's promise; towards the doctor that is a failure, not "nothing".
        return _VERDICTS.get(result.verdict, Phase.UNKNOWN) if result and result.verdict else Phase.UNKNOWN
    if status is StudyStatus.NO_RESULT:
        return Phase.NO_RESULT
    if status is StudyStatus.FAILED:
        return Phase.FAILED
    if status is StudyStatus.ANALYSING:
        images, analysed = study.progress.get("images") or 0, study.progress.get("analysed") or 0
        return Phase.CHECKING if 0 < images <= analysed else Phase.ANALYSING
    silent = study.last_image_s is not None and now_s - study.last_image_s >= STALLED_AFTER_S
    if study.association in ("aborted", "lost") or (silent and study.association == "open"):
        return Phase.STALLED
    return Phase.RECEIVING


def sending_is_off(snapshot: Snapshot) -> bool:
    """Return whether the settings name nobody to send to."""
    deliver = snapshot.heartbeats.get("deliver")
    return deliver is not None and deliver.detail.get("link") == "off"


def disk_of(snapshot: Snapshot) -> Disk:
    """Return how much room the receiver says there is."""
    beat = snapshot.heartbeats.get("receive")
    detail: Mapping[str, Any] = beat.detail if beat else {}
    if detail.get("low_disk"):
        return Disk.FULL
    free, total = detail.get("free_bytes"), detail.get("total_bytes")
    if isinstance(free, int) and isinstance(total, int) and free < max(DISK_LOW_BYTES, total * DISK_LOW_SHARE):
        return Disk.LOW
    return Disk.OK


def _is_silent(snapshot: Snapshot, now_s: float) -> bool:
    heard_s = snapshot.started_s if snapshot.last_peer_s is None else max(snapshot.last_peer_s, snapshot.started_s)
    return now_s - heard_s >= SCANNER_SILENT_S


def waits_s(snapshot: Snapshot, now: Moment) -> float | None:
    """Return for how long a patient who was announced has been waited for; None where nobody is."""
    if snapshot.announced is None:
        return None
    at = datetime.fromisoformat(snapshot.announced.at_utc.replace("Z", "+00:00"))
    spent_s = (now.local - at).total_seconds()
    return spent_s if spent_s < ANNOUNCED_S else None


def waits_in_vain(snapshot: Snapshot, now: Moment) -> bool:
    """Return whether that is too long."""
    return (waits_s(snapshot, now) or 0.0) >= WAITS_S


def clock_is_wrong(study: StudyView | None, now: Moment) -> bool:
    """Return whether this computer's clock, or the scanner's, cannot be right (R45)."""
    if now.local.year < FIRST_YEAR or abs(now.clock_offset_s or 0.0) > CLOCK_OFF_S:
        return True
    scanned = formats.when(study.patient.get("acquired_at")) if study else None
    if scanned is None or study is None or study.last_image_s is None:
        return False
    local = now.local.replace(tzinfo=None)
    received = local - timedelta(seconds=now.monotonic_s - study.last_image_s)
    return (scanned - local).total_seconds() > SCAN_AHEAD_S or (received - scanned).total_seconds() > SCAN_BEHIND_S
