"""Lesion masks of a data set in the frame of the model input, for losses that ask where a lesion is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import InputError
from edge_app.preprocessing import Prepared
from training.data.pictures import read_picture, turned
from training.shards import MASK_SIZE

__all__ = ["lesion_share"]


def lesion_share(path: Path, turn: int, shape: tuple[int, ...], prepared: Prepared) -> NDArray[np.uint8]:
    """Return the share of lesion, times 255, in 8×8 pixels of the model input: (28, 28) uint8.

    Parameters
    ----------
    path, turn
        The mask, and how it lies to the slice (`training.data.pictures.turned`).
    shape
        Rows and columns of the slice in standard orientation.
    prepared
        The model input, which knows where its pixels lie in the slice.

    Raises
    ------
    InputError
        If the mask cannot be read, or is not of the slice's shape.
    """
    lesion = turned(read_picture(path) > 0, turn).astype(np.uint8) * np.uint8(255)
    if lesion.shape != shape:
        raise InputError(f"{path} is {lesion.shape}, its slice {shape}", remedy="Index the data set again.")
    rows, columns = prepared.input.shape[1:]
    warped = cv2.warpAffine(lesion, prepared.to_slice, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(cv2.resize(warped, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
