"""What a run that was stopped had measured already, so that it goes on from there; a finished run leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.experiment import write_description

__all__ = ["Kept"]


class Kept:
    """Measured values by name, in a file.

    Parameters
    ----------
    file
        Where they lie.
    stamp
        What they hold good for: what was kept under another one is forgotten.
    """

    def __init__(self, file: Path, stamp: dict[str, Any]) -> None:
        self._file = file
        self._stamp = json.loads(json.dumps(stamp))  # as it is read back: no tuples
        self._known: dict[str, dict[str, Any]] = {}
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if body["stamp"] == self._stamp:
            self._known = body["known"]

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what is known, or else measure it and keep it; what holds an ``error`` is tried again next time."""
        if name in self._known:
            return self._known[name]
        value = measure()
        if "error" not in value:
            self._known[name] = value
            write_description(self._file, {"stamp": self._stamp, "known": self._known})
        return value

    def forget(self) -> None:
        """Let the next run measure everything."""
        self._known = {}
        self._file.unlink(missing_ok=True)
