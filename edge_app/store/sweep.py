"""What a receiver that died left behind: files of instances that were never acknowledged, or were being removed.

Run once when a receiver starts, before it listens (it must be the only one, see `edge_app.store.lock`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from edge_app.store.inbox import PART_SUFFIX
from edge_app.store.ledger import Ledger
from edge_app.store.paths import fsync_folder
from edge_app.store.retention import REMOVED_SUFFIX

__all__ = ["Swept", "sweep_orphans"]


@dataclass(frozen=True, slots=True)
class Swept:
    """How many half-written files were removed, and how many whole ones went to quarantine."""

    removed: int
    quarantined: int


def sweep_orphans(ledger: Ledger) -> Swept:
    """Remove half-written files; move whole files without a row to quarantine.

    A file without a row was never acknowledged, so the sender still has it and will send it again. It is kept all the
    same: its bytes are real, and disk space is cheaper than an image.
    """
    paths = ledger.paths
    known = ledger.instance_paths()
    removed = quarantined = 0
    folders = [paths.quarantine, *sorted(p for p in (paths.root / "instances").iterdir() if p.is_dir())]
    for folder in folders:
        if folder.name.endswith(REMOVED_SUFFIX):
            shutil.rmtree(folder)
            continue
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            path = folder / name
            if name.endswith(PART_SUFFIX):
                path.unlink()
                removed += 1
            elif folder != paths.quarantine and path.relative_to(paths.root).as_posix() not in known:
                kept = paths.quarantine / f"{folder.name}-{name}"
                path.replace(kept)
                fsync_folder(paths.quarantine)
                ledger.add_quarantine(kept, "stored but not acknowledged when the receiver stopped", "")
                quarantined += 1
    return Swept(removed, quarantined)
