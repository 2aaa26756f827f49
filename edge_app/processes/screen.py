"""Composition root of the screen: store in, pictures out. It parses no DICOM and opens no socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from edge_app.core.config import Settings

__all__ = ["run"]


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
    screenshot_dir: Path | None = None,
) -> None:
    """Show the triage screen until `stop` is set or its window is closed; see `edge_app.ui.app.run_screen`.

    Raises
    ------
    ProcessError
        If the screen lost sight of the store.
    """
    # Qt is loaded here, so that importing the composition root stays cheap.
    from edge_app.ui.app import run_screen

    run_screen(settings, stop=stop, ready=ready, alive=alive, screenshot_dir=screenshot_dir)
