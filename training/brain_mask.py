"""Where in a model input the brain is, and inputs without it: what a probe must not see to tell what it does see.

All profiles have the bone window as their third channel, so that no HU is needed.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["brain_of", "without_brain"]

_BONE_CENTRE_HU, _BONE_WIDTH_HU = 600.0, 2800.0
_BONE_HU = 300.0
_HEAD_HU = -250.0

_GAP_PX = 9
"""Gaps of the skull (sutures, foramina) up to this are closed; most model inputs have pixels of 1 mm."""

_WALL_PX = 15
"""Where no skull closes, what lies this deep under the skin counts as brain."""


def brain_of(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return (H, W) what the skull encloses, or what lies deep in the head where it does not close; bone is left out.

    Parameters
    ----------
    image
        One model input (3, H, W), uint8 0–255 or float in [0, 1].
    """
    scale = 255.0 if image.dtype == np.uint8 else 1.0
    channel = image[2].astype(np.float32) / scale
    bone = (channel > _in_window(_BONE_HU)).astype(np.uint8)
    head = _filled((channel > _in_window(_HEAD_HU)).astype(np.uint8))
    closed = cv2.morphologyEx(bone, cv2.MORPH_CLOSE, _disc(_GAP_PX))
    deep = cv2.erode(head, _disc(2 * _WALL_PX + 1), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(((_filled(np.asarray(closed)) > 0) | (np.asarray(deep) > 0)) & (bone == 0))


def without_brain(images: NDArray[Any]) -> NDArray[Any]:
    """Return model inputs (N, 3, H, W) with the brain set to 0 in all channels; scalp, skull and air stay."""
    blank = images.copy()
    for image in blank:
        image[:, brain_of(image)] = 0
    return blank


def _in_window(hu: float) -> float:
    return (hu - _BONE_CENTRE_HU) / _BONE_WIDTH_HU + 0.5


def _disc(side: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _filled(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask with its holes filled."""
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outside = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    cv2.floodFill(framed, outside, (0, 0), 1)
    return np.asarray(mask | (outside[2:-2, 2:-2] == 0), np.uint8)
