"""What may happen, and which state may follow which: the rules seen from the side of events (R39). No Qt.

`TRANSITIONS` follows from `edge_app.ui.rules`. It is written down to be read and judged by people; a test lets every
event happen in every situation and compares, so that neither can change without the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from edge_app.ui.facts import Disk, Facts, Life, Phase
from edge_app.ui.states import ScreenState

__all__ = ["EVENTS", "TRANSITIONS", "Event"]


class Event(str, Enum):
    """Everything that can change what the screen says."""

    IMAGE = "an image arrives"
    SILENCE = "the transfer stops"
    COMPLETE = "the series is complete"
    SCORED = "all slices are scored"
    HAEMORRHAGE = "result: haemorrhage"
    ISCHAEMIC = "result: ischaemic signs"
    NONE_DETECTED = "result: none detected"
    INDETERMINATE = "result: indeterminate"
    REFUSED = "result: none, with a reason"
    FAILED = "the analysis fails for good"
    UNKNOWN = "the store says what nobody knows"
    LATE_IMAGE = "an image comes that the result has not seen"
    READ = "the crew enters its own reading"
    CASE_ENDS = "the case ends"
    RECEIVER_DIES = "the receiver dies"
    RECEIVER_LIVES = "the receiver lives"
    WORKER_DIES = "the worker dies"
    WORKER_LIVES = "the worker lives"
    MODEL_LOST = "the model cannot be loaded"
    MODEL_FOUND = "the model is loaded"
    FALLBACK = "the backend is a fallback"
    DISK_LOW = "the disk runs low"
    DISK_FULL = "the disk is full"
    DISK_FREE = "there is room again"
    SCANNER_SILENT = "the scanner falls silent"
    SCANNER_HEARD = "the scanner is heard"
    CLOCK_WRONG = "a clock is wrong"
    CLOCK_RIGHT = "the clocks agree"
    LOCK = "the screen locks"
    UNLOCK = "the screen is unlocked"
    UNFIT = "the watch finds something wrong"
    FIT = "the watch finds nothing wrong any more"
    UNTESTED = "the self-test is due"
    TESTED = "the self-test has passed"


def _phase(phase: Phase, *, newer: bool) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, phase=phase, newer_images=newer)


EVENTS: dict[Event, Callable[[Facts], Facts]] = {
    Event.IMAGE: lambda f: replace(f, phase=Phase.RECEIVING, newer_images=True, scanner_silent=False),
    Event.SILENCE: _phase(Phase.STALLED, newer=True),
    Event.COMPLETE: _phase(Phase.ANALYSING, newer=True),
    Event.SCORED: _phase(Phase.CHECKING, newer=True),
    Event.HAEMORRHAGE: _phase(Phase.HAEMORRHAGE, newer=False),
    Event.ISCHAEMIC: _phase(Phase.ISCHAEMIC, newer=False),
    Event.NONE_DETECTED: _phase(Phase.NONE_DETECTED, newer=False),
    Event.INDETERMINATE: _phase(Phase.INDETERMINATE, newer=False),
    Event.REFUSED: _phase(Phase.NO_RESULT, newer=False),
    Event.FAILED: _phase(Phase.FAILED, newer=False),
    Event.UNKNOWN: _phase(Phase.UNKNOWN, newer=False),
    Event.LATE_IMAGE: lambda f: replace(f, newer_images=f.phase is not Phase.NONE),
    Event.READ: lambda f: replace(f, unread=False),
    Event.CASE_ENDS: _phase(Phase.NONE, newer=False),
    Event.RECEIVER_DIES: lambda f: replace(f, receiver=Life.DEAD),
    Event.RECEIVER_LIVES: lambda f: replace(f, receiver=Life.ALIVE),
    Event.WORKER_DIES: lambda f: replace(f, worker=Life.DEAD),
    Event.WORKER_LIVES: lambda f: replace(f, worker=Life.ALIVE),
    Event.MODEL_LOST: lambda f: replace(f, model_missing=True),
    Event.MODEL_FOUND: lambda f: replace(f, model_missing=False),
    Event.FALLBACK: lambda f: replace(f, fallback=True),
    Event.DISK_LOW: lambda f: replace(f, disk=Disk.LOW),
    Event.DISK_FULL: lambda f: replace(f, disk=Disk.FULL),
    Event.DISK_FREE: lambda f: replace(f, disk=Disk.OK),
    Event.SCANNER_SILENT: lambda f: replace(f, scanner_silent=True),
    Event.SCANNER_HEARD: lambda f: replace(f, scanner_silent=False),
    Event.CLOCK_WRONG: lambda f: replace(f, clock_wrong=True),
    Event.CLOCK_RIGHT: lambda f: replace(f, clock_wrong=False),
    Event.LOCK: lambda f: replace(f, locked=True),
    Event.UNLOCK: lambda f: replace(f, locked=False),
    Event.UNFIT: lambda f: replace(f, unfit=("F-09",)),
    Event.FIT: lambda f: replace(f, unfit=()),
    Event.UNTESTED: lambda f: replace(f, untested=True),
    Event.TESTED: lambda f: replace(f, untested=False),
}
"""What each event does to the facts."""

_S = ScreenState
_States = frozenset[ScreenState]

ALL: _States = frozenset(ScreenState)
QUIET: _States = frozenset({_S.DEGRADED, _S.DISK_LOW, _S.READY, _S.SCANNER_SILENT, _S.CLOCK_BAD})
CHECKED: _States = frozenset({_S.NOT_FIT, _S.SELF_TEST, _S.LOCKED})
IDLE: _States = QUIET | CHECKED | {_S.DISK_FULL, _S.MODEL_MISSING, _S.STARTING}
ARRIVING: _States = frozenset({_S.RECEIVING, _S.STALLED})
WORKING: _States = frozenset({_S.ANALYSING, _S.CHECKING})
DONE: _States = frozenset(
    {_S.FAILED, _S.HAEMORRHAGE, _S.INDETERMINATE, _S.ISCHAEMIC, _S.NONE_DETECTED, _S.NO_AI_RESULT, _S.READ_FIRST}
)
_AI, _RECEIVER = frozenset({_S.AI_STOPPED}), frozenset({_S.RECEIVER_STOPPED})


def _to(*states: ScreenState) -> _States:
    return frozenset(states)


TRANSITIONS: dict[Event, tuple[tuple[_States, _States], ...]] = {
    Event.IMAGE: (
        (IDLE | {_S.STALLED}, _to(_S.RECEIVING)),
        (WORKING, _to(_S.RECEIVING) | _RECEIVER),
        (DONE, _to(_S.RECEIVING) | _RECEIVER | _AI),
        (_RECEIVER, _AI),
    ),
    Event.SILENCE: (
        (IDLE | {_S.RECEIVING}, _to(_S.STALLED)),
        (WORKING, _to(_S.STALLED) | _RECEIVER),
        (DONE, _to(_S.STALLED) | _RECEIVER | _AI),
        (_RECEIVER, _AI),
    ),
    Event.COMPLETE: (
        (IDLE | ARRIVING | {_S.CHECKING}, _to(_S.ANALYSING)),
        (DONE | _RECEIVER, _to(_S.ANALYSING) | _AI),
    ),
    Event.SCORED: (
        (IDLE | ARRIVING | {_S.ANALYSING}, _to(_S.CHECKING)),
        (DONE | _RECEIVER, _to(_S.CHECKING) | _AI),
    ),
    Event.HAEMORRHAGE: ((ALL - {_S.HAEMORRHAGE}, _to(_S.HAEMORRHAGE)),),
    Event.ISCHAEMIC: ((ALL - {_S.ISCHAEMIC}, _to(_S.ISCHAEMIC)),),
    Event.NONE_DETECTED: ((ALL - {_S.NONE_DETECTED, _S.READ_FIRST}, _to(_S.NONE_DETECTED, _S.READ_FIRST)),),
    Event.INDETERMINATE: ((ALL - {_S.INDETERMINATE}, _to(_S.INDETERMINATE)),),
    Event.REFUSED: ((ALL - {_S.NO_AI_RESULT}, _to(_S.NO_AI_RESULT)),),
    Event.FAILED: ((ALL - {_S.FAILED}, _to(_S.FAILED)),),
    Event.UNKNOWN: ((ALL - {_S.FAILED}, _to(_S.FAILED)),),
    Event.LATE_IMAGE: ((DONE, _AI),),
    Event.READ: ((_to(_S.READ_FIRST), _to(_S.NONE_DETECTED)),),
    Event.CASE_ENDS: (
        (ARRIVING, IDLE),
        (WORKING, IDLE | _RECEIVER),
        (DONE, IDLE | _RECEIVER | _AI),
        (_AI, _RECEIVER),
    ),
    Event.RECEIVER_DIES: ((IDLE | ARRIVING | _AI, _RECEIVER),),
    Event.RECEIVER_LIVES: (
        (_to(_S.STARTING), IDLE - {_S.STARTING}),
        (_RECEIVER, IDLE | ARRIVING | _AI),
    ),
    Event.WORKER_DIES: ((ALL - _AI, _AI),),
    Event.WORKER_LIVES: (
        (_to(_S.STARTING), IDLE - {_S.STARTING}),
        (_AI, ALL - _AI),
    ),
    Event.MODEL_LOST: ((QUIET | CHECKED, _to(_S.MODEL_MISSING)),),
    Event.MODEL_FOUND: ((_to(_S.MODEL_MISSING), QUIET | CHECKED),),
    Event.FALLBACK: ((_to(_S.READY), _to(_S.DEGRADED)),),
    Event.DISK_LOW: (
        (_to(_S.READY, _S.DEGRADED), _to(_S.DISK_LOW)),
        (_to(_S.DISK_FULL), _to(_S.DISK_LOW, _S.SCANNER_SILENT, _S.CLOCK_BAD, _S.MODEL_MISSING) | CHECKED),
    ),
    Event.DISK_FULL: ((QUIET | CHECKED | {_S.MODEL_MISSING}, _to(_S.DISK_FULL)),),
    Event.DISK_FREE: (
        (_to(_S.DISK_LOW), _to(_S.READY, _S.DEGRADED)),
        (_to(_S.DISK_FULL), (QUIET - {_S.DISK_LOW}) | CHECKED | {_S.MODEL_MISSING}),
    ),
    Event.SCANNER_SILENT: ((_to(_S.READY, _S.DEGRADED, _S.DISK_LOW), _to(_S.SCANNER_SILENT)),),
    Event.SCANNER_HEARD: ((_to(_S.SCANNER_SILENT), _to(_S.READY, _S.DEGRADED, _S.DISK_LOW)),),
    Event.CLOCK_WRONG: ((QUIET - {_S.CLOCK_BAD}, _to(_S.CLOCK_BAD)),),
    Event.CLOCK_RIGHT: ((_to(_S.CLOCK_BAD), QUIET - {_S.CLOCK_BAD}),),
    Event.LOCK: ((QUIET, _to(_S.LOCKED)),),
    Event.UNLOCK: ((_to(_S.LOCKED), QUIET),),
    Event.UNFIT: ((QUIET | {_S.LOCKED, _S.SELF_TEST}, _to(_S.NOT_FIT)),),
    Event.FIT: ((_to(_S.NOT_FIT), QUIET | {_S.LOCKED, _S.SELF_TEST}),),
    Event.UNTESTED: ((QUIET | {_S.LOCKED}, _to(_S.SELF_TEST)),),
    Event.TESTED: ((_to(_S.SELF_TEST), QUIET | {_S.LOCKED}),),
}
"""Event → (from any of these states, to one of those); in all other states the event changes nothing."""
