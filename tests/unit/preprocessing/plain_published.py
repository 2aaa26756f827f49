"""The published steps written plainly with SciPy, as an independent expectation and a yardstick of speed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy import ndimage

__all__ = ["head_mask", "prepare_plainly"]

Array = np.ndarray[Any, Any]


def head_mask(hu: Array) -> Array:
    """Return the published head mask of a slice in HU, bool (H, W)."""
    brain = np.clip(hu, 0, 80).astype(np.float64)
    # scikit-image pads an even footprint at its start and mirrors it: rows and columns −5 … +6 around a pixel.
    grown = ndimage.maximum_filter(brain, size=12, origin=-1, mode="constant", cval=0)
    labels, count = ndimage.label(grown > 0)
    if count == 0:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask = ndimage.binary_dilation(labels == sizes.argmax(), np.ones((3, 3)))
    return ndimage.binary_dilation(ndimage.binary_fill_holes(mask), np.ones((3, 3)))


def prepare_plainly(hu: Array) -> Array:
    """Return the (3, 224, 224) input by the published steps, with the published angle rule."""
    mask = head_mask(hu)
    masked = np.where(mask, hu, -1000).astype(np.float64)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    (x, y), _, angle = cv2.fitEllipse(max(contours, key=cv2.contourArea))
    angle = angle - 90 if angle > 90 else angle + 96
    turn = cv2.getRotationMatrix2D((x, y), angle - 90, 1)
    turned = cv2.warpAffine(masked, turn, hu.shape[::-1], flags=cv2.INTER_LINEAR, borderValue=-1000)
    centre = ndimage.center_of_mass(np.clip(turned, 0, 80))
    shift = [round((size - 1) / 2 - at) for size, at in zip(hu.shape, centre, strict=True)]
    shifted = ndimage.shift(turned, shift, order=1, cval=-1000)
    windows = [(40, 80), (80, 200), (600, 2800)]
    channels = [np.clip((shifted - (c - w / 2)) / w, 0, 1).astype(np.float32) for c, w in windows]
    return np.stack([cv2.resize(channel, (224, 224), interpolation=cv2.INTER_LINEAR) for channel in channels])
