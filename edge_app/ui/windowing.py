"""Hounsfield units to grey levels, by table. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BUTTON_PRESETS", "PRESETS", "Preset", "apply_window", "body_box", "crop_to_body", "window_table"]


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
    Preset("narrow", 32, 8),
)
"""Every window, the first is the default (R50)."""

BUTTON_PRESETS = PRESETS[:4]
"""Those with a button and a key, 1 to 4; the last is in the menu. The button shows width / centre."""


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


_BODY_HU = -300
_THUMBNAIL_PX = 160


def body_box(hu: NDArray[np.int16]) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of what is denser than air, as shares of the slice; None for air alone."""
    step = max(min(hu.shape) // _THUMBNAIL_PX, 1)
    # Skin folds and the ears are thin: a row counts as soon as a fiftieth of it is body, but not for noise.
    body = hu[::step, ::step] > _BODY_HU
    rows = np.flatnonzero(body.mean(axis=1) > 0.02)
    columns = np.flatnonzero(body.mean(axis=0) > 0.02)
    if not rows.size or not columns.size:
        return None
    height, width = body.shape
    return (
        float(columns[0] / width), float(rows[0] / height), float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )  # fmt: skip


def crop_to_body(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the square around what is denser than air, thinned to a thumbnail's size; all of it if there is nothing.

    A key slice is a few millimetres large on the panel: there is no room for air around the head.
    """
    step = max(min(hu.shape) // _THUMBNAIL_PX, 1)
    body = hu[::step, ::step] > _BODY_HU
    # A row or column counts when a tenth of it is body: the table and the head rest are thinner.
    rows = np.flatnonzero(body.mean(axis=1) > 0.1)
    columns = np.flatnonzero(body.mean(axis=0) > 0.1)
    if not rows.size or not columns.size:
        return np.ascontiguousarray(hu[::step, ::step])
    half = (max(rows[-1] - rows[0], columns[-1] - columns[0]) * step * 11 // 10) // 2 + step
    centre_row, centre_column = (rows[0] + rows[-1]) * step // 2, (columns[0] + columns[-1]) * step // 2
    half = min(half, min(hu.shape) // 2)
    top = min(max(centre_row - half, 0), hu.shape[0] - 2 * half)
    left = min(max(centre_column - half, 0), hu.shape[1] - 2 * half)
    square = hu[top : top + 2 * half, left : left + 2 * half]
    step = max(2 * half // _THUMBNAIL_PX, 1)
    return np.ascontiguousarray(square[::step, ::step])
