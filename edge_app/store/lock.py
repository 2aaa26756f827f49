"""Locks between processes that the kernel lets go of when their holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_app.core.errors import StoreError

__all__ = ["hold_alone", "hold_in_turn"]


@contextmanager
def hold_alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the time of the block.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    with path.open("a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"another process holds {path.name} in {path.parent}",
                remedy="Stop the one that is running, or give this one another data folder.",
            ) from error
        yield


@contextmanager
def hold_in_turn(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the time of the block, after waiting for those who came first."""
    with path.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
