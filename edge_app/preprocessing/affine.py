"""Affine maps between pixel grids as (2, 3) float64 matrices; positions are (x, y), pixel centres at whole numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Affine", "compose", "resized_to_source", "turn_about"]

Affine = NDArray[np.float64]


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the map that applies `inner` first, then `outer`."""
    linear = outer[:, :2] @ inner[:, :2]
    offset = outer[:, :2] @ inner[:, 2] + outer[:, 2]
    return np.column_stack([linear, offset])


def resized_to_source(source: tuple[int, int], target: tuple[int, int]) -> Affine:
    """Return the map from a resized image back to its source; both sizes are (rows, columns).

    Resizing keeps the outer edges of the image in place, not the centres of its corner pixels.
    """
    x, y = source[1] / target[1], source[0] / target[0]
    return np.array([[x, 0.0, x / 2 - 0.5], [0.0, y, y / 2 - 0.5]])


def turn_about(centre: tuple[float, float], angle_deg: float, target: tuple[float, float]) -> Affine:
    """Return the map from an output, in which `centre` lies at `target` and the image is turned, back to the image.

    Positive angles turn the content anticlockwise as seen on the screen (y pointing down).
    """
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = np.array(centre) - linear @ np.array(target)
    return np.column_stack([linear, offset])
