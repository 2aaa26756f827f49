"""Files that are there whole or not at all, also after a kill or on a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edge_app.core.errors import TrainingError
from edge_app.store.paths import fsync_folder

__all__ = ["DISK_FULL", "part_of", "replacing"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors that say so."""


def part_of(path: Path) -> Path:
    """Return the name under which a file is being written; one left behind is overwritten by the next run."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write beside `path`; when the block ends without error the file is durable and takes the name.

    Raises
    ------
    TrainingError
        If the disk is full or cannot be written. Nothing is left of the unfinished file.
    """
    beside = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise TrainingError(
                f"the disk is full while writing {path}",
                remedy="Free space and run the same command again: it goes on where it stopped.",
            ) from error
        raise TrainingError(f"{path} cannot be written: {error}", remedy="Check the folder and its rights.") from error
    finally:
        beside.unlink(missing_ok=True)  # gone already where all went well; else its space is wanted
