"""The published preparation (`PublishedProfile`), step by step in its order and in pixels.

Known faults of the published code, and what happens to them here:

- *Angle rule.* The fitted ellipse's angle is corrected by 90° on one side and 96° on the other, so that heads leaning
  one way are turned 6° too far. Kept in `seed2023`, corrected in `seed2023-fixed`.
- *Mask times raw pixels.* Outside the head the published code has the stored value 0, that is RescaleIntercept in HU:
  air for the usual −1024, but water for an intercept of 0. Stored values do not exist any more at this stage, and air
  is what was meant: outside is air in both. From −800 HU downwards all three windows show the same 0.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import FloatArray, SliceImage
from edge_app.preprocessing.affine import Affine, compose, resized_to_source
from edge_app.preprocessing.profiles import INPUT_SIZE, PublishedProfile
from edge_app.preprocessing.windows import apply_window

__all__ = ["prepare_published"]

AIR_HU = -1000
_SQUARE_3 = np.ones((3, 3), np.uint8)
_ELLIPSE_POINTS = 5
"""Fewest points that an ellipse can be fitted to; an image of which the rest was lost has a mask of four."""

Mask = NDArray[np.uint8]


def prepare_published(image: SliceImage, profile: PublishedProfile) -> tuple[FloatArray, bool, Affine]:
    """Return (input, abnormal, to_slice); see `edge_app.preprocessing.slices.Prepared`."""
    rows, columns = image.hu.shape
    mask = _head_mask(image.hu, profile)
    covered = float(np.count_nonzero(mask)) / mask.size
    abnormal = not profile.abnormal_below <= covered <= profile.abnormal_above
    placed = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) if abnormal else _upright(mask, profile)
    masked = image.hu if abnormal else np.where(mask, image.hu, np.int16(AIR_HU))
    # Rotation and shift are one warp: the shift is by whole pixels, so that this is the published result.
    centre = placed @ np.append(_centre_of_mass(masked, profile), 1.0)
    placed[:, 2] += np.round(np.array([(columns - 1) / 2, (rows - 1) / 2]) - centre)
    turned = cv2.warpAffine(
        masked, placed, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=AIR_HU
    )
    channels = np.empty((len(profile.windows), INPUT_SIZE, INPUT_SIZE), np.float32)
    windowed = np.empty((rows, columns), np.float32)
    for channel, window in zip(channels, profile.windows, strict=True):
        apply_window(turned, window, windowed)
        cv2.resize(windowed, (INPUT_SIZE, INPUT_SIZE), dst=channel, interpolation=cv2.INTER_LINEAR)
    back = cv2.invertAffineTransform(placed)
    to_slice = compose(np.asarray(back, dtype=np.float64), resized_to_source((rows, columns), (INPUT_SIZE, INPUT_SIZE)))
    return channels, abnormal, to_slice


def _head_mask(hu: NDArray[np.int16], profile: PublishedProfile) -> Mask:
    """Return the head mask: grey dilation of the brain window, largest component, dilation, holes filled, dilation.

    What a grey dilation makes non-zero is the binary dilation of what the window leaves non-zero, which is what counts.
    """
    visible = np.greater(hu, profile.mask_window.lower_hu).view(np.uint8)
    # An even footprint reaches one pixel further down and right, as in scikit-image.
    anchor = profile.dilation // 2 - 1
    footprint = np.ones((profile.dilation, profile.dilation), np.uint8)
    grown = cv2.dilate(visible, footprint, anchor=(anchor, anchor))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(grown, connectivity=4, ltype=cv2.CV_16U)
    if count < 2:
        return np.zeros_like(visible)
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    head = cv2.dilate((labels == largest).view(np.uint8), _SQUARE_3)
    contours, _ = cv2.findContours(head, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(head, contours, -1, 1, cv2.FILLED)
    return np.asarray(cv2.dilate(head, _SQUARE_3), dtype=np.uint8)


def _upright(mask: Mask, profile: PublishedProfile) -> Affine:
    """Return the rotation about the fitted ellipse's centre that makes it stand upright; none for a rectangle."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(contours, key=cv2.contourArea)
    if len(outline) < _ELLIPSE_POINTS:
        return np.eye(2, 3)
    centre, _, angle_deg = cv2.fitEllipse(outline)
    # OpenCV gives the angle of the long axis from the vertical, in [0, 180).
    upright_deg = 180.0 if angle_deg > 90 else 0.0
    if profile.faithful_bugs and angle_deg <= 90:
        upright_deg = -6.0
    return np.asarray(cv2.getRotationMatrix2D(centre, angle_deg - upright_deg, 1.0), dtype=np.float64)


def _centre_of_mass(hu: NDArray[np.int16], profile: PublishedProfile) -> tuple[float, float]:
    """Return the centre of mass (x, y) of the brain-windowed slice; the image centre where nothing is visible."""
    window = profile.mask_window
    visible = np.empty(hu.shape, np.float32)
    apply_window(hu, window, visible)
    moments = cv2.moments(visible)
    if moments["m00"] <= 0:
        return (hu.shape[1] - 1) / 2, (hu.shape[0] - 1) / 2
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
