"""Everything the screen shows at one moment, as plain values: what the presenter makes and the widgets paint. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_app.ui.states import Look, ScreenState
from edge_app.ui.windowing import Preset

__all__ = [
    "ActionTexts",
    "Band",
    "BandKind",
    "CaseRow",
    "Clock",
    "KeySlice",
    "PatientTexts",
    "PresetTexts",
    "Progress",
    "ResultTexts",
    "ScreenModel",
    "StatusItem",
    "StripBar",
    "ViewTexts",
]


class BandKind(str, Enum):
    """Bands that cannot be hidden."""

    SYNTHETIC = "synthetic"
    UNVALIDATED = "unvalidated"


@dataclass(frozen=True, slots=True)
class Band:
    """A band over the result panel."""

    kind: BandKind
    text: str


@dataclass(frozen=True, slots=True)
class PatientTexts:
    """The patient band (R58). `previous` is the text of the band over an old case, "" on the current one."""

    name: str
    details: str
    previous: str


@dataclass(frozen=True, slots=True)
class Clock:
    """One of the clocks (R56)."""

    label: str
    value: str


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
    tag: str
    """Code of the reason, e.g. "Q-07", or "REVISED 2"."""
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


@dataclass(frozen=True, slots=True)
class KeySlice:
    """One of the five key slices; `number` counts from 1 at the feet."""

    sop_uid: str
    number: int
    shown: bool


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
    look: Look
    current: bool


@dataclass(frozen=True, slots=True)
class ActionTexts:
    """Words on the action buttons."""

    cases: str
    theme: str
    language: str
    zoom: str
    current: str
    """Of the button back to the current case; "" when it is shown already."""
    close: str
    newer: str
    older: str
    no_cases: str


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
    result: ResultTexts
    view: ViewTexts
    strip: tuple[StripBar, ...]
    strip_ends: tuple[str, str]
    """Words at the upper (head) and lower (feet) end of the strip."""
    strip_index: int
    key_slices: tuple[KeySlice, ...]
    key_label: str
    presets: tuple[PresetTexts, ...]
    info: tuple[str, ...]
    actions: ActionTexts
    footer: str
    status: tuple[StatusItem, ...]
    cases: tuple[CaseRow, ...]
