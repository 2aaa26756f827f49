"""The project's own preparation (`PhysicalProfile`): one physical scale, head masked, upright and centred.

Shrinking averages areas, so that noise falls with resolution instead of being aliased; then one affine warp does all
the rest of the geometry, and every pixel is interpolated once.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import FloatArray, SliceImage
from edge_app.preprocessing.affine import Affine, compose, resized_to_source, turn_about
from edge_app.preprocessing.profiles import INPUT_SIZE, PhysicalProfile
from edge_app.preprocessing.windows import apply_window

__all__ = ["prepare_physical"]

AIR_HU = -1000
_CENTRE = (INPUT_SIZE - 1) / 2

Mask = NDArray[np.uint8]


def prepare_physical(image: SliceImage, profile: PhysicalProfile) -> tuple[FloatArray, bool, Affine]:
    """Return (input, abnormal, to_slice); see `edge_app.preprocessing.slices.Prepared`."""
    scaled, to_slice = _resample(image, profile.pixel_mm)
    head = _find_head(scaled, profile)
    if head is None:
        rows, columns = scaled.shape
        turn = turn_about(((columns - 1) / 2, (rows - 1) / 2), 0.0, (_CENTRE, _CENTRE))
    else:
        mask, centre, angle_deg = head
        scaled[mask == 0] = AIR_HU
        turn = turn_about(centre, angle_deg, (_CENTRE, _CENTRE))
    turned = cv2.warpAffine(
        scaled,
        turn,
        (INPUT_SIZE, INPUT_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=AIR_HU,
    )
    channels = np.empty((len(profile.windows), INPUT_SIZE, INPUT_SIZE), np.float32)
    for channel, window in zip(channels, profile.windows, strict=True):
        apply_window(turned, window, channel)
    return channels, head is None, compose(to_slice, turn)


def _resample(image: SliceImage, pixel_mm: float) -> tuple[FloatArray, Affine]:
    """Return the slice at about `pixel_mm` a pixel (exact to the nearest whole number of pixels), writable."""
    rows, columns = image.hu.shape
    size = (
        max(1, round(rows * image.spacing_mm[0] / pixel_mm)),
        max(1, round(columns * image.spacing_mm[1] / pixel_mm)),
    )
    shrinks = size[0] <= rows and size[1] <= columns
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled = cv2.resize(image.hu, (size[1], size[0]), interpolation=method)
    return np.array(scaled, dtype=np.float32), resized_to_source((rows, columns), size)


def _find_head(scaled: FloatArray, profile: PhysicalProfile) -> tuple[Mask, tuple[float, float], float] | None:
    """Return the head's mask, its centre (x, y) and the angle that makes it upright, or None where there is no head."""
    body = np.greater(scaled, profile.body_hu).view(np.uint8)
    # At least 3 pixels, odd, so that the opening does not shift the mask.
    opening = max(3, round(profile.opening_mm / profile.pixel_mm)) | 1
    opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, (opening, opening)))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    mask: Mask = np.zeros_like(opened)
    cv2.drawContours(mask, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    moments = cv2.moments(mask, binaryImage=True)
    if moments["m00"] * profile.pixel_mm**2 < profile.min_head_mm2:
        return None
    centre = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    angle_deg = _upright_angle_deg(moments["mu20"], moments["mu11"], moments["mu02"], profile)
    margin = 2 * round(profile.margin_mm / profile.pixel_mm) + 1
    return np.asarray(cv2.dilate(mask, np.ones((margin, margin), np.uint8)), dtype=np.uint8), centre, angle_deg


def _upright_angle_deg(mu20: float, mu11: float, mu02: float, profile: PhysicalProfile) -> float:
    """Return how far the mask's long axis leans from the vertical, limited; positive when its top leans right."""
    spread = math.hypot(mu20 - mu02, 2 * mu11)
    total = mu20 + mu02
    if total + spread < profile.min_axis_ratio**2 * (total - spread):
        return 0.0
    lean_deg = 0.5 * math.degrees(math.atan2(-2 * mu11, mu02 - mu20))
    return max(-profile.max_turn_deg, min(profile.max_turn_deg, lean_deg))
