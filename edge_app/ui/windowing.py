"""Hounsfield units to grey levels, by table. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRESETS", "Preset", "apply_window", "window_table"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A window: grey runs from black to white over `width_hu` around `centre_hu`."""

    key: str
    centre_hu: int
    width_hu: int


PRESETS: tuple[Preset, ...] = (
    Preset("brain", 40, 80),
    Preset("stroke", 40, 40),
    Preset("subdural", 80, 200),
    Preset("bone", 600, 2800),
)
"""Buttons and keys 1 to 4, the first is the default (R50). The button shows width / centre."""


@lru_cache(maxsize=16)
def window_table(centre_hu: int, width_hu: int) -> NDArray[np.uint8]:
    """Return the grey level (65536,) uint8 of every int16 value, indexed by its bits read as uint16.

    The linear function of PS3.3 C.11.2.1.2.1 with an output range of 0 to 255, rounded.

    Raises
    ------
    ValueError
        If the width is less than 2 (the linear function is not defined below).
    """
    if width_hu < 2:
        raise ValueError(f"window width {width_hu} HU is below 2")
    hu = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
    grey = ((hu - (centre_hu - 0.5)) / (width_hu - 1) + 0.5) * 255.0
    table: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    table.setflags(write=False)
    return table


def apply_window(hu: NDArray[np.int16], preset: Preset) -> NDArray[np.uint8]:
    """Return the grey image (H, W) uint8, C-contiguous, of a slice (H, W) int16 in HU."""
    table = window_table(preset.centre_hu, preset.width_hu)
    return table[np.ascontiguousarray(hu).view(np.uint16)]
