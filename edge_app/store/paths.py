"""Every path in the store's folder. UIDs come from outside: they are hashed before they become a file name."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["StorePaths", "fsync_folder", "uid_hash", "write_atomically"]


def uid_hash(uid: str) -> str:
    """Return 32 hex characters that stand for a UID in a file name (no separator or dot can sneak in)."""
    return hashlib.sha256(uid.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable: after a rename, the file is only safe once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename, fsync the folder: a reader sees the whole old file or the whole new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_folder(path.parent)


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The layout of the store's folder, rooted at `root`."""

    root: Path

    @property
    def ledger(self) -> Path:
        """Return the SQLite ledger."""
        return self.root / "ledger.sqlite3"

    @property
    def quarantine(self) -> Path:
        """Return the folder of received bytes that could not be taken in as instances."""
        return self.root / "quarantine"

    def instance(self, study_uid: str, sop_uid: str) -> Path:
        """Return where an instance's Part 10 file lives."""
        return self.root / "instances" / uid_hash(study_uid) / f"{uid_hash(sop_uid)}.dcm"

    def frame(self, study_uid: str, sop_uid: str) -> Path:
        """Return where the worker publishes the decoded slice for the screen: int16 HU (H, W) as .npy."""
        return self.root / "frames" / uid_hash(study_uid) / f"{uid_hash(sop_uid)}.npy"

    def saliency(self, study_uid: str, revision: int) -> Path:
        """Return where the saliency maps of a result live: .npz, one array (3, h, w) per SOP UID hash."""
        return self.root / "results" / uid_hash(study_uid) / f"saliency-{revision}.npz"

    def model(self, manifest_sha256: str) -> Path:
        """Return where the worker leaves what is to be said about a model: JSON, see `edge_app.worker.publish`."""
        return self.root / "models" / f"{uid_hash(manifest_sha256)}.json"

    def hand_over(self, study_uid: str, revision: int) -> Path:
        """Return where the hand-over card of a study is kept: a PDF of one A6 page."""
        return self.root / "hand-over" / f"{uid_hash(study_uid)}-{revision}.pdf"

    def create(self) -> None:
        """Create the folders, durable; harmless when they are there."""
        for folder in (
            self.root,
            self.root / "instances",
            self.root / "frames",
            self.root / "results",
            self.root / "models",
            self.root / "hand-over",
            self.quarantine,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        fsync_folder(self.root)
