"""The screen's own fonts: its look must not depend on what the system has installed."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from PySide6.QtCore import QByteArray
from PySide6.QtGui import QFont, QFontDatabase, QFontMetricsF

from edge_app.core.errors import ProcessError

__all__ = ["CAP_RATIO", "advance", "load_fonts", "sized_font"]

_FAMILY = "Roboto Condensed"
_FILES = ("RobotoCondensed-Regular.ttf", "RobotoCondensed-Bold.ttf")
_MEASURED_PX = 200

CAP_RATIO = 1456 / 2048
"""Cap height of the font as a share of its size (OS/2 sCapHeight)."""


def load_fonts() -> None:
    """Load the shipped fonts into the running application.

    Raises
    ------
    ProcessError
        If a font file is missing or damaged (the installation is).
    """
    if _FAMILY in QFontDatabase.families():
        return
    for name in _FILES:
        content = (files("edge_app.ui") / "assets" / name).read_bytes()
        if QFontDatabase.addApplicationFontFromData(QByteArray(content)) < 0:
            raise ProcessError(f"font {name} cannot be loaded", remedy="Install the program again.")


def sized_font(cap_px: float, *, bold: bool) -> QFont:
    """Return the font in which capitals are `cap_px` pixels high, as far as whole pixel sizes allow."""
    font = QFont(_FAMILY)
    font.setPixelSize(max(round(cap_px / CAP_RATIO), 1))
    font.setBold(bold)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


@lru_cache(maxsize=4096)
def advance(words: str, *, bold: bool) -> float:
    """Return the width of a text as a multiple of the cap height."""
    font = sized_font(_MEASURED_PX * CAP_RATIO, bold=bold)
    return QFontMetricsF(font).horizontalAdvance(words) / (_MEASURED_PX * CAP_RATIO)
