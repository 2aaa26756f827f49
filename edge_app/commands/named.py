"""The settings and the store that a command line names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.core.errors import StoreError

if TYPE_CHECKING:
    from edge_app.core.config import Settings
    from edge_app.store.ledger import Ledger

__all__ = ["open_ledger", "settings_of"]


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the command line names, with its own words on top."""
    from edge_app.core.config import Settings, load_settings

    settings = load_settings(arguments.config) if arguments.config else Settings(data=arguments.data.resolve())
    receiver = {key: value for key in ("port", "aet") if (value := getattr(arguments, key, None)) is not None}
    analysis = {"bundle": str(arguments.bundle.resolve())} if getattr(arguments, "bundle", None) else {}
    return settings.replaced(receiver=receiver, analysis=analysis)


def open_ledger(data: Path, process: str) -> Ledger:
    """Open the ledger of a store that is there."""
    from edge_app.store.ledger import Ledger
    from edge_app.store.paths import StorePaths

    paths = StorePaths(data.resolve())
    if not paths.ledger.is_file():
        raise StoreError(f"no store at {data}", remedy="Give the folder that `msu serve --data` was given.")
    return Ledger(paths, process)
