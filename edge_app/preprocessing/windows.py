"""HU → windowed channels in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import FloatArray
from edge_app.preprocessing.profiles import Window

__all__ = ["apply_window"]


def apply_window(hu: NDArray[Any], window: Window, out: FloatArray) -> FloatArray:
    """Write a windowed image into `out` (float32, same shape as `hu`) and return it."""
    np.multiply(hu, np.float32(1 / window.width_hu), out=out)
    out -= np.float32(window.lower_hu / window.width_hu)
    return np.clip(out, 0.0, 1.0, out=out)
