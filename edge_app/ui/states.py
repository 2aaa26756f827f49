"""The screen's states, and one table of what each looks like. No Qt.

Exactly one state holds at a time (R39; `edge_app.ui.rules` tells which). Each has its own icon shape, and with fill
pattern and words a triple that survives greyscale (R32). No result, old result, failed analysis and dead worker are
four different screens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_app.ui.theme import Role

__all__ = [
    "IDLE_STATES",
    "LOOKS",
    "RESULT_STATES",
    "TERMINAL_STATES",
    "Icon",
    "Look",
    "Pattern",
    "ScreenState",
]


class ScreenState(str, Enum):
    """What the screen is saying."""

    STARTING = "starting"
    READY = "ready"
    RECEIVING = "receiving"
    STALLED = "stalled"
    CHECKING = "checking"
    ANALYSING = "analysing"
    READ_FIRST = "read_first"
    HAEMORRHAGE = "haemorrhage"
    ISCHAEMIC = "ischaemic"
    NONE_DETECTED = "none_detected"
    INDETERMINATE = "indeterminate"
    NO_AI_RESULT = "no_ai_result"
    FAILED = "failed"
    AI_STOPPED = "ai_stopped"
    RECEIVER_STOPPED = "receiver_stopped"
    MODEL_MISSING = "model_missing"
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    SCANNER_SILENT = "scanner_silent"
    CLOCK_BAD = "clock_bad"
    DEGRADED = "degraded"
    SELF_TEST = "self_test"
    NOT_FIT = "not_fit"
    LOCKED = "locked"


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
    DISK_LINE = "disk_line"
    LENS = "lens"
    EYE = "eye"
    WAVES_SLASH = "waves_slash"
    CLOCK = "clock"
    CHIP = "chip"
    PADLOCK = "padlock"
    GAUGE = "gauge"
    WRENCH = "wrench"


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
    ScreenState.CHECKING: Look(Icon.LENS, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.ANALYSING: Look(Icon.HOURGLASS, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.READ_FIRST: Look(Icon.EYE, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.HAEMORRHAGE: Look(Icon.OCTAGON, Pattern.SOLID_FRAMED, Role.HAEMORRHAGE),
    ScreenState.ISCHAEMIC: Look(Icon.TRIANGLE, Pattern.SOLID, Role.ISCHAEMIC),
    ScreenState.NONE_DETECTED: Look(Icon.CIRCLE, Pattern.OUTLINE, Role.NOT_DETECTED),
    ScreenState.INDETERMINATE: Look(Icon.DIAMOND, Pattern.HATCH_EDGE, Role.INDETERMINATE),
    ScreenState.NO_AI_RESULT: Look(Icon.SQUARE_SLASH, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.FAILED: Look(Icon.SQUARE_CROSS, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.AI_STOPPED: Look(Icon.HEXAGON_STOP, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.RECEIVER_STOPPED: Look(Icon.PLUG, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.MODEL_MISSING: Look(Icon.BOX_MISSING, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.DISK_LOW: Look(Icon.DISK_LINE, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.DISK_FULL: Look(Icon.DISK, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.SCANNER_SILENT: Look(Icon.WAVES_SLASH, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.CLOCK_BAD: Look(Icon.CLOCK, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.DEGRADED: Look(Icon.CHIP, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.SELF_TEST: Look(Icon.GAUGE, Pattern.PLAIN, Role.NEUTRAL),
    ScreenState.NOT_FIT: Look(Icon.WRENCH, Pattern.CROSS_HATCH_EDGE, Role.NO_RESULT),
    ScreenState.LOCKED: Look(Icon.PADLOCK, Pattern.PLAIN, Role.NEUTRAL),
}

RESULT_STATES = frozenset(
    {ScreenState.HAEMORRHAGE, ScreenState.ISCHAEMIC, ScreenState.NONE_DETECTED, ScreenState.INDETERMINATE}
)

TERMINAL_STATES = RESULT_STATES | {ScreenState.NO_AI_RESULT, ScreenState.FAILED}
"""The worker has said its last word on the images it has."""

IDLE_STATES = frozenset(
    {
        ScreenState.STARTING, ScreenState.READY, ScreenState.DISK_LOW, ScreenState.DISK_FULL, ScreenState.DEGRADED,
        ScreenState.SCANNER_SILENT, ScreenState.CLOCK_BAD, ScreenState.MODEL_MISSING, ScreenState.LOCKED,
        ScreenState.SELF_TEST, ScreenState.NOT_FIT,
    }
)  # fmt: skip
"""There is no case on the screen."""
