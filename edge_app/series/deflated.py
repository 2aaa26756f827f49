"""A deflated data set is inflated whole while it is read; its size is checked before that happens."""

from __future__ import annotations

import struct
import zlib

from edge_app.core.errors import InputError
from edge_app.series.syntaxes import DEFLATED_SYNTAX

__all__ = ["MAX_INFLATED_BYTES", "check_inflated_size"]

MAX_INFLATED_BYTES = 64 << 20
"""A 4096 × 4096 image of 16 bits and a generous header."""

_META_START = 132
_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR", b"OD", b"OL", b"OV", b"SV", b"UV"))


def check_inflated_size(data: bytes, name: str) -> None:
    """Refuse a deflated file that would grow beyond `MAX_INFLATED_BYTES`; other files pass untouched.

    Raises
    ------
    InputError
        If the data set is a decompression bomb, or its compressed stream is damaged.
    """
    end, syntax = _read_meta(data)
    if syntax != DEFLATED_SYNTAX:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data[end:], MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise InputError(f"{name}: deflated data set is damaged: {error}", remedy="Send the image again.") from error
    if len(inflated) > MAX_INFLATED_BYTES:
        raise InputError(
            f"{name} would inflate to more than {MAX_INFLATED_BYTES} bytes",
            remedy="Send it in another transfer syntax if it is a real image.",
        )


def _read_meta(data: bytes) -> tuple[int, str]:
    """Return where group 0002 ends and its TransferSyntaxUID, walking the elements as a reader does.

    The group length (0002,0000) is not trusted: a forged one would point the check at other bytes than the reader's.
    File meta information is always Explicit VR Little Endian (PS3.10 Section 7.1).
    """
    at, syntax = _META_START if data[128:132] == b"DICM" else 0, ""
    while data[at : at + 2] == b"\x02\x00" and len(data) >= at + 12:
        element, vr = data[at + 2 : at + 4], data[at + 4 : at + 6]
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<I", data, at + 8)
            start = at + 12
        else:
            (length,) = struct.unpack_from("<H", data, at + 6)
            start = at + 8
        if element == b"\x10\x00":
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        at = start + length
    return at, syntax
