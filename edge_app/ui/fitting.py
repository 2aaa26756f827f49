"""How large a text may be in its place: measured, wrapped and, before it gets smaller, made narrower. No Qt.

Text is never cut off (R84): it shrinks from its target height to its least height (R67). If it does not fit even then,
`Fitted.fits` is False, and the layout tests fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ABOVE", "BELOW", "PITCH", "Fitted", "fit"]

ABOVE = 1.30
"""Room above the baseline of the first line in cap heights (accents on capitals)."""

BELOW = 0.34
"""Room below the baseline of the last line in cap heights (descenders)."""

PITCH = 1.62
"""Distance of baselines in cap heights."""

_STRETCHES = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Narrower is tried before smaller; below 0.8 letters begin to run together."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text laid out: cap height in pixels, horizontal stretch and lines."""

    lines: tuple[str, ...]
    cap_px: float
    stretch: float
    fits: bool

    @property
    def height_px(self) -> float:
        """Return the height of the block."""
        return self.cap_px * (ABOVE + BELOW + PITCH * (len(self.lines) - 1))


def fit(
    words: str,
    width_px: float,
    height_px: float,
    *,
    cap_px: float,
    least_px: float,
    measure: Callable[[str], float],
    wrap: bool = False,
    widest: float = 1.0,
) -> Fitted:
    """Return the largest layout of a text in a box.

    Parameters
    ----------
    cap_px, least_px
        Cap height wanted, and the least one allowed.
    measure
        Width of a text in cap heights.
    wrap
        Whether lines may be broken between words; explicit line breaks are always kept.
    widest
        Stretch to begin with, for lines that are to look like their neighbours.
    """
    step = max((cap_px - least_px) / 24, 0.25)
    size = cap_px
    while True:
        for stretch in (s for s in _STRETCHES if s <= widest):
            room = width_px / (size * stretch)
            lines = _lines(words, room, measure, wrap=wrap)
            layout = Fitted(lines, size, stretch, fits=True)
            if layout.height_px <= height_px and all(measure(line) <= room for line in lines):
                return layout
        if size <= least_px:
            return Fitted(_lines(words, width_px / (size * _STRETCHES[-1]), measure, wrap=wrap), size, stretch, False)
        size = max(size - step, least_px)


def _lines(words: str, room: float, measure: Callable[[str], float], *, wrap: bool) -> tuple[str, ...]:
    lines: list[str] = []
    for paragraph in words.split("\n"):
        if not wrap:
            lines.append(paragraph)
            continue
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and measure(longer) > room:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return tuple(lines)
