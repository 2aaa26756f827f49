"""The screen's own state, and what a tap makes of it: values only. No Qt.

A tap is a word such as "lkw:+60" (`edge_app.ui.sheets` puts it on a button); `edge_app.ui.taps` says what it does. What
must outlive the screen is an entry for the store (`edge_app.store.crew`); the reader's thread writes it, with its
audit record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from edge_app.core.config import ScreenSettings
from edge_app.store.crew import CrewEntry
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import LANGUAGES

__all__ = [
    "CASE_ACTIVE_S",
    "IMPRESSIONS",
    "KEPT",
    "OPINIONS",
    "ROLES",
    "SOURCES",
    "THEME_CHOICES",
    "Desk",
    "Entry",
    "Sheet",
    "Step",
    "Tap",
    "desk_from",
    "is_active",
]

ROLES = ("paramedic", "nurse", "technician", "doctor", "neurologist")
OPINIONS = ("agree", "disagree", "unsure")
IMPRESSIONS = ("seen", "not_seen", "unsure")
SOURCES = ("patient", "witness")
"""Who said when the patient was last well (R55)."""
THEME_CHOICES = ("day", "night", "auto")

CASE_ACTIVE_S = 3600.0
"""Images younger than this make a case active: the screen never locks over it (R81)."""


class Sheet(str, Enum):
    """What lies over the centre of the screen."""

    NONE = ""
    MENU = "menu"
    ABOUT = "about"
    CONFIRM = "confirm"
    LKW = "lkw"
    LKW_READ_BACK = "lkw_read_back"
    LKW_AFTER_RESULT = "lkw_after_result"
    NOTIFY = "notify"
    HAND_OVER = "hand_over"
    SECOND_READING = "second_reading"
    SERIES = "series"
    ROLE = "role"
    NEW_CASE = "new_case"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to keep: see `edge_app.store.crew.CrewEntry`."""

    study_uid: str
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """The screen's own state. The first five outlive it."""

    language: str = "en"
    theme: str = "auto"
    """What was chosen, one of `THEME_CHOICES`."""
    role: str = ""
    curtain: bool = False
    """Identity is hidden (R81)."""
    locked: bool = False
    sheet: Sheet = Sheet.NONE
    pending: str = ""
    """The tap that waits for a role."""
    draft: datetime | None = None
    """Last known well as it is being entered; None with the sheet open means unknown."""
    source: str = ""
    """Who said so, one of `SOURCES`."""
    scanned: str = ""
    """What a wristband said while the patient was being confirmed, and does not agree (R59)."""
    pin: str = ""
    wrong_pin: bool = False
    heat_map: bool = False
    full: bool = False
    """The image takes the whole height (R49)."""
    clean_until_s: float | None = None
    touched_s: float | None = None
    muted_until_s: float | None = None
    """No sound before then (R73)."""
    ambient: str = ""
    """What the light sensor asks for: day, night, or "" where there is none (R69)."""
    ambient_since_s: float | None = None
    """Since when the light has asked for the other one."""

    @property
    def shown_theme(self) -> str:
        """Return day or night: what was chosen, else what the light asks for, else night."""
        return self.theme if self.theme != "auto" else self.ambient or "night"


KEPT = ("language", "theme", "role", "curtain", "locked")
"""What of the desk outlives the screen."""


@dataclass(frozen=True, slots=True)
class Step:
    """The desk after a tap, and what is to be kept."""

    desk: Desk
    entries: tuple[Entry, ...] = ()
    save_card: bool = False


@dataclass(frozen=True, slots=True)
class Tap:
    """A tap and all that it can depend on; `value` is what stands behind the first colon."""

    desk: Desk
    study: StudyView | None
    now: Moment
    site: ScreenSettings
    value: str
    awaited: StudyView | None = None
    """Where there is no study: the patient who was announced, with what was entered."""

    @property
    def last_known_well(self) -> CrewEntry | None:
        """Return what has been entered about this patient."""
        patient = self.study or self.awaited
        return patient.crew.get("lkw") if patient else None

    def keep(self, kind: str, **body: Any) -> Entry:
        """Return an entry about the study, with role and revision."""
        uid = self.study.study_uid if self.study else ""
        revision = self.study.result.revision if self.study and self.study.result else 0
        return Entry(uid, kind, {**body, "by": self.desk.role, "revision": revision})


def desk_from(kept: Mapping[str, Any], site: ScreenSettings) -> Desk:
    """Return the desk as a killed screen left it, or as the settings say."""
    language, theme, role = kept.get("language"), kept.get("theme"), kept.get("role")
    return Desk(
        language=language if language in LANGUAGES else site.language,
        theme=theme if theme in THEME_CHOICES else site.theme,
        role=role if role in ROLES else "",
        curtain=bool(kept.get("curtain")),
        locked=bool(kept.get("locked")),
    )


def is_active(study: StudyView | None, now: Moment) -> bool:
    """Return whether a case is so fresh that nothing may stand between it and the crew."""
    return study is not None and study.last_image_s is not None and now.monotonic_s - study.last_image_s < CASE_ACTIVE_S
