"""Pixels that no scanner makes: what a decoder of JPEG Lossless leaves of a damaged stream, without a word.

Each value of such a stream is coded as a difference to its neighbour (ISO/IEC 10918-1 Annex H), so that one wrong byte
turns what follows into noise of full range. Nothing in the stream tells. CT numbers tell: a scanner's resolution
spreads every edge over two pixels and more, so that single pixels do not stand out from both sides by much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["looks_damaged"]

_OUTLIER_HU = 700
"""A pixel that differs from both neighbours the same way by more stands out; so do metal's own, now and then."""

_MOST_OUTLIERS = 40
"""Heads with metal have up to 4; damage leaves hundreds."""


def looks_damaged(hu: NDArray[np.int16]) -> bool:
    """Say whether more single pixels of a slice stand out than anatomy and metal explain."""
    values = hu.astype(np.int32)
    return _outliers(values) + _outliers(values.T) > _MOST_OUTLIERS


def _outliers(values: NDArray[np.int32]) -> int:
    """Count pixels that stand out along the rows."""
    steps = np.diff(values, axis=1)
    up = (steps[:, :-1] > _OUTLIER_HU) & (steps[:, 1:] < -_OUTLIER_HU)
    down = (steps[:, :-1] < -_OUTLIER_HU) & (steps[:, 1:] > _OUTLIER_HU)
    return int(np.count_nonzero(up)) + int(np.count_nonzero(down))
