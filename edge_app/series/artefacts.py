"""What spoils a slice: a skull that moved, metal, and a field of view that cuts the head off.

Each measure is one number per slice, taken on what `edge_app.series.measures` has at hand; which of them is too much
for a study is `edge_app.series.quality`'s to say (SCREEN.md R20).
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["METAL_HU", "cut_length_mm", "metal_area_mm2", "skull_edge_mm"]

METAL_HU = 2400
"""Above the densest bone of the skull (petrous about 2000); enamel reaches it, but lies below the brain."""

_EDGE_HU = (110, 500)
"""Neither brain and blood (up to 90) nor dense bone: between them lies the blur of an edge, or its ghost."""

_EDGE_REACH = 9
"""Pixels of the kernel that reaches from the cavity into the bone, about 4 mm to either side."""

_FEWEST_PIXELS = 50
_RAYS = 360
_INNER_PIXELS, _OUTER_PIXELS = 2.5, 1.5
_OUTSIDE_HU = -950
_BODY_HU = -300

Mask = NDArray[np.uint8]


def skull_edge_mm(part: NDArray[np.int16], inside: Mask, pixel_mm: tuple[float, float]) -> float:
    """Return how wide the inner edge of the skull is, averaged along it; nan where there is no cavity.

    A head that moves leaves a second, fainter skull beside the first, so that values between brain and bone fill a
    band as wide as the shift. The skin's edge would be easier to find, but hair, foam and masks blur it as well.

    Parameters
    ----------
    part
        (H, W) int16, HU, about 1 mm a pixel.
    inside
        (H, W) uint8, 1 in the cavity of the skull.
    pixel_mm
        (row, column) pixel size.
    """
    cavity = cv2.morphologyEx(inside, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    rim = np.count_nonzero(cavity & (1 - cv2.erode(cavity, np.ones((3, 3), np.uint8))))
    if rim < _FEWEST_PIXELS:
        return math.nan
    near = cv2.dilate(cavity, np.ones((_EDGE_REACH, _EDGE_REACH), np.uint8))
    blurred = np.count_nonzero(cv2.inRange(part, *_EDGE_HU) & near)
    return blurred / rim * math.sqrt(pixel_mm[0] * pixel_mm[1])


def metal_area_mm2(part: NDArray[np.int16], pixel_mm: tuple[float, float]) -> float:
    """Return the area of metal in the head's box, at full resolution: averaging would hide a clip."""
    return float(np.count_nonzero(part >= METAL_HU)) * pixel_mm[0] * pixel_mm[1]


def cut_length_mm(small: NDArray[np.int16], head: Mask, pixel_mm: tuple[float, float]) -> float:
    """Return the length along which the head ends at the edge of the image or of the circle that was reconstructed.

    Parameters
    ----------
    small
        (H, W) int16, HU; what lies outside the reconstruction circle reads as air.
    head
        (H, W) uint8, 1 in the largest object.
    pixel_mm
        (row, column) pixel size.
    """
    rows, columns = head.shape
    border = (int(head[0].sum()) + int(head[-1].sum())) * pixel_mm[1]
    border += (int(head[:, 0].sum()) + int(head[:, -1].sum())) * pixel_mm[0]
    inner, outer, radius = _circle(rows, columns)
    ends = (head[inner] > 0) & (small[inner] > _BODY_HU) & (small[outer] < _OUTSIDE_HU)
    arc_mm = 2 * math.pi * radius / _RAYS * math.sqrt(pixel_mm[0] * pixel_mm[1])
    return float(border + np.count_nonzero(ends) * arc_mm)


_Points = tuple[NDArray[np.intp], NDArray[np.intp]]


@lru_cache(maxsize=8)
def _circle(rows: int, columns: int) -> tuple[_Points, _Points, float]:
    """Return points just inside and just outside the inscribed circle, where both lie in the image, and its radius."""
    radius = min(rows, columns) / 2
    angles = np.arange(_RAYS) * 2 * np.pi / _RAYS
    found = []
    for r in (radius - _INNER_PIXELS, radius + _OUTER_PIXELS):
        y, x = np.sin(angles) * r + (rows - 1) / 2, np.cos(angles) * r + (columns - 1) / 2
        found.append((np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)))
    (inner_y, inner_x), (outer_y, outer_x) = found
    held = (outer_y >= 0) & (outer_y < rows) & (outer_x >= 0) & (outer_x < columns)
    return (inner_y[held], inner_x[held]), (outer_y[held], outer_x[held]), radius
