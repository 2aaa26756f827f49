"""Bytes from the network become durable here, before anybody is told that they were received.

The order is the promise: enough space → who is it → write beside, fsync → (in one ledger transaction) is it new →
rename, fsync the folder → row → commit. Only when `Inbox.add_instance` returns may 0x0000 be sent (SCREEN.md R11).

A file without a row was never acknowledged; a row without a file cannot come about. The decision "new, duplicate or
conflict" is made under the ledger's write lock, so two associations that send the same instance cannot both win.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from edge_app.core.errors import DiskFullError, InputError, MismatchError, StoreError
from edge_app.store.identity import Identity, read_identity
from edge_app.store.ledger import Ledger
from edge_app.store.part10 import file_head
from edge_app.store.paths import fsync_folder
from edge_app.store.rows import InstanceRow

__all__ = ["PART_SUFFIX", "Inbox", "Outcome"]

PART_SUFFIX = ".part"
"""Ends the name of a file that is still being written."""

QUARANTINE_MAX_BYTES = 1 << 30
"""So much is kept of what cannot be taken in."""


class Outcome(str, Enum):
    """What became of an instance that was taken in; the sender gets 0x0000 for each."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same data set was here before: one instance, whatever the number of times it was sent."""
    CONFLICT = "conflict"
    """Its SOP Instance UID was here before with other bytes: both are kept, and the study gets no AI result."""


class Inbox:
    """Takes received data sets into the store. Threads may share it.

    Parameters
    ----------
    ledger
        Where acknowledged instances are noted; its paths say where the files go.
    min_free_bytes
        Space that must be left after an instance is written; below it nothing more is taken in.
    """

    def __init__(self, ledger: Ledger, min_free_bytes: int) -> None:
        self._ledger = ledger
        self._paths = ledger.paths
        self._min_free_bytes = min_free_bytes
        self._durable_folders: set[Path] = set()
        self._lock = threading.Lock()

    def free_bytes(self) -> int:
        """Return the free space of the file system that holds the store."""
        return shutil.disk_usage(self._paths.root).free

    def is_low(self) -> bool:
        """Return whether new instances are refused for want of space."""
        return self.free_bytes() < self._min_free_bytes

    def add_instance(
        self,
        content: bytes | memoryview,
        *,
        sop_uid: str,
        sop_class_uid: str,
        transfer_syntax_uid: str,
        association_id: str,
        source_aet: str,
    ) -> Outcome:
        """Make a received data set durable; when this returns, it may be acknowledged.

        The SHA-256 in the ledger is that of the data set alone, without the file meta information in front of it, so
        that an instance sent again by another peer or over another association is recognised. Sent again in another
        transfer syntax it has other bytes and counts as a conflict: which of the two was meant, we cannot know.

        Parameters
        ----------
        content
            The encoded data set as received; it is written byte by byte and never decoded.
        sop_uid, sop_class_uid
            What the C-STORE request announced (AffectedSOPInstanceUID, AffectedSOPClassUID).

        Raises
        ------
        DiskFullError
            If there is not enough space to promise anything.
        StoreError
            If the bytes could not be made durable; then nothing of them is in the ledger.
        HeaderError
            If the data set cannot be identified; its bytes are kept in quarantine.
        MismatchError
            If it is another instance than announced; its bytes are kept in quarantine.
        """
        self._require_space(len(content))
        try:
            identity = read_identity(content, transfer_syntax_uid)
            if (identity.sop_uid, identity.sop_class_uid) != (sop_uid, sop_class_uid):
                raise MismatchError(
                    "SOP Class or Instance UID of the data set is not that of the request",
                    remedy="Ask the scanner's vendor: PS3.4 B.2.2 wants both to be the same.",
                )
        except InputError as error:
            self.quarantine(content, f"{error.code} {error.message}", association_id)
            raise
        sha256 = hashlib.sha256(content).hexdigest()
        with _as_store_error():
            known = self._ledger.find_instance(identity.sop_uid)
            if known and known.sha256 == sha256 and self._has_file(known):
                return Outcome.DUPLICATE
            head = file_head(identity, transfer_syntax_uid, source_aet)
            part = self._write_beside(self._paths.instance(identity.study_uid, identity.sop_uid), head, content)
            try:
                return self._settle(
                    part, identity, sha256, len(head) + len(content), transfer_syntax_uid, association_id
                )
            finally:
                part.unlink(missing_ok=True)

    def quarantine(self, content: bytes | memoryview, why: str, association_id: str) -> Path:
        """Keep bytes that cannot be taken in, for the vendor to look at; the same bytes are kept once.

        When they become too many the oldest go (their reasons stay): whoever sends rubbish must not take the space of
        the next patient's images.

        Raises
        ------
        StoreError
            If they could not be made durable.
        """
        path = self._paths.quarantine / f"{hashlib.sha256(content).hexdigest()[:32]}.bin"
        with _as_store_error():
            if not path.exists():
                self._make_room_in_quarantine(len(content))
                part = self._write_beside(path, content)
                part.replace(path)
                fsync_folder(path.parent)
            self._ledger.add_quarantine(path, why, association_id)
        return path

    def _make_room_in_quarantine(self, size: int) -> None:
        with self._lock:
            kept = sorted(
                ((stat.st_mtime_ns, stat.st_size, path) for path, stat in _files(self._paths.quarantine)), reverse=True
            )
            total = size + sum(file_size for _, file_size, _ in kept)
            while kept and total > QUARANTINE_MAX_BYTES:
                _, file_size, oldest = kept.pop()
                oldest.unlink(missing_ok=True)
                total -= file_size

    def _settle(
        self, part: Path, identity: Identity, sha256: str, size: int, transfer_syntax_uid: str, association_id: str
    ) -> Outcome:
        """Decide under the write lock what the durable file `part` is, and give it its name."""
        path = self._paths.instance(identity.study_uid, identity.sop_uid)
        with self._ledger.transaction():
            known = self._ledger.find_instance(identity.sop_uid)
            if known is None:
                self._give_name(part, path)
                self._ledger.add_instance(
                    sop_uid=identity.sop_uid,
                    sop_class_uid=identity.sop_class_uid,
                    series_uid=identity.series_uid,
                    study_uid=identity.study_uid,
                    patient_id=identity.patient_id,
                    transfer_syntax_uid=transfer_syntax_uid,
                    path=path,
                    sha256=sha256,
                    size=size,
                    association_id=association_id,
                )
                return Outcome.STORED
            if known.sha256 == sha256:
                if not self._has_file(known):  # somebody removed it: the promise is made good again
                    self._give_name(part, self._paths.root / known.path)
                return Outcome.DUPLICATE
            other = path.with_name(f"{path.stem}.conflict-{sha256[:16]}{path.suffix}")
            self._give_name(part, other)
            for study_uid in {known.study_uid, identity.study_uid}:
                self._ledger.add_conflict(identity.sop_uid, study_uid, other, sha256)
            return Outcome.CONFLICT

    def _has_file(self, row: InstanceRow) -> bool:
        return (self._paths.root / row.path).is_file()

    def _write_beside(self, path: Path, *pieces: bytes | memoryview) -> Path:
        self._make_folder(path.parent)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART_SUFFIX}")
        try:
            with part.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def _give_name(self, part: Path, path: Path) -> None:
        self._make_folder(path.parent)
        part.replace(path)
        fsync_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        # The folder's own name must be durable too. Under the lock, so that no second association builds on a folder
        # whose name the first one has not synced yet.
        with self._lock:
            if folder in self._durable_folders and folder.is_dir():
                return
            folder.mkdir(exist_ok=True)
            fsync_folder(folder.parent)
            self._durable_folders.add(folder)

    def _require_space(self, size: int) -> None:
        free = self.free_bytes()
        if free - size < self._min_free_bytes:
            raise DiskFullError(
                f"{free} bytes free, {self._min_free_bytes} must be left",
                remedy="Free space on the vehicle's disk, then send the study again.",
            )


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files that have their final name."""
    for path in folder.iterdir():
        if not path.name.endswith(PART_SUFFIX):
            with suppress(FileNotFoundError):
                yield path, path.stat()


@contextmanager
def _as_store_error() -> Iterator[None]:
    """Give what the disk and SQLite raise its name in our tree of errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "the disk is full", remedy="Free space on the vehicle's disk, then send the study again."
            ) from error
        raise StoreError(
            f"the store cannot be written: {error.strerror or error}", remedy="Check the disk, then send again."
        ) from error
    except sqlite3.Error as error:
        raise StoreError(f"the ledger cannot be written: {error}", remedy="Check the disk, then send again.") from error
