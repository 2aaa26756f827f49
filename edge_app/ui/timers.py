"""The clocks: since scan, last image, result and last known well, and the time window (R55 to R57). No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_app.ui import formats
from edge_app.ui.facts import Moment, clock_is_wrong
from edge_app.ui.screen_model import Clock, WindowBar
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import text

__all__ = ["Lkw", "clocks", "lkw_of", "local_time", "window_bar"]

_DAY_S = 86_400
_AHEAD = timedelta(seconds=60)
"""A time entered as now may lie so far ahead after a clock was set right."""

MARKS_MIN = (60, 30, 15)
"""So long before its end the window's bar changes its pattern (R57)."""


@dataclass(frozen=True, slots=True)
class Lkw:
    """Last known well as the crew entered it; `at` is None for unknown or wake-up."""

    at: datetime | None
    by: str
    entered_utc: str
    source: str = ""
    """Who said so."""
    changed: bool = False
    """It was another one before: `old`, where None is unknown."""
    old: datetime | None = None


def local_time(at_utc: str, now: Moment) -> str:
    """Return a UTC time of the ledger as local time of day."""
    return f"{datetime.fromisoformat(at_utc.replace('Z', '+00:00')).astimezone(now.local.tzinfo):%H:%M}"


def lkw_of(study: StudyView | None) -> Lkw | None:
    """Return what was entered, or None when nothing was."""
    entry = study.crew.get("lkw") if study else None
    if entry is None:
        return None
    at, old = entry.body.get("at"), entry.body.get("old")
    return Lkw(
        at=datetime.fromisoformat(at) if at else None,
        by=str(entry.body.get("by") or ""),
        entered_utc=entry.at_utc,
        source=str(entry.body.get("source") or ""),
        changed=bool(entry.body.get("changed")),
        old=datetime.fromisoformat(old) if old else None,
    )


def clocks(study: StudyView | None, language: str, now: Moment) -> tuple[Clock, ...]:
    """Return the clocks, the time of day first; a wrong clock marks them all (R45)."""
    mark = "! " if _is_wrong(study, now) else ""
    shown = [Clock("", mark + now.local.strftime("%H:%M:%S"))]
    if study is None:
        return tuple(shown)
    lkw = lkw_of(study)
    if lkw is not None:
        value = text("lkw.unknown", language)
        if lkw.at is not None:
            since = formats.elapsed((now.local - lkw.at).total_seconds())
            value = f"{lkw.at.astimezone(now.local.tzinfo):%H:%M} +{since}"
        shown.append(Clock(mark + text("clock.lkw", language), value))
    # Once there is a result, its own clock says how fresh it is.
    known = study.result is not None
    scan = formats.when(study.patient.get("acquired_at"))
    if scan is not None:
        since_s = (now.local.replace(tzinfo=None) - scan).total_seconds()
        # Another day's scan, or one from the future, is a time of day, not a running clock.
        value = f"+{formats.elapsed(since_s)}" if 0 <= since_s < _DAY_S else f"{scan:%H:%M}"
        shown.append(Clock(mark + text("clock.scan", language), value, optional=known))
    if study.last_image_s is not None:
        spent = formats.elapsed(now.monotonic_s - study.last_image_s)
        shown.append(Clock(mark + text("clock.last_image", language), f"+{spent}", optional=known))
    if study.result_s is not None and study.result is not None:
        spent = formats.elapsed(now.monotonic_s - study.result_s)
        shown.append(Clock(mark + text("clock.result", language), f"+{spent}"))
    return tuple(shown)


def _is_wrong(study: StudyView | None, now: Moment) -> bool:
    """Return whether a clock is wrong, or was when last known well was entered: nobody was last well in the future."""
    lkw = lkw_of(study)
    ahead = lkw is not None and lkw.at is not None and lkw.at - now.local > _AHEAD
    return ahead or clock_is_wrong(study, now)


def window_bar(study: StudyView | None, language: str, now: Moment, window_min: int) -> WindowBar | None:
    """Return the time window; None where last known well is unknown, as nothing can be counted down then."""
    lkw = lkw_of(study)
    if lkw is None or lkw.at is None:
        return None
    if _is_wrong(study, now):
        return WindowBar(0.0, 0, text("window.clock", language), ())
    window = timedelta(minutes=window_min)
    left = lkw.at + window - now.local
    marks = tuple(1 - mark / window_min for mark in MARKS_MIN)
    if left <= timedelta(0):
        return WindowBar(1.0, len(MARKS_MIN) + 1, text("window.passed", language), marks)
    level = sum(left <= timedelta(minutes=mark) for mark in MARKS_MIN)
    words = text("window.left", language, left=formats.elapsed(left.total_seconds()))
    return WindowBar(1.0 - left / window, level, words, marks)
