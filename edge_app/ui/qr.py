"""A text as a QR code (ISO/IEC 18004, level M): an image of one pixel per module, with its quiet zone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PySide6.QtGui import QImage

__all__ = ["QUIET", "qr_image"]

QUIET = 4
"""Modules of white around the code."""


@lru_cache(maxsize=4)
def qr_image(text: str) -> QImage:
    """Return the code, 8-bit grey; scale it without smoothing."""
    import segno  # loaded with the first card: the start of the screen does not wait for it

    modules = np.array([list(row) for row in segno.make(text, error="m", micro=False, boost_error=False).matrix])
    grey = np.full((modules.shape[0] + 2 * QUIET, modules.shape[1] + 2 * QUIET), 255, np.uint8)
    grey[QUIET:-QUIET, QUIET:-QUIET][modules > 0] = 0
    height, width = grey.shape
    return QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
