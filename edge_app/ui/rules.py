"""Which state holds: one table of rules, the first that applies wins (R39). No Qt.

What follows from the rules for every event is written down in `edge_app.ui.transitions`.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_app.ui.facts import Disk, Facts, Life, Moment, Phase, facts_of, phase_of
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import ScreenState

__all__ = ["RULES", "case_state", "state_from", "state_of"]

_UNFINISHED = frozenset({Phase.RECEIVING, Phase.STALLED, Phase.ANALYSING, Phase.CHECKING})
_S = ScreenState

RULES: tuple[tuple[ScreenState, Callable[[Facts], bool]], ...] = (
    # What nobody foresaw is a failure, before anything else is said about the case.
    (_S.FAILED, lambda f: f.phase is Phase.UNKNOWN),
    # A finished case keeps its result when a process dies; with newer images, or unfinished, it cannot get on.
    (_S.AI_STOPPED, lambda f: f.phase is not Phase.NONE and f.worker is Life.DEAD and f.newer_images),
    (_S.AI_STOPPED, lambda f: f.phase in _UNFINISHED and f.worker is Life.DEAD),
    (_S.HAEMORRHAGE, lambda f: f.phase is Phase.HAEMORRHAGE),
    (_S.ISCHAEMIC, lambda f: f.phase is Phase.ISCHAEMIC),
    (_S.INDETERMINATE, lambda f: f.phase is Phase.INDETERMINATE),
    (_S.READ_FIRST, lambda f: f.phase is Phase.NONE_DETECTED and f.unread),
    (_S.NONE_DETECTED, lambda f: f.phase is Phase.NONE_DETECTED),
    (_S.NO_AI_RESULT, lambda f: f.phase is Phase.NO_RESULT),
    (_S.FAILED, lambda f: f.phase is Phase.FAILED),
    (_S.CHECKING, lambda f: f.phase is Phase.CHECKING),
    (_S.ANALYSING, lambda f: f.phase is Phase.ANALYSING),
    (_S.RECEIVER_STOPPED, lambda f: f.phase in _UNFINISHED and f.receiver is Life.DEAD),
    (_S.STALLED, lambda f: f.phase is Phase.STALLED),
    (_S.RECEIVING, lambda f: f.phase is Phase.RECEIVING),
    # From here on there is no case. A locked screen hides nothing but cases, so what is broken comes first.
    (_S.RECEIVER_STOPPED, lambda f: f.receiver is Life.DEAD),
    (_S.AI_STOPPED, lambda f: f.worker is Life.DEAD),
    (_S.STARTING, lambda f: Life.STARTING in (f.receiver, f.worker)),
    (_S.DISK_FULL, lambda f: f.disk is Disk.FULL),
    (_S.MODEL_MISSING, lambda f: f.model_missing),
    (_S.NOT_FIT, lambda f: bool(f.unfit)),
    (_S.SELF_TEST, lambda f: f.untested),
    (_S.LOCKED, lambda f: f.locked),
    (_S.CLOCK_BAD, lambda f: f.clock_wrong),
    (_S.SCANNER_SILENT, lambda f: f.scanner_silent),
    (_S.DISK_LOW, lambda f: f.disk is Disk.LOW),
    (_S.DEGRADED, lambda f: f.fallback),
    (_S.READY, lambda f: True),
)


def state_from(facts: Facts) -> ScreenState:
    """Return the state that holds."""
    return next(state for state, holds in RULES if holds(facts))


def state_of(
    snapshot: Snapshot, study: StudyView | None, now: Moment, *, read_first: bool = False, locked: bool = False
) -> ScreenState:
    """Return the state for a study, or for the machine when there is none."""
    return state_from(facts_of(snapshot, study, now, read_first=read_first, locked=locked))


def case_state(study: StudyView, now_s: float, *, read_first: bool = False) -> ScreenState:
    """Return a case's state for the case list: as it would be if all processes lived."""
    unread = read_first and "impression" not in study.crew
    return state_from(Facts(phase=phase_of(study, now_s), unread=unread))
