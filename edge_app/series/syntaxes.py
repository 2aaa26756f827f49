"""Transfer syntaxes: which lose information, and which are measured before they are decoded (PS3.5 Annex A)."""

from __future__ import annotations

__all__ = ["DEFLATED_SYNTAX", "JPEG_2000_SYNTAXES", "JPEG_LOSSLESS_SYNTAXES", "LOSSY_SYNTAXES"]

_JPEG = "1.2.840.10008.1.2.4."

DEFLATED_SYNTAX = "1.2.840.10008.1.2.1.99"
"""Deflated Explicit VR Little Endian: the whole data set is compressed, so reading it inflates it."""

LOSSY_SYNTAXES = frozenset(
    [f"{_JPEG}{process}" for process in (50, 51, 52, 53, 54, 55, 56, 59, 60, 61, 62, 63, 64)]  # DCT processes
    + [f"{_JPEG}81"]  # JPEG-LS near-lossless
    + [f"{_JPEG}{video}" for video in range(100, 109)]  # MPEG-2, MPEG-4, HEVC
    + [f"{_JPEG}112"]  # JPEG XL
)
"""Syntaxes whose pixels are no longer the scanner's CT numbers."""

JPEG_LOSSLESS_SYNTAXES = frozenset((f"{_JPEG}57", f"{_JPEG}70"))
"""JPEG Lossless, process 14: each value is a difference to its neighbour, so that damage spreads."""

JPEG_2000_SYNTAXES = frozenset(f"{_JPEG}{number}" for number in (90, 91, 201, 202, 203))
"""JPEG 2000 and High-Throughput JPEG 2000, lossless or not."""
