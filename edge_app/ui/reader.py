"""The store, read on a thread of its own: snapshots and frames come to the GUI thread as values (STYLE.md 6.1).

Requests go in through a queue; snapshots and frames come out through queued signals. The GUI thread never waits for
the disk, and no object of this thread is touched by another.
"""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QThread, Signal

from edge_app.core.logs import get_logger
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, write_atomically
from edge_app.ui.desk import Entry
from edge_app.ui.heat import load_heat_maps
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


@dataclass(frozen=True, slots=True)
class _Keep:
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Audit:
    event: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _HeatMaps:
    study_uid: str
    revision: int
    sop_uids: tuple[str, ...]
    label: str


@dataclass(frozen=True, eq=False, slots=True)
class _Save:
    path: Path
    content: bytes
    entries: tuple[Entry, ...]


class _Beat:
    """Write a sign of life."""


class _Stop:
    """End the thread."""


_Work = _Show | _Load | _Keep | _Audit | _HeatMaps | _Save | _Beat
_Request = _Work | _Stop


class StoreReader(QThread):
    """Polls the store and loads frames. `failed` is emitted when the thread ends with an error."""

    snapshot_read = Signal(object)
    frame_loaded = Signal(object)
    heat_maps_loaded = Signal(object)
    """A mapping of SOP Instance UID to `HeatMap`."""
    failed = Signal(object)

    def __init__(self, paths: StorePaths) -> None:
        super().__init__()
        self._paths = paths
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()

    def show_study(self, study_uid: str | None) -> None:
        """Ask for the frames of a study in the next snapshots; None means the newest one."""
        self._requests.put(_Show(study_uid))

    def load(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Ask for frames (SOP Instance UID, path in the store), most urgent first; replaces what was asked before."""
        self._requests.put(_Load(tuple(wanted)))

    def keep(self, entries: Sequence[Entry]) -> None:
        """Ask for what the crew entered to be kept, with its audit records, in this order."""
        self._requests.put(_Keep(tuple(entries)))

    def audit(self, event: str, body: Mapping[str, Any]) -> None:
        """Ask for an audit record."""
        self._requests.put(_Audit(event, body))

    def load_heat_maps(self, study_uid: str, revision: int, sop_uids: Sequence[str], label: str) -> None:
        """Ask for the heat maps of a result's key slices."""
        self._requests.put(_HeatMaps(study_uid, revision, tuple(sop_uids), label))

    def save(self, path: Path, content: bytes, entries: Sequence[Entry]) -> None:
        """Ask for a file to be written, whole or not at all, and for what says so to be kept once it is."""
        self._requests.put(_Save(path, content, tuple(entries)))

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

    def __init__(self, reader: StoreReader, ledger: Ledger, requests: queue.SimpleQueue[_Request]) -> None:
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
            self._answer(request)

    def _answer(self, request: _Work) -> None:
        if isinstance(request, _Beat):
            self._ledger.beat()
        elif isinstance(request, _Show):
            self._shown, self._stale = request.study_uid, True
        elif isinstance(request, _Load):
            self._wanted = list(request.wanted)
        elif isinstance(request, _Keep):
            with self._ledger.transaction():
                for entry in request.entries:
                    note_crew(self._ledger, entry.study_uid, entry.kind, dict(entry.body))
            self._stale = True  # `data_version` tells of others' commits only
        elif isinstance(request, _Audit):
            self._ledger.audit(request.event, dict(request.body))
        elif isinstance(request, _HeatMaps):
            path = self._ledger.paths.saliency(request.study_uid, request.revision)
            self._reader.heat_maps_loaded.emit(load_heat_maps(path, request.sop_uids, request.label))
        else:
            try:
                write_atomically(request.path, request.content)
            except OSError as error:
                _log.warning("the hand-over card cannot be saved: %s", type(error).__name__)
            else:
                self._answer(_Keep(request.entries))

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
