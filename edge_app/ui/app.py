"""Builds the screen and runs Qt's loop until told to stop."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from edge_app.core.clock import monotonic_s, utc_now
from edge_app.core.config import Settings
from edge_app.core.errors import ProcessError
from edge_app.store.paths import StorePaths, uid_hash
from edge_app.ui.controller import Controller
from edge_app.ui.facts import Moment
from edge_app.ui.fonts import load_fonts
from edge_app.ui.reader import StoreReader
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.sound import Player
from edge_app.ui.states import TERMINAL_STATES
from edge_app.ui.surroundings import Surroundings, Watch
from edge_app.ui.theme import PANELS
from edge_app.ui.window import MainWindow
from edge_app.ui.witness import Witness

__all__ = ["application", "now", "run_screen", "screenshot_name"]

_STOP_POLL_MS = 100


def now(felt: Surroundings = Surroundings()) -> Moment:  # noqa: B008  frozen
    """Return the time on both clocks, and what is felt now."""
    return Moment(monotonic_s(), utc_now().astimezone(), felt.lux, felt.clock_offset_s)


def application() -> QApplication:
    """Return the one QApplication, with the screen's fonts."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(["msu-screen"])
    load_fonts()
    return app


def screenshot_name(study_uid: str, revision: int) -> str:
    """Return the file name of a case's picture; a UID that is not one (PS3.5 9.1) is hashed before it gets there."""
    stem = study_uid if re.fullmatch(r"[0-9.]{1,64}", study_uid) else uid_hash(study_uid)
    return f"{stem}-r{revision}.png"


class _Photographer:
    """Saves one picture of each terminal state that has been painted with its images loaded."""

    def __init__(self, window: MainWindow, controller: Controller, folder: Path) -> None:
        self._window, self._controller, self._folder = window, controller, folder
        self._taken: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        controller.shown.connect(self._on_shown)

    def _on_shown(self, model: ScreenModel) -> None:
        if model.state not in TERMINAL_STATES or model.study_uid is None or model.patient.previous:
            return
        name = screenshot_name(model.study_uid, model.revision)
        if name in self._taken or not self._controller.images_loaded:
            return
        beside = self._folder / f".{name}.part"
        if not self._window.grab().save(str(beside), "PNG"):
            raise ProcessError(f"picture {beside} cannot be written", remedy="Check the folder and its free space.")
        beside.replace(self._folder / name)
        self._taken.add(name)


def run_screen(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
    screenshot_dir: Path | None = None,
) -> None:
    """Show the screen until `stop` is set or the window is closed. Must run on the main thread.

    Parameters
    ----------
    ready
        Called once, when the first picture of the store is on the screen.
    alive
        Called with each picture, some times a second, on the thread that draws.
    screenshot_dir
        Folder for ``<study_uid>-r<revision>.png`` of every terminal state (written beside, then renamed).

    Raises
    ------
    ProcessError
        If the reader's thread ended with an error: a screen that cannot see the store must not stay up.
    """
    app = application()
    window = MainWindow(PANELS[settings.screen.panel])
    paths = StorePaths(settings.data)
    reader = StoreReader(paths)
    surroundings = Watch()
    player = Player(settings.screen.volume_percent)
    controller = Controller(
        window,
        reader,
        paths,
        lambda: now(surroundings.latest),
        site=settings.screen,
        ischaemia_validated=settings.analysis.ischaemia_output == "on",
    )
    problems: list[BaseException] = []

    def on_failed(error: BaseException) -> None:
        problems.append(error)
        app.quit()

    reader.failed.connect(on_failed)
    witness = Witness(controller, reader, player)
    photographer = _Photographer(window, controller, screenshot_dir) if screenshot_dir else None
    announced = threading.Event()

    def on_shown(_: ScreenModel) -> None:
        if ready is not None and not announced.is_set():
            announced.set()
            ready()
        if alive is not None:
            alive()

    controller.shown.connect(on_shown)
    # A Python signal handler runs only when the interpreter does: this timer lets it, and sees `stop`.
    surroundings.start()
    watch = QTimer()
    watch.timeout.connect(lambda: app.quit() if stop.is_set() else None)
    watch.start(_STOP_POLL_MS)
    reader.beat()
    reader.start()
    if settings.screen.full_screen:
        window.showFullScreen()
    else:
        window.show()
    try:
        app.exec()
    finally:
        watch.stop()
        controller.stop()
        reader.stop()
        surroundings.stop()
        player.stop()
        window.close()
        window.deleteLater()
        del photographer, witness
    if problems:
        raise ProcessError("the screen cannot read the store", remedy="See the log for the cause.") from problems[0]
