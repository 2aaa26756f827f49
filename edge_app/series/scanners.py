"""Whether the model was ever validated on such a scanner (SCREEN.md R21).

A pattern is ``MANUFACTURER | MODEL | KERNEL``, each part with ``*`` and ``?``, case ignored. The kernel is part of it
because one scanner's soft and sharp reconstructions are as different to a network as two scanners.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from edge_app.core.types import SliceHeader

__all__ = ["is_validated"]


def is_validated(header: SliceHeader, patterns: Iterable[str]) -> bool:
    """Say whether any pattern fits the scanner and kernel of an image."""
    own = [header.manufacturer, header.manufacturer_model_name, header.convolution_kernel]
    return any(_fits(own, pattern) for pattern in patterns)


def _fits(own: list[str], pattern: str) -> bool:
    parts = [part.strip().casefold() for part in pattern.split("|")]
    values = [value.strip().casefold() for value in own]
    return len(parts) == len(values) and all(map(fnmatchcase, values, parts))
