"""The second reader at the other end of the line, and whether it contradicts the AI (R79). No Qt."""

from __future__ import annotations

from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from edge_app.ui.states import ScreenState
from edge_app.ui.strings import text
from edge_app.ui.timers import local_time

__all__ = ["contradiction", "second_words"]

_AGAINST = {
    ScreenState.HAEMORRHAGE: "not_seen",
    ScreenState.NONE_DETECTED: "seen",
    ScreenState.ISCHAEMIC: "seen",
}
"""The reading that contradicts what the AI says of blood; INDETERMINATE and the like say nothing."""


def contradiction(study: StudyView | None, state: ScreenState, language: str) -> str:
    """Return the second reader's words where they contradict the AI: shown as large as its headline; else ""."""
    reading = _reading(study)
    if not reading or _AGAINST.get(state) != reading:
        return ""
    return text(f"second.{reading}", language)


def second_words(study: StudyView, state: ScreenState, language: str, now: Moment) -> str:
    """Return the second reading in a line for the hand-over card, "" where there is none."""
    entry, reading = study.crew.get("second_reading"), _reading(study)
    if entry is None or not reading:
        return ""
    parts = [text(f"impression.{reading}", language), local_time(entry.at_utc, now)]
    if contradiction(study, state, language):
        parts.append(text("second.against", language))
    return " · ".join(parts)


def _reading(study: StudyView | None) -> str:
    entry = study.crew.get("second_reading") if study else None
    return str(entry.body.get("reading") or "") if entry else ""
