"""One slice in HU → one model input: the implementation that the vehicle, training and calibration share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import FloatArray, SliceImage
from edge_app.preprocessing.physical import prepare_physical
from edge_app.preprocessing.profiles import PhysicalProfile, Profile
from edge_app.preprocessing.published import prepare_published

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A model input and where its pixels lie in the slice.

    `input` is float32 (3, 224, 224), C-contiguous, in [0, 1], read-only. `to_slice` is float64 (2, 3): it takes the
    centre of input pixel (x, y) to a position (x, y) in the slice, in pixels, x along columns; (0, 0) is the centre of
    the slice's first pixel.
    """

    input: FloatArray
    abnormal: bool
    """No plausible head outline: the slice was neither masked nor turned."""
    to_slice: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.input.setflags(write=False)
        self.to_slice.setflags(write=False)


def prepare(image: SliceImage, profile: Profile) -> Prepared:
    """Prepare one slice. Pure: the same slice and profile give the same bits, in any order, on any thread.

    Parameters
    ----------
    image
        (H, W) int16 HU in the standard orientation, both sides at least 16 pixels.
    profile
        From `edge_app.preprocessing.get_profile`.
    """
    if isinstance(profile, PhysicalProfile):
        return Prepared(*prepare_physical(image, profile))
    return Prepared(*prepare_published(image, profile))
