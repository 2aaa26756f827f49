"""The screen as a process sees it: started, photographed, told to stop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage

from edge_app.core.config import Settings
from edge_app.core.errors import ProcessError
from edge_app.processes import screen as screen_process
from edge_app.store.ledger import Ledger
from edge_app.ui.app import screenshot_name
from tests.ui.harness import open_screen
from tests.ui.scenes import build


def run(settings: Settings, stop_when: Path | None, folder: Path | None = None) -> list[str]:
    """Run the screen in this thread until a file is there (or it is ready); return what happened."""
    stop, happened = threading.Event(), []
    timer = QTimer()

    def look() -> None:
        if stop_when is not None and stop_when.is_file():
            stop.set()

    timer.timeout.connect(look)
    timer.start(20)

    def ready() -> None:
        happened.append("ready")
        if stop_when is None:
            stop.set()

    screen_process.run(settings, stop=stop, ready=ready, screenshot_dir=folder)
    timer.stop()
    return happened


def test_the_screen_says_when_it_is_ready_and_stops_when_told(tmp_path: Path, qapp: object) -> None:
    build("ready", tmp_path)
    assert run(Settings(data=tmp_path), None) == ["ready"]


@pytest.mark.parametrize(("name", "revision"), [("haemorrhage", 1), ("no_ai_result", 1), ("failed", 1)])
def test_every_terminal_state_is_photographed_with_its_images(
    name: str, revision: int, tmp_path: Path, qapp: object
) -> None:
    build(name, tmp_path / "store")
    picture = tmp_path / "pictures" / screenshot_name("1.2.826.0.1.3680043.10.543.1", revision)
    run(Settings(data=tmp_path / "store"), picture, tmp_path / "pictures")
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (1280, 800)
    view = image.copy(720, 120, 440, 440)
    greys = {view.pixelColor(x, y).red() for x in range(0, 440, 8) for y in range(0, 440, 8)}
    assert len(greys) > 20
    assert sorted(path.name for path in picture.parent.iterdir()) == [picture.name]


def test_a_hostile_study_uid_never_becomes_a_path() -> None:
    assert screenshot_name("1.2.3", 2) == "1.2.3-r2.png"
    for uid in ("../../etc/passwd", "", "1.2/3", "a" * 100):
        assert "/" not in screenshot_name(uid, 1)
        assert screenshot_name(uid, 1).endswith("-r1.png")


def test_the_screen_leaves_with_an_error_when_it_cannot_read_the_store(tmp_path: Path, qapp: object) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"this is not a database" * 100)
    with pytest.raises(ProcessError, match="cannot read the store"):
        run(Settings(data=tmp_path), None)


def test_the_screen_gives_a_sign_of_life_from_its_gui_thread(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("ready", tmp_path)

    def beaten() -> bool:
        with Ledger(paths, "test") as ledger:
            return "screen" in ledger.heartbeats()

    with open_screen(paths, moment) as screen:
        screen.until(beaten, "a sign of life of the screen")
