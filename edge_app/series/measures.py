"""What the gate needs to know about one slice's pixels, in about a millisecond.

Everything but the noise is measured on a copy shrunk to about 1 mm a pixel by area averaging.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import SliceImage, SliceMeasures

__all__ = ["BODY_HU", "BONE_HU", "measure_slice"]

BODY_HU = -300
"""Above this is body (or table), below it air and foam."""

BONE_HU = 300
"""Above this is bone: well above clotted blood (90) and most vessel contrast, below thin skull averaged with brain."""

BRAIN_HU = (0, 100)
"""Soft tissue inside the skull: CSF to dense blood."""

_WORKING_MM = 0.9
_SUTURE_MM = 5.0
"""Gaps in the skull up to this wide (sutures, vessel canals, burr holes) are closed before asking what it encloses."""

_CONTACT_MM = 4.0
"""The table is thinner than this; opening by it separates table and head."""

_FEWEST_PIXELS = 50

Mask = NDArray[np.uint8]


def measure_slice(image: SliceImage) -> SliceMeasures:
    """Measure air, body, skull and brain of one slice.

    Lengths are along the turned slice's axes. `air_hu`, `brain_median_hu`, `brain_p99_hu` and `noise_hu` are nan where
    there is too little to measure.
    """
    small, pixel_mm = _shrink(image)
    pixel_mm2 = pixel_mm[0] * pixel_mm[1]
    body = np.greater(small, BODY_HU).view(np.uint8)
    head, box = _largest_object(body, _odd(_CONTACT_MM, pixel_mm))
    bone = np.greater(small, BONE_HU).view(np.uint8)
    inside = _enclosed(bone, _odd(_SUTURE_MM, pixel_mm))
    smooth = cv2.blur(small, (3, 3))
    brain = cv2.inRange(smooth, BRAIN_HU[0], BRAIN_HU[1]) & inside
    # Two pixels off the bone: there partial volume makes brain look dense.
    core = cv2.erode(brain, np.ones((5, 5), np.uint8))
    values = smooth[core > 0]
    known = values.size >= _FEWEST_PIXELS
    return SliceMeasures(
        sop_uid=image.sop_uid,
        air_hu=_air(small, head),
        body_fraction=float(body.mean()),
        skull_area_mm2=float(np.count_nonzero(bone)) * pixel_mm2,
        inside_area_mm2=float(np.count_nonzero(inside)) * pixel_mm2,
        brain_area_mm2=float(np.count_nonzero(brain)) * pixel_mm2,
        brain_median_hu=float(np.median(values)) if known else math.nan,
        brain_p99_hu=float(np.percentile(values, 99)) if known else math.nan,
        noise_hu=_noise(image.hu, core) if known else math.nan,
        head_width_mm=box[0] * pixel_mm[1],
        head_height_mm=box[1] * pixel_mm[0],
    )


def _shrink(image: SliceImage) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Return the slice at about `_WORKING_MM` a pixel and its (row, column) pixel size."""
    rows, columns = image.hu.shape
    row_mm, column_mm = image.spacing_mm
    height = max(8, rows // max(1, round(_WORKING_MM / row_mm)))
    width = max(8, columns // max(1, round(_WORKING_MM / column_mm)))
    small = np.asarray(cv2.resize(image.hu, (width, height), interpolation=cv2.INTER_AREA), dtype=np.int16)
    return small, (row_mm * rows / height, column_mm * columns / width)


def _odd(length_mm: float, pixel_mm: tuple[float, float]) -> int:
    """Return an odd kernel size of about a length, at least 3 and at most 15 pixels."""
    return int(np.clip(round(length_mm / min(pixel_mm)), 3, 15)) | 1


def _largest_object(body: Mask, opening: int) -> tuple[Mask, tuple[int, int]]:
    """Return the largest object filled, as a mask, and its (width, height) in pixels; both empty where there is none."""
    opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, np.ones((opening, opening), np.uint8))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled: Mask = np.zeros_like(body)
    if not contours:
        return filled, (0, 0)
    largest = max(contours, key=cv2.contourArea)
    cv2.drawContours(filled, [largest], -1, 1, cv2.FILLED)
    _, _, width, height = cv2.boundingRect(largest)
    return filled, (width, height)


def _enclosed(bone: Mask, closing: int) -> Mask:
    """Return what the largest ring of bone encloses, without the bone itself."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (closing, closing))
    closed = cv2.morphologyEx(bone, cv2.MORPH_CLOSE, kernel)
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    inside: Mask = np.zeros_like(bone)
    if contours:
        cv2.drawContours(inside, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
        inside[bone > 0] = 0
    return inside


def _air(small: NDArray[np.int16], head: Mask) -> float:
    # Every third row and column: the median of some thousand pixels is as good as that of all.
    outside = small[::3, ::3][head[::3, ::3] == 0]
    return float(np.median(outside)) if outside.size >= _FEWEST_PIXELS else math.nan


def _noise(hu: NDArray[np.int16], core: Mask) -> float:
    """Return the robust standard deviation of brain minus its 7 × 7 mean, at full resolution."""
    rows, columns = np.nonzero(core)
    scale_y, scale_x = hu.shape[0] / core.shape[0], hu.shape[1] / core.shape[1]
    top, bottom = int(rows.min() * scale_y), int((rows.max() + 1) * scale_y)
    left, right = int(columns.min() * scale_x), int((columns.max() + 1) * scale_x)
    part = hu[top:bottom, left:right]
    fine = part - cv2.blur(part, (7, 7))
    mask = cv2.resize(
        core[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1],
        (part.shape[1], part.shape[0]),
        interpolation=cv2.INTER_NEAREST,
    )
    values = np.abs(fine[::2, ::2][mask[::2, ::2] > 0])
    return 1.4826 * float(np.median(values))
