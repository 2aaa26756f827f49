"""The store, read on a thread of its own: snapshots and frames come to the GUI thread as values (STYLE.md 6.1).

Requests go in through a queue; snapshots and frames come out through queued signals. The GUI thread never waits for
the disk, and no object of this thread is touched by another.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QThread, Signal

from edge_app.core.logs import get_logger
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui.snapshot import SnapshotSource

__all__ = ["POLL_S", "Frame", "StoreReader"]

POLL_S = 0.05
"""How often the ledger's `data_version` is looked at."""

_log = get_logger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """A slice for the view: `hu` int16 (H, W), mapped from the file; None when the file is gone or damaged."""

    sop_uid: str
    hu: NDArray[np.int16] | None


@dataclass(frozen=True, slots=True)
class _Show:
    study_uid: str | None


@dataclass(frozen=True, slots=True)
class _Load:
    wanted: tuple[tuple[str, str], ...]  # SOP Instance UID, path relative to the store


class _Beat:
    """Write a sign of life."""


class _Stop:
    """End the thread."""


class StoreReader(QThread):
    """Polls the store and loads frames. `failed` is emitted when the thread ends with an error."""

    snapshot_read = Signal(object)
    frame_loaded = Signal(object)
    failed = Signal(object)

    def __init__(self, paths: StorePaths) -> None:
        super().__init__()
        self._paths = paths
        self._requests: queue.SimpleQueue[_Show | _Load | _Beat | _Stop] = queue.SimpleQueue()

    def show_study(self, study_uid: str | None) -> None:
        """Ask for the frames of a study in the next snapshots; None means the newest one."""
        self._requests.put(_Show(study_uid))

    def load(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Ask for frames (SOP Instance UID, path in the store), most urgent first; replaces what was asked before."""
        self._requests.put(_Load(tuple(wanted)))

    def beat(self) -> None:
        """Ask for a sign of life to be written. Called from a timer of the GUI thread: that is what must live."""
        self._requests.put(_Beat())

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._requests.put(_Stop())
        self.wait()

    def run(self) -> None:
        """Run the thread: the one place where any error ends it, and with it the screen."""
        try:
            with Ledger(self._paths, "screen") as ledger:
                _Loop(self, ledger, self._requests).run()
        except Exception as error:  # noqa: BLE001  the one of this loop; the screen ends with it
            _log.exception("the screen's reader ended")
            self.failed.emit(error)


class _Loop:
    """What the thread does and holds; nothing here is seen by another thread."""

    def __init__(
        self, reader: StoreReader, ledger: Ledger, requests: queue.SimpleQueue[_Show | _Load | _Beat | _Stop]
    ) -> None:
        self._reader, self._ledger, self._requests = reader, ledger, requests
        self._source = SnapshotSource(ledger)
        self._shown: str | None = None
        self._wanted: list[tuple[str, str]] = []
        self._stale = True

    def run(self) -> None:
        """Answer requests and poll until told to stop."""
        version = self._ledger.data_version()
        while self._take_requests():
            seen = self._ledger.data_version()
            if self._stale or seen != version:
                version, self._stale = seen, False
                self._reader.snapshot_read.emit(self._source.read(self._shown))
            if self._wanted:
                self._reader.frame_loaded.emit(self._load(*self._wanted.pop(0)))

    def _take_requests(self) -> bool:
        """Take what has been asked, waiting for the poll interval when there is nothing to load."""
        wait_s = 0.0 if self._wanted else POLL_S
        while True:
            try:
                request = self._requests.get(timeout=wait_s) if wait_s else self._requests.get_nowait()
            except queue.Empty:
                return True
            wait_s = 0.0
            if isinstance(request, _Stop):
                return False
            if isinstance(request, _Beat):
                self._ledger.beat()
            elif isinstance(request, _Show):
                self._shown, self._stale = request.study_uid, True
            else:
                self._wanted = list(request.wanted)

    def _load(self, sop_uid: str, relative: str) -> Frame:
        path = Path(self._ledger.paths.root) / relative
        try:
            hu = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            # The cache was swept or a disk error hit it: the view says so, the case goes on.
            _log.warning("a frame cannot be loaded: %s", type(error).__name__)
            return Frame(sop_uid, None)
        if hu.dtype != np.int16 or hu.ndim != 2 or 0 in hu.shape:
            return Frame(sop_uid, None)
        hu.max()  # brings the pages into memory here, so that the GUI thread does not wait for the disk
        return Frame(sop_uid, hu)
