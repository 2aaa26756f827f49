"""What a compressed frame says about itself, read without decoding it.

A decoder allocates what the code stream claims, not what the DICOM header claims: a JPEG 2000 frame of 65535 × 65535
inside a 512 × 512 image would fill the memory. So the claimed size is read first (JPEG: ISO/IEC 10918-1 Annex B.2.2;
JPEG-LS: ISO/IEC 14495-1 Annex C; JPEG 2000: ISO/IEC 15444-1 Annex A.5.1 and A.6.1).
"""

from __future__ import annotations

import struct

__all__ = ["claimed_size", "is_irreversible_jpeg2000"]

_SOC = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 code stream, always followed by its SIZ marker
_COD = b"\xff\x52"
_SOI = b"\xff\xd8"
_FRAME_MARKERS = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))
_BARE_MARKERS = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
_SEARCH_BYTES = 65536
"""How far into the pixel data a code stream may begin: item tags, an offset table and JP2 boxes come before it."""


def claimed_size(pixel_data: bytes) -> tuple[int, int] | None:
    """Return the (rows, columns) the first frame's code stream claims, or None if it is no JPEG kind or is damaged."""
    head = bytes(pixel_data[:_SEARCH_BYTES])
    at = head.find(_SOC)
    if at >= 0:
        return _size_from_siz(head, at + 4)
    at = head.find(_SOI)
    return _size_from_frame_header(head, at) if at >= 0 else None


def _size_from_siz(head: bytes, at: int) -> tuple[int, int] | None:
    if len(head) < at + 20:
        return None
    width, height, left, top = struct.unpack_from(">IIII", head, at + 4)
    return height - top, width - left


def _size_from_frame_header(head: bytes, at: int) -> tuple[int, int] | None:
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", head, at + 5)
            return rows, columns
        (length,) = struct.unpack_from(">H", head, at + 2)
        at += 2 if marker in _BARE_MARKERS else 2 + length
    return None


def is_irreversible_jpeg2000(pixel_data: bytes) -> bool:
    """Say whether a JPEG 2000 frame was made with the irreversible 9-7 transform, which rounds CT numbers."""
    head = bytes(pixel_data[:_SEARCH_BYTES])
    start = head.find(_SOC)
    at = head.find(_COD, start) if start >= 0 else -1
    # COD: marker 2, length 2, Scod 1, SGcod 4, then levels, code block width, height and style, transformation.
    return at >= 0 and len(head) > at + 13 and head[at + 13] == 0
