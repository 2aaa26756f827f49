"""What the gate needs to know about one slice's pixels, in one to two milliseconds.

Everything but noise and metal is measured on a copy shrunk to about 1 mm a pixel by area averaging.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import SliceImage, SliceMeasures
from edge_app.series.artefacts import cut_length_mm, metal_area_mm2, skull_edge_mm

__all__ = ["BODY_HU", "BONE_HU", "measure_slice"]

BODY_HU = -300
"""Above this is body (or table), below it air and foam."""

BONE_HU = 300
"""Above this is bone: well above clotted blood (90) and most vessel contrast, below thin skull averaged with brain."""

BRAIN_HU = (0, 100)
"""Soft tissue inside the skull: CSF to dense blood."""

_WORKING_MM = 0.9
_OPENINGS_MM = 18.0
"""Openings in the skull up to this wide are bridged before asking what it encloses: sutures, burr holes, and the thin
plates over orbits and sinuses that vanish at a CT's resolution."""

_CONTACT_MM = 4.0
"""The table is thinner than this; opening by it separates table and head."""

_FEWEST_PIXELS = 50
_SMALLEST_PIXELS = 16

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
    left, top, width, height = box
    inside_mm2, brain_mm2, metal_mm2, edge_mm, tissue = 0.0, 0.0, 0.0, math.nan, _Tissue()
    if min(width, height) >= _SMALLEST_PIXELS:
        part = np.ascontiguousarray(small[top : top + height, left : left + width])
        inside = _enclosed(np.greater(part, BONE_HU).view(np.uint8), pixel_mm)
        smooth = np.asarray(cv2.blur(part, (3, 3)), dtype=np.int16)
        brain = np.asarray(cv2.inRange(smooth, BRAIN_HU[0], BRAIN_HU[1]), dtype=np.uint8) & inside
        inside_mm2 = float(np.count_nonzero(inside)) * pixel_mm2
        brain_mm2 = float(np.count_nonzero(brain)) * pixel_mm2
        # Two pixels off the bone: there partial volume makes brain look dense.
        core = np.asarray(cv2.erode(inside, np.ones((5, 5), np.uint8)), dtype=np.bool_)
        tissue = _measure_tissue(image.hu, smooth, core, brain > 0, (left, top), small.shape)
        edge_mm = skull_edge_mm(part, inside, pixel_mm)
        metal_mm2 = metal_area_mm2(_at_full_size(image.hu, box, small.shape), image.spacing_mm)
    return SliceMeasures(
        sop_uid=image.sop_uid,
        air_hu=_air(small, head),
        body_fraction=float(body.mean()),
        skull_area_mm2=float(np.count_nonzero(small > BONE_HU)) * pixel_mm2,
        inside_area_mm2=inside_mm2,
        brain_area_mm2=brain_mm2,
        brain_median_hu=tissue.median_hu,
        brain_p99_hu=tissue.p99_hu,
        noise_hu=tissue.noise_hu,
        head_width_mm=width * pixel_mm[1],
        head_height_mm=height * pixel_mm[0],
        skull_edge_mm=edge_mm,
        metal_area_mm2=metal_mm2,
        cut_length_mm=cut_length_mm(small, head, pixel_mm),
    )


@dataclass(frozen=True, slots=True)
class _Tissue:
    median_hu: float = math.nan
    p99_hu: float = math.nan
    noise_hu: float = math.nan


def _measure_tissue(
    hu: NDArray[np.int16],
    smooth: NDArray[np.int16],
    core: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    origin: tuple[int, int],
    shape: tuple[int, ...],
) -> _Tissue:
    """Measure the soft tissue inside the skull.

    The 99th percentile is taken over all that is denser than water, so that it rises with vessels full of contrast.
    """
    brain_core = core & brain
    values = smooth[brain_core]
    if values.size < _FEWEST_PIXELS:
        return _Tissue()
    return _Tissue(
        median_hu=float(np.median(values)),
        p99_hu=float(np.percentile(smooth[core & (smooth >= 0)], 99)),
        noise_hu=_noise(hu, brain_core, origin, shape),
    )


def _shrink(image: SliceImage) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Return the slice at about `_WORKING_MM` a pixel and its (row, column) pixel size."""
    rows, columns = image.hu.shape
    row_mm, column_mm = image.spacing_mm
    height = max(8, rows // max(1, round(_WORKING_MM / row_mm)))
    width = max(8, columns // max(1, round(_WORKING_MM / column_mm)))
    small = np.asarray(cv2.resize(image.hu, (width, height), interpolation=cv2.INTER_AREA), dtype=np.int16)
    return small, (row_mm * rows / height, column_mm * columns / width)


def _at_full_size(hu: NDArray[np.int16], box: tuple[int, int, int, int], shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Return the part of the slice that a box (left, top, width, height) of the shrunk image of `shape` covers."""
    left, top, width, height = box
    scale_y, scale_x = hu.shape[0] / shape[0], hu.shape[1] / shape[1]
    return hu[int(top * scale_y) : int((top + height) * scale_y), int(left * scale_x) : int((left + width) * scale_x)]


def _odd(length_mm: float, pixel_mm: tuple[float, float]) -> int:
    """Return an odd kernel size of about a length, at least 3 and at most 21 pixels."""
    return int(np.clip(round(length_mm / min(pixel_mm)), 3, 21)) | 1


def _largest_object(body: Mask, opening: int) -> tuple[Mask, tuple[int, int, int, int]]:
    """Return the largest object, filled, and its (left, top, width, height) in pixels; empty where there is none."""
    opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, np.ones((opening, opening), np.uint8))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled: Mask = np.zeros_like(body)
    if not contours:
        return filled, (0, 0, 0, 0)
    largest = max(contours, key=cv2.contourArea)
    cv2.drawContours(filled, [largest], -1, 1, cv2.FILLED)
    left, top, width, height = cv2.boundingRect(largest)
    return filled, (left, top, width, height)


def _enclosed(bone: Mask, pixel_mm: tuple[float, float]) -> Mask:
    """Return what the largest ring of bone encloses, without the bone itself.

    Worked out at half the resolution: the kernel that bridges the base of the skull is large.
    """
    rows, columns = bone.shape
    # A margin, because the dilation below must not be cut off at the edge of the head's box.
    size = _odd(_OPENINGS_MM / 2, pixel_mm)
    half = cv2.resize(bone * np.uint8(255), (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    half = cv2.copyMakeBorder(half, size, size, size, size, cv2.BORDER_CONSTANT, value=0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # A quarter of a pixel is bone enough: thin plates must not vanish with the resolution.
    thick = cv2.dilate(np.greater(half, 60).view(np.uint8), kernel)
    contours, _ = cv2.findContours(thick, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.zeros_like(bone)
    # Filling lies between dilation and erosion: a plain closing does not bridge the ends of two thin walls.
    filled = np.zeros_like(thick)
    cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    filled = cv2.erode(filled, kernel)[size:-size, size:-size]
    inside = np.asarray(cv2.resize(filled, (columns, rows), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return inside & (1 - bone)


def _air(small: NDArray[np.int16], head: Mask) -> float:
    # Every third row and column: the median of some thousand pixels is as good as that of all.
    outside = small[::3, ::3][head[::3, ::3] == 0]
    return float(np.median(outside)) if outside.size >= _FEWEST_PIXELS else math.nan


def _noise(hu: NDArray[np.int16], core: NDArray[np.bool_], origin: tuple[int, int], shape: tuple[int, ...]) -> float:
    """Return the robust standard deviation of brain minus its 7 × 7 mean, at full resolution.

    `core` lies at `origin` (left, top) in the shrunk image of `shape`.
    """
    rows, columns = np.nonzero(core.any(axis=1))[0], np.nonzero(core.any(axis=0))[0]
    scale_y, scale_x = hu.shape[0] / shape[0], hu.shape[1] / shape[1]
    top, bottom = int((origin[1] + rows[0]) * scale_y), int((origin[1] + rows[-1] + 1) * scale_y)
    left, right = int((origin[0] + columns[0]) * scale_x), int((origin[0] + columns[-1] + 1) * scale_x)
    part = hu[top:bottom, left:right]
    fine = (part - cv2.blur(part, (7, 7)))[::2, ::2]
    mask = cv2.resize(
        core[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].view(np.uint8),
        (fine.shape[1], fine.shape[0]),
        interpolation=cv2.INTER_NEAREST,
    )
    return 1.4826 * float(np.median(np.abs(fine[mask > 0])))
