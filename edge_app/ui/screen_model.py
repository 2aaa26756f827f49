"""Everything the screen shows at one moment, as plain values: what the presenter makes and the widgets paint. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_app.ui.states import Look, ScreenState
from edge_app.ui.windowing import Preset

__all__ = [
    "ActionButton",
    "Band",
    "BandKind",
    "CaseRow",
    "CasesTexts",
    "Clock",
    "KeySlice",
    "LineKind",
    "PatientTexts",
    "PresetTexts",
    "Progress",
    "ResultTexts",
    "ScreenModel",
    "SheetButton",
    "SheetLine",
    "SheetModel",
    "StatusItem",
    "StripBar",
    "ViewTexts",
    "WindowBar",
]


class BandKind(str, Enum):
    """Bands that cannot be hidden."""

    SYNTHETIC = "synthetic"
    DEVELOPMENT_KEY = "development_key"
    FALLBACK = "fallback"
    UNVALIDATED = "unvalidated"


@dataclass(frozen=True, slots=True)
class ActionButton:
    """A button that is always in its place: an empty action means that it is not shown now."""

    action: str
    label: str
    lit: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A band over the result panel."""

    kind: BandKind
    text: str
    short: str
    """Where the bands do not fit beside each other."""


@dataclass(frozen=True, slots=True)
class PatientTexts:
    """The patient band (R58). `previous` is the text of the band over an old case, "" on the current one."""

    name: str
    details: str
    previous: str
    warning: str
    """UNCONFIRMED, or another patient that looks alike; "" when all is well."""
    unconfirmed: bool
    confirm: ActionButton
    lkw: ActionButton


@dataclass(frozen=True, slots=True)
class Clock:
    """One of the clocks (R56)."""

    label: str
    value: str
    optional: bool = False
    """It may go where there is no room for all."""


@dataclass(frozen=True, slots=True)
class WindowBar:
    """The time window (R57): share spent, how near its end (0 to 4, a pattern each), words, and marks as shares."""

    spent: float
    level: int
    text: str
    marks: tuple[float, ...]


class LineKind(str, Enum):
    """How a line of a sheet is set."""

    HEADING = "heading"
    LARGE = "large"
    BODY = "body"
    ALERT = "alert"
    """Something does not fit: words in inverted colours."""
    PAIR = "pair"
    """A label and its words."""


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line or paragraph of a sheet."""

    kind: LineKind
    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class SheetButton:
    """One button of a sheet; `primary` is larger (R63), `active` is lit."""

    action: str
    label: str
    enabled: bool = True
    active: bool = False
    primary: bool = False
    destructive: bool = False
    """Kept 30 mm away from what is tapped often (R63)."""


@dataclass(frozen=True, slots=True)
class SheetModel:
    """What lies over the centre: title, lines, rows of buttons at the bottom (None leaves a place empty), a QR text."""

    name: str
    title: str
    lines: tuple[SheetLine, ...]
    rows: tuple[tuple[SheetButton | None, ...], ...]
    qr: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The coverage bar; `fraction` is 0 to 1."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class ResultTexts:
    """The result panel, from top to bottom; empty texts take no room."""

    headline: tuple[str, ...]
    lead: str
    score: str
    note: str
    evidence: str
    """What the score meant in validation; left out where there is no room, as the About panel has it, too."""
    tag: str
    """Code of the reason, e.g. "Q-07", or "REVISED 2"."""
    second: str
    """The second reader's contradiction, as large as the headline; "" without one (R79)."""
    hint: str
    """Says that a tap on the panel tells more; "" where it does not."""
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class ViewTexts:
    """What is written over the CT image (R53). `letters` is False where the orientation is not known."""

    top_left: tuple[str, ...]
    top_right: tuple[str, ...]
    bottom_left: tuple[str, ...]
    bottom_right: tuple[str, ...]
    burnt_in: str
    letters: bool
    placeholder: str
    """Shown in the middle when there is no image."""
    caption: str
    """Of the heat map; "" while it is off (R37)."""


@dataclass(frozen=True, slots=True)
class KeySlice:
    """One of the five key slices; `number` counts from 1 at the feet."""

    sop_uid: str
    number: int
    shown: bool
    seen: bool
    """It was looked at long enough (R34)."""


@dataclass(frozen=True, slots=True)
class StripBar:
    """One slice of the strip; `value` is 0 to 1, None when the model has not looked at it."""

    value: float | None
    key: bool


@dataclass(frozen=True, slots=True)
class PresetTexts:
    """A window's button."""

    name: str
    numbers: str
    active: bool
    preset: Preset


@dataclass(frozen=True, slots=True)
class StatusItem:
    """One item at the footer's right end."""

    text: str
    good: bool


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One row of the case list."""

    study_uid: str
    name: str
    details: str
    status: str
    delivery: str
    look: Look
    current: bool


@dataclass(frozen=True, slots=True)
class CasesTexts:
    """Words of the case list."""

    close: str
    newer: str
    older: str
    empty: str


@dataclass(frozen=True, slots=True)
class ScreenModel:
    """One moment of the screen."""

    state: ScreenState
    look: Look
    study_uid: str | None
    revision: int
    bands: tuple[Band, ...]
    patient: PatientTexts
    clocks: tuple[Clock, ...]
    window: WindowBar | None
    result: ResultTexts
    view: ViewTexts
    strip: tuple[StripBar, ...]
    strip_ends: tuple[str, str]
    """Words at the upper (head) and lower (feet) end of the strip."""
    strip_index: int
    thresholds: tuple[float, ...]
    """Drawn across the strip's bars, where the model's are known (R52)."""
    key_slices: tuple[KeySlice, ...]
    key_label: str
    presets: tuple[PresetTexts, ...]
    alerts: tuple[str, ...]
    """What has stopped beside a result that stays."""
    info: tuple[str, ...]
    actions: tuple[ActionButton, ...]
    heat_map: ActionButton
    sheet: SheetModel | None
    clean: str
    """Words over the whole screen while it is wiped; "" otherwise."""
    full: bool
    locked: bool
    """No case is shown; the state says what else there is."""
    muted: bool
    """No cue is played now (R73)."""
    cases_texts: CasesTexts
    footer: str
    status: tuple[StatusItem, ...]
    cases: tuple[CaseRow, ...]
