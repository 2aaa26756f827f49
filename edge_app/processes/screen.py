"""Composition root of the screen: store in, pictures out. It parses no DICOM and opens no socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from edge_app.core.config import Settings, load_settings
from edge_app.core.errors import ConfigError

__all__ = ["run", "run_refused"]


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


def run_refused(
    error: ConfigError,
    config: Path,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Show why the settings file is refused, until it can be read (then this returns, to be started anew) or `stop`."""
    from edge_app.ui.refused import run_refused as show

    def mended() -> bool:
        try:
            load_settings(config)
        except ConfigError:
            return False
        return True

    show(error, stop=stop, mended=mended, ready=ready, alive=alive)
