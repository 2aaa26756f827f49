"""Memory given back, by Python and by malloc, where whole networks come and go."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["free", "frugal"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3): bytes free at the end of the heap, and of a single block, above which memory goes back."""


def free() -> None:
    """Give back what torch and the exporter leave behind: circles that hold whole graphs, and what malloc keeps."""
    gc.collect()
    if library := _glibc():
        library.malloc_trim(0)


@contextmanager
def frugal() -> Iterator[None]:
    """Let malloc give back every large block that is freed, for as long as this lasts.

    By itself it keeps ever larger ones, the larger those it saw freed: half of what exporting a small network takes.
    Afterwards it keeps what it would have come to keep (mallopt(3), M_MMAP_THRESHOLD).
    """
    library = _glibc()
    if library:
        library.mallopt(M_MMAP_THRESHOLD, 256 << 10)
    try:
        yield
    finally:
        if library:
            library.mallopt(M_MMAP_THRESHOLD, 32 << 20)
            library.mallopt(M_TRIM_THRESHOLD, 64 << 20)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library and hasattr(library, "malloc_trim") else None
