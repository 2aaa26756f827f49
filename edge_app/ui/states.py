"""The screen's states: one table of what each looks like, one function that tells which it is. No Qt.

Exactly one state holds at a time (R39). Each has its own icon shape, and with fill pattern and words a triple that
survives greyscale (R32). No result, old result, failed analysis and dead worker are four different screens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_app.core.types import StudyStatus, Verdict
from edge_app.store.ledger import HeartbeatRow
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.theme import Role

__all__ = [
    "DEAD_AFTER_S",
    "LOOKS",
    "RESULT_STATES",
    "STALLED_AFTER_S",
    "START_GRACE_S",
    "TERMINAL_STATES",
    "Icon",
    "Look",
    "Pattern",
    "ScreenState",
    "is_alive",
    "state_of",
    "study_state",
]

DEAD_AFTER_S = 3.0
"""A process that has not beaten its heart for this long is called dead."""

START_GRACE_S = 15.0
"""How long a process may take to beat for the first time after the screen has started."""

STALLED_AFTER_S = 30.0
"""No new image for this long while the association is open: the transfer has stalled (R42)."""


class ScreenState(str, Enum):
    """What the screen is saying."""

    STARTING = "starting"
    READY = "ready"
    RECEIVING = "receiving"
    STALLED = "stalled"
    ANALYSING = "analysing"
    HAEMORRHAGE = "haemorrhage"
    ISCHAEMIC = "ischaemic"
    NONE_DETECTED = "none_detected"
    INDETERMINATE = "indeterminate"
    NO_AI_RESULT = "no_ai_result"
    FAILED = "failed"
    AI_STOPPED = "ai_stopped"
    RECEIVER_STOPPED = "receiver_stopped"
    MODEL_MISSING = "model_missing"
    DISK_FULL = "disk_full"


class Icon(str, Enum):
    """The shapes that `edge_app.ui.icons` paints."""

    RING_DASHED = "ring_dashed"
    TRAY = "tray"
    ARROW_DOWN = "arrow_down"
    ARROW_BROKEN = "arrow_broken"
    HOURGLASS = "hourglass"
    OCTAGON = "octagon"
    TRIANGLE = "triangle"
    CIRCLE = "circle"
    DIAMOND = "diamond"
    SQUARE_SLASH = "square_slash"
    SQUARE_CROSS = "square_cross"
    HEXAGON_STOP = "hexagon_stop"
    PLUG = "plug"
    BOX_MISSING = "box_missing"
    DISK = "disk"


class Pattern(str, Enum):
    """How the result panel is filled."""

    PLAIN = "plain"
    SOLID_FRAMED = "solid_framed"
    SOLID = "solid"
    OUTLINE = "outline"
    HATCH_EDGE = "hatch_edge"
    CROSS_HATCH_EDGE = "cross_hatch_edge"


@dataclass(frozen=True, slots=True)
class Look:
    """Icon, fill pattern and palette role of a state."""

    icon: Icon
    pattern: Pattern
    role: Role


LOOKS: dict[ScreenState, Look] = {
    ScreenState.STARTING: Look(Icon.RING_DASHED, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.READY: Look(Icon.TRAY, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.RECEIVING: Look(Icon.ARROW_DOWN, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.STALLED: Look(Icon.ARROW_BROKEN, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.ANALYSING: Look(Icon.HOURGLASS, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.HAEMORRHAGE: Look(Icon.OCTAGON, Pattern.SOLID_FRAMED, Role.HAEMORRHAGE),
    ScreenState.ISCHAEMIC: Look(Icon.TRIANGLE, Pattern.SOLID, Role.ISCHAEMIC),
    ScreenState.NONE_DETECTED: Look(Icon.CIRCLE, Pattern.OUTLINE, Role.NOT_DETECTED),
    ScreenState.INDETERMINATE: Look(Icon.DIAMOND, Pattern.HATCH_EDGE, Role.INDETERMINATE),
    ScreenState.NO_AI_RESULT: Look(Icon.SQUARE_SLASH, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.FAILED: Look(Icon.SQUARE_CROSS, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.AI_STOPPED: Look(Icon.HEXAGON_STOP, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.RECEIVER_STOPPED: Look(Icon.PLUG, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.MODEL_MISSING: Look(Icon.BOX_MISSING, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.DISK_FULL: Look(Icon.DISK, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
}

RESULT_STATES = frozenset(
    {ScreenState.HAEMORRHAGE, ScreenState.ISCHAEMIC, ScreenState.NONE_DETECTED, ScreenState.INDETERMINATE}
)

TERMINAL_STATES = RESULT_STATES | {ScreenState.NO_AI_RESULT, ScreenState.FAILED}
"""The worker has said its last word on the images it has."""

_VERDICTS = {
    Verdict.HEMORRHAGE: ScreenState.HAEMORRHAGE,
    Verdict.ISCHEMIC: ScreenState.ISCHAEMIC,
    Verdict.NONE_DETECTED: ScreenState.NONE_DETECTED,
    Verdict.INDETERMINATE: ScreenState.INDETERMINATE,
}


def is_alive(snapshot: Snapshot, process: str, now_s: float) -> bool | None:
    """Return whether a process lives; None while it may still be starting."""
    beat = snapshot.heartbeats.get(process)
    if _beats_of_this_boot(snapshot, beat) is not None and beat is not None:
        if now_s - beat.at_s <= DEAD_AFTER_S:
            return True
        if beat.at_s >= snapshot.started_s:
            return False
    return None if now_s - snapshot.started_s <= START_GRACE_S else False


def _beats_of_this_boot(snapshot: Snapshot, beat: HeartbeatRow | None) -> HeartbeatRow | None:
    return beat if beat is not None and beat.boot_id == snapshot.boot_id else None


def state_of(snapshot: Snapshot, now_s: float, study_uid: str | None = None) -> ScreenState:
    """Return the state for the newest study, or for another one chosen from the case list.

    A finished study keeps its result when a process dies (the footer says so); an unfinished one cannot get on, and
    the screen says that instead.
    """
    study = snapshot.find(study_uid) if study_uid else snapshot.current
    worker, receiver = is_alive(snapshot, "work", now_s), is_alive(snapshot, "receive", now_s)
    if study is not None:
        state = study_state(study, now_s)
        if state in TERMINAL_STATES and not (worker is False and _has_newer_images(study)):
            return state
        if worker is False:
            return ScreenState.AI_STOPPED
        if state in TERMINAL_STATES or state is ScreenState.ANALYSING:
            return state
        return ScreenState.RECEIVER_STOPPED if receiver is False else state
    if receiver is False:
        return ScreenState.RECEIVER_STOPPED
    if worker is False:
        return ScreenState.AI_STOPPED
    if receiver is None or worker is None:
        return ScreenState.STARTING
    if snapshot.heartbeats["receive"].detail.get("low_disk"):
        return ScreenState.DISK_FULL
    if snapshot.heartbeats["work"].detail.get("problem"):
        return ScreenState.MODEL_MISSING
    return ScreenState.READY


def study_state(study: StudyView, now_s: float) -> ScreenState:
    """Return a study's state from what the store says about it, whatever the processes do."""
    if study.status is StudyStatus.RESULT and study.result is not None and study.result.verdict is not None:
        return _VERDICTS[study.result.verdict]
    if study.status is StudyStatus.NO_RESULT:
        return ScreenState.NO_AI_RESULT
    if study.status in (StudyStatus.FAILED, StudyStatus.RESULT):
        # A result without a verdict breaks the worker's promise; towards the doctor that is a failure, not "nothing".
        return ScreenState.FAILED
    if study.status is StudyStatus.ANALYSING:
        return ScreenState.ANALYSING
    silent = study.last_image_s is not None and now_s - study.last_image_s >= STALLED_AFTER_S
    if study.association in ("aborted", "lost") or (silent and study.association == "open"):
        return ScreenState.STALLED
    return ScreenState.RECEIVING


def _has_newer_images(study: StudyView) -> bool:
    return study.last_instance_id > study.result_instance_id
