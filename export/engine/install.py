"""Put a plan and its passport where the vehicle looks for them: whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_app.inference.passport import Passport, passport_path
from edge_app.store.paths import fsync_folder, write_atomically

__all__ = ["clear_leftovers", "install"]


def install(folder: Path, passport: Passport, plan: Path) -> None:
    """Install a plan that lies, durable, in the same file system.

    The passport is written last and names the plan by its hash: until then the engine of before is the one that runs,
    and its plan is removed only afterwards.
    """
    plan.rename(folder / passport.plan_file)
    fsync_folder(folder)
    write_atomically(passport_path(folder, passport.network), passport.to_bytes())
    for old in folder.glob(f"{passport.network}-*.plan"):
        if old.name != passport.plan_file:
            old.unlink()


def clear_leftovers(folder: Path) -> None:
    """Remove what a build that was killed left behind; whoever calls holds the folder's lock."""
    for left in folder.glob(".building-*"):
        shutil.rmtree(left)
