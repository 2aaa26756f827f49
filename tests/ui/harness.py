"""The real screen on a real store: ledger, reader thread, controller and window, with the clock in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from edge_app.core.config import ScreenSettings
from edge_app.store.paths import StorePaths
from edge_app.ui.app import application
from edge_app.ui.controller import Controller
from edge_app.ui.facts import Moment
from edge_app.ui.reader import StoreReader
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.sound import Player
from edge_app.ui.theme import PANELS
from edge_app.ui.window import MainWindow
from edge_app.ui.witness import Witness
from tests.ui.scenes import SCENES, build
from tests.waiting import wait_until


@dataclass
class Screen:
    """A screen that a test looks at."""

    window: MainWindow
    controller: Controller
    reader: StoreReader
    moment: Moment

    @property
    def model(self) -> ScreenModel:
        """Return what is shown."""
        assert self.controller.model is not None
        return self.controller.model

    def until(self, look: Callable[[], object], what: str) -> None:
        """Let Qt work until something is true."""

        def step() -> bool:
            QApplication.processEvents()
            return bool(look())

        wait_until(step, what)

    def settle(self) -> None:
        """Wait until the store is shown with its images."""
        self.until(lambda: self.controller.images_loaded, "the store on the screen, with its images")
        QApplication.processEvents()

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.moment = replace(self.moment, monotonic_s=self.moment.monotonic_s + seconds)

    def save(self, path: Path) -> None:
        """Save a picture of the window."""
        assert self.window.grab().save(str(path), "PNG")


@contextmanager
def open_screen(
    paths: StorePaths,
    moment: Moment,
    *,
    theme: str = "night",
    language: str = "en",
    panel: str = "12.1",
    **site: object,
) -> Iterator[Screen]:
    """Open the screen on a store; the thread has ended and the window is gone afterwards."""
    application()
    window = MainWindow(PANELS[panel])
    reader = StoreReader(paths)
    holder: list[Screen] = []

    def now() -> Moment:
        return holder[0].moment

    settings = ScreenSettings(theme=theme, language=language, **site)  # type: ignore[arg-type]
    controller = Controller(window, reader, paths, now, site=settings, ischaemia_validated=False)
    holder.append(Screen(window, controller, reader, moment))
    player = Player(20, commands=())
    witness = Witness(controller, reader, player)
    reader.start()
    window.show()
    try:
        yield holder[0]
    finally:
        controller.stop()
        reader.stop()
        player.stop()
        del witness
        window.close()
        window.deleteLater()
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # no loop runs that would do it


@contextmanager
def open_scene(name: str, root: Path, **options: object) -> Iterator[Screen]:
    """Open the screen on a scene of `tests.ui.scenes`, tap what belongs to it and wait for its images."""
    setup = SCENES[name]
    paths, moment = build(name, root)
    with open_screen(paths, moment, **{**setup.site, **options}) as screen:  # type: ignore[arg-type]
        screen.settle()
        for action in setup.taps:
            if action.startswith("case:"):
                screen.window.case_chosen.emit(screen.model.cases[int(action[5:])].study_uid)
            elif action.startswith("line:"):
                screen.window.line_scanned.emit(action[5:])
            else:
                screen.window.action.emit(action)
            screen.settle()
        if "heat_map" in setup.taps:
            screen.until(lambda: screen.window.view.has_heat, "the heat map")
        yield screen
