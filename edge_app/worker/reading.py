"""One acknowledged or given file → what is known of it: header, pixels, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_app.core.clock import monotonic_s
from edge_app.core.errors import PixelError
from edge_app.core.types import SliceHeader, SliceImage
from edge_app.series.headers import load_instance
from edge_app.series.pixels import decode_slice
from edge_app.series.selection import CT_IMAGE_STORAGE

__all__ = ["Reading", "read_instance"]


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """One DICOM object; `image` is None for what is no CT image, and, with a `problem`, for what cannot be decoded."""

    header: SliceHeader
    image: SliceImage | None
    problem: str = ""
    seconds: float = 0.0
    """What reading and decoding took."""


def read_instance(source: Path | bytes) -> Reading:
    """Read one object and, if it is a CT image, decode it.

    Raises
    ------
    InputError
        If it is no DICOM object, or one that cannot be told from others.
    """
    began_s = monotonic_s()
    header, ds = load_instance(source)
    image, problem = None, ""
    if header.sop_class_uid == CT_IMAGE_STORAGE:
        try:
            image = decode_slice(ds, header)
        except PixelError as error:
            problem = error.message
    return Reading(header, image, problem, monotonic_s() - began_s)
