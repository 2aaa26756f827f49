"""The screen when the settings file itself is refused: it cannot know where the store is, but it can say why.

It ends when the file can be read again; whoever started it starts it anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QTimer

from edge_app.core.clock import boot_id, monotonic_s, utc_iso, utc_now
from edge_app.core.config import ScreenSettings
from edge_app.core.errors import ConfigError
from edge_app.store.ledger import HeartbeatRow
from edge_app.ui.actions import ACTION_SLOTS
from edge_app.ui.app import application, now
from edge_app.ui.desk import desk_from
from edge_app.ui.facts import START_GRACE_S
from edge_app.ui.presenter import present
from edge_app.ui.screen_model import ActionButton, ScreenModel
from edge_app.ui.snapshot import Snapshot
from edge_app.ui.theme import PANELS, THEMES
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.window import MainWindow

__all__ = ["refusal_model", "run_refused"]

_TICK_MS = 250
_LOOK_TICKS = 4


def refusal_model(error: ConfigError) -> ScreenModel:
    """Return what the screen says: no images can arrive, and which key of the settings is the reason.

    It offers no button, as nothing can be kept or opened without a store.
    """
    started_s = monotonic_s() - START_GRACE_S - 1
    refused = HeartbeatRow("receive", 0, boot_id(), started_s, utc_iso(utc_now()), {"refused": error.message})
    snapshot = Snapshot(started_s, boot_id(), heartbeats={"receive": refused})
    site = ScreenSettings()
    model = present(snapshot, ViewerModel(), desk_from({}, site), now(), site=site)
    return replace(model, actions=(ActionButton("", ""),) * ACTION_SLOTS, presets=())


def run_refused(
    error: ConfigError,
    *,
    stop: threading.Event,
    mended: Callable[[], bool],
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Say why the settings are refused until `stop` is set or `mended` is true. Must run on the main thread."""
    app = application()
    window = MainWindow(PANELS[ScreenSettings().panel])
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        window.show_model(refusal_model(error), THEMES["night"])
        if alive is not None:
            alive()
        if stop.is_set() or (ticks % _LOOK_TICKS == 0 and mended()):
            app.quit()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(_TICK_MS)
    window.showFullScreen()
    tick()
    if ready is not None:
        ready()
    try:
        app.exec()
    finally:
        timer.stop()
        window.close()
        window.deleteLater()
