"""Colours, panel sizes and text heights: what the screen looks like, without Qt.

The palette is SCREEN.md section 4 (contrast and colour-blind distance were computed there, and are checked again by
the tests). Sizes are millimetres on the panel, converted with the panel's own px/mm (R62), never with a guessed dpi.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["PANELS", "THEMES", "Fill", "Panel", "Role", "TextHeight", "Theme", "contrast"]


class Role(str, Enum):
    """What a coloured panel means."""

    HAEMORRHAGE = "haemorrhage"
    INDETERMINATE = "indeterminate"
    ISCHAEMIC = "ischaemic"
    NOT_DETECTED = "not_detected"
    NO_RESULT = "no_result"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Fill:
    """The colours of one role: `#rrggbb` each. `edge` is the frame, outline or hatch."""

    ground: str
    ink: str
    edge: str


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours. Switching it changes neither layout nor the grey levels of the CT image (R69)."""

    name: str
    ground: str
    text: str
    secondary: str
    surface: str
    """Ground of buttons and bands."""
    border: str
    """Border of controls, at least 3:1 against the ground (R68)."""
    previous: Fill
    """The band over a case that is not the current one (R47)."""
    caution: Fill
    """SYNTHETIC, UNVALIDATED and technical bands: black and white, so that no result colour is used twice."""
    fills: dict[Role, Fill]


_HAEMORRHAGE = Fill(ground="#A50F25", ink="#FFFFFF", edge="#FFFFFF")
_INDETERMINATE = Fill(ground="#FFC20A", ink="#000000", edge="#000000")
_PREVIOUS = Fill(ground="#55307F", ink="#FFFFFF", edge="#FFFFFF")

_NIGHT = Theme(
    name="night",
    ground="#101418",
    text="#F2F5F7",
    secondary="#B8C2CC",
    surface="#1C242B",
    border="#73808C",
    previous=_PREVIOUS,
    caution=Fill(ground="#F2F5F7", ink="#101418", edge="#101418"),
    fills={
        Role.HAEMORRHAGE: _HAEMORRHAGE,
        Role.INDETERMINATE: _INDETERMINATE,
        Role.ISCHAEMIC: Fill(ground="#56B4E9", ink="#000000", edge="#56B4E9"),
        Role.NOT_DETECTED: Fill(ground="#101418", ink="#F2F5F7", edge="#CFD8DC"),
        Role.NO_RESULT: Fill(ground="#101418", ink="#F2F5F7", edge="#8A949E"),
        Role.NEUTRAL: Fill(ground="#161C22", ink="#F2F5F7", edge="#161C22"),
    },
)

_DAY = Theme(
    name="day",
    ground="#FFFFFF",
    text="#101418",
    secondary="#3C4650",
    surface="#EEF1F4",
    border="#6B7680",
    previous=_PREVIOUS,
    caution=Fill(ground="#101418", ink="#FFFFFF", edge="#FFFFFF"),
    fills={
        Role.HAEMORRHAGE: Fill(ground="#A50F25", ink="#FFFFFF", edge="#FFFFFF"),
        Role.INDETERMINATE: _INDETERMINATE,
        Role.ISCHAEMIC: Fill(ground="#094F96", ink="#FFFFFF", edge="#094F96"),
        Role.NOT_DETECTED: Fill(ground="#FFFFFF", ink="#101418", edge="#3C4650"),
        Role.NO_RESULT: Fill(ground="#FFFFFF", ink="#101418", edge="#7A848E"),
        Role.NEUTRAL: Fill(ground="#F4F6F8", ink="#101418", edge="#F4F6F8"),
    },
)

THEMES: dict[str, Theme] = {"night": _NIGHT, "day": _DAY}


@dataclass(frozen=True, slots=True)
class Panel:
    """A reference panel of R62."""

    diagonal_in: str
    width_px: int
    height_px: int
    px_per_mm: float
    headline_mm: float
    """Cap height of a result's headline (R67)."""

    def px(self, length_mm: float) -> int:
        """Return a length on the panel in whole pixels."""
        return round(length_mm * self.px_per_mm)


PANELS: dict[str, Panel] = {
    "10.1": Panel("10.1", 1280, 800, 5.9, 13.0),
    "12.1": Panel("12.1", 1280, 800, 4.9, 15.0),
    "13.3": Panel("13.3", 1920, 1080, 6.5, 15.0),
}


class TextHeight(float, Enum):
    """Cap heights in millimetres (R58, R67): arc minutes at 0.7 m."""

    LEAST_MM = 3.3
    """16 arc minutes: nothing on the screen is smaller."""
    BODY_MM = 4.1
    NAME_MM = 4.5


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two `#rrggbb` colours (WCAG 2.2, relative luminance), 1 to 21."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
