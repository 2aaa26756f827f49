"""Is what was acknowledged still there: the bytes are read from the disk again and hashed."""

from __future__ import annotations

import hashlib
import os
import struct

from edge_app.store.paths import StorePaths
from edge_app.store.rows import InstanceRow

__all__ = ["is_intact"]

_CHUNK_BYTES = 1 << 20
_GROUP_LENGTH_END = 144
"""Preamble, prefix, and the element (0002,0000) that says how long the rest of the file meta information is."""


def is_intact(paths: StorePaths, row: InstanceRow) -> bool:
    """Tell whether an instance's file is whole: its size, and the hash of the data set behind the head we wrote.

    The kernel is asked to forget the file first, so that it is the disk that answers and not the memory.
    """
    try:
        with (paths.root / row.path).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if os.fstat(file.fileno()).st_size != row.size:
                return False
            head = file.read(_GROUP_LENGTH_END)
            if len(head) < _GROUP_LENGTH_END or head[128:132] != b"DICM":
                return False
            (length,) = struct.unpack_from("<I", head, _GROUP_LENGTH_END - 4)
            file.seek(_GROUP_LENGTH_END + length)
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == row.sha256
