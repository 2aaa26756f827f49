"""Stored pixels → HU, in the standard orientation (`SliceImage`).

Size claims are checked before anything is decoded, so that a hostile header or code stream cannot fill the memory.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import PixelError
from edge_app.core.types import SliceHeader, SliceImage
from edge_app.series.codestream import claimed_size
from edge_app.series.damage import looks_damaged
from edge_app.series.headers import quiet_pydicom
from edge_app.series.syntaxes import JPEG_LOSSLESS_SYNTAXES

__all__ = ["AIR_HU", "MAX_PIXELS", "decode_slice", "turn_to_standard"]

AIR_HU = -1000
"""What padding is set to: CT numbers of air (PS3.3 C.8.2.1)."""

LOWEST_HU = -1024
"""Below this lies padding, not tissue: scanners fill outside the reconstruction circle with −2000, −3024 and so on."""

MAX_PIXELS = 4096 * 4096
"""Largest matrix that is decoded at all; the gate allows far less."""

_RLE_EXCESS = re.compile(r"RLE segment .* (\d+) vs\. (\d+) bytes")
_RLE_PADDING_BYTES = 2
"""Some encoders pad a segment to an even length inside it; more means that a run is longer than it was written."""

_COMPRESSED_SLACK_BYTES = 1 << 16
_UNCOMPRESSED = frozenset(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
_DECODING_REMEDY = "Send the series again, uncompressed if the scanner can."


def decode_slice(ds: pydicom.Dataset, header: SliceHeader) -> SliceImage:
    """Decode one CT image to HU and turn it so that rows run to the back and columns to the left.

    HU is ``stored * RescaleSlope + RescaleIntercept`` (PS3.3 C.11.1.1.2), rounded to int16. PixelPaddingValue, its
    range limit (PS3.3 C.7.5.1.1.2) and everything below −1024 HU become −1000.

    Raises
    ------
    PixelError
        If the image is no single-frame greyscale one, its size claims do not hold, no decoder can read it, or the
        rescale attributes or the pixel spacing are missing.
    """
    slope, intercept, spacing = header.rescale_slope, header.rescale_intercept, header.pixel_spacing_mm
    if slope is None or intercept is None or slope == 0:
        raise PixelError("RescaleSlope or RescaleIntercept is missing: no CT numbers", remedy="Send a CT series.")
    if spacing is None:
        raise PixelError("PixelSpacing is missing", remedy="Send an original CT series.")
    _check_claims(ds, header)
    stored = _decode(ds, header)
    hu = _to_hu(stored, slope, intercept)
    hu[hu < LOWEST_HU] = AIR_HU
    padded = _padding(ds, header, stored)
    if padded is not None:
        hu[padded] = AIR_HU
    if header.transfer_syntax_uid in JPEG_LOSSLESS_SYNTAXES and looks_damaged(hu):
        raise PixelError("the JPEG Lossless stream is damaged: these are no CT numbers", remedy=_DECODING_REMEDY)
    turned, turned_spacing = turn_to_standard(hu, header.image_orientation, spacing)
    return SliceImage(header.sop_uid, turned, turned_spacing)


def _check_claims(ds: pydicom.Dataset, header: SliceHeader) -> None:
    """Refuse what is not one greyscale frame of sane size with as much pixel data as that needs."""
    with quiet_pydicom():
        data: Any = ds.get("PixelData")
        frames = str(ds.get("NumberOfFrames") or 1)
        samples, bits = ds.get("SamplesPerPixel", 1), ds.get("BitsAllocated")
        photometric = str(ds.get("PhotometricInterpretation", ""))
    if not isinstance(data, bytes) or not data:
        raise PixelError("there is no PixelData", remedy=_DECODING_REMEDY)
    if frames != "1":
        raise PixelError(f"NumberOfFrames is {frames}, not 1", remedy="Send single-frame CT images.")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise PixelError(f"{samples} samples of {photometric!r} are no CT image", remedy="Send a CT series.")
    if bits not in (8, 16):
        raise PixelError(f"BitsAllocated is {bits}, not 8 or 16", remedy=_DECODING_REMEDY)
    pixels = header.rows * header.columns
    if not 0 < pixels <= MAX_PIXELS or min(header.rows, header.columns) < 1:
        raise PixelError(f"Rows × Columns is {header.rows} × {header.columns}", remedy="Send at most 4096 × 4096.")
    expected = pixels * bits // 8
    if header.transfer_syntax_uid in _UNCOMPRESSED:
        if not expected <= len(data) <= expected + 1:
            raise PixelError(f"PixelData has {len(data)} bytes instead of {expected}", remedy=_DECODING_REMEDY)
        return
    if len(data) > 2 * expected + _COMPRESSED_SLACK_BYTES:
        raise PixelError(f"compressed PixelData has {len(data)} bytes for {expected}", remedy=_DECODING_REMEDY)
    claimed = claimed_size(data)
    if claimed is not None and claimed != (header.rows, header.columns):
        raise PixelError(
            f"the compressed frame is {claimed[0]} × {claimed[1]}, the header says {header.rows} × {header.columns}",
            remedy=_DECODING_REMEDY,
        )


def _decode(ds: pydicom.Dataset, header: SliceHeader) -> NDArray[Any]:
    try:
        with quiet_pydicom(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            stored: NDArray[Any] = ds.pixel_array
    except PYDICOM_ERRORS as error:
        raise PixelError(
            f"PixelData cannot be decoded ({header.transfer_syntax_uid}): {error}", remedy=_DECODING_REMEDY
        ) from error
    excess = max((_excess_bytes(str(warning.message)) for warning in said), default=0)
    if excess > _RLE_PADDING_BYTES:
        raise PixelError(f"an RLE segment decodes to {excess} bytes too many: it is damaged", remedy=_DECODING_REMEDY)
    if stored.shape != (header.rows, header.columns):
        raise PixelError(f"decoded to {stored.shape}, not one plane", remedy=_DECODING_REMEDY)
    return stored


def _excess_bytes(warning: str) -> int:
    """Return how many bytes too many an RLE segment decoded to, from pydicom's warning; 0 for other warnings."""
    found = _RLE_EXCESS.search(warning)
    return int(found[1]) - int(found[2]) if found else 0


def _to_hu(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[np.int16]:
    # Whole numbers nearly always: then int32 arithmetic is exact and four times as fast as float.
    if slope == int(slope) and intercept == int(intercept) and abs(slope) < 1024 and abs(intercept) < 1 << 24:
        scaled: NDArray[Any] = stored.astype(np.int32)
        if slope != 1:
            scaled *= int(slope)
        scaled += int(intercept)
    else:
        scaled = np.rint(stored.astype(np.float64) * slope + intercept)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def _padding(ds: pydicom.Dataset, header: SliceHeader, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    value = header.pixel_padding_value
    if value is None:
        return None
    with quiet_pydicom():
        limit: Any = ds.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    within: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return within


def turn_to_standard(
    hu: NDArray[np.int16],
    orientation: tuple[float, float, float, float, float, float] | None,
    spacing_mm: tuple[float, float],
) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Flip and transpose a slice so that rows run to the patient's back (+y) and columns to the left (+x).

    Only for slices within 45° of axial; others, and those without orientation, are returned as stored (the gate
    refuses them). Nothing is interpolated.

    Parameters
    ----------
    hu
        (H, W) int16.
    orientation
        ImageOrientationPatient: direction along a row (increasing column), then along a column (PS3.3 C.7.6.2.1.1).
    spacing_mm
        (row, column) spacing before turning.

    Returns
    -------
    tuple
        The turned pixels, C-contiguous, and their (row, column) spacing.
    """
    if orientation is None:
        return np.ascontiguousarray(hu), spacing_mm
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(along_row, along_column)
    if abs(normal[2]) < np.cos(np.pi / 4):
        return np.ascontiguousarray(hu), spacing_mm
    if abs(along_row[1]) > abs(along_row[0]):
        hu, spacing_mm = hu.T, (spacing_mm[1], spacing_mm[0])
        along_row, along_column = along_column, along_row
    if along_row[0] < 0:
        hu = hu[:, ::-1]
    if along_column[1] < 0:
        hu = hu[::-1, :]
    return np.ascontiguousarray(hu), spacing_mm
