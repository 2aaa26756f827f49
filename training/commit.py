"""Which code made something: the checkout's commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["producer_commit"]


def producer_commit() -> str:
    """Return the commit of the code that runs, marked "+changes" where the checkout differs from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        packages = ("edge_app", "training", "export", "calibration")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", *packages)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changes else commit


def _git(*arguments: str) -> str:
    here = Path(__file__).resolve().parent.parent
    return subprocess.run(["git", *arguments], cwd=here, capture_output=True, check=True, text=True).stdout.strip()
