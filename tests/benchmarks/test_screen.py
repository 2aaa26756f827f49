"""Speed and size of the screen on 160 slices of 512², software rendering; figures are printed (`pytest -s`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from edge_app.core.types import Verdict
from edge_app.simulator.study import SyntheticStudy
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui.app import screenshot_name
from edge_app.ui.ct_view import grey_image
from edge_app.ui.facts import Moment
from edge_app.ui.wedge import BURST_MS
from edge_app.ui.windowing import PRESETS
from tests.ui.harness import open_screen
from tests.ui.staging import NOW, Scene, beat, head, leave_model
from tests.waiting import wait_until

SLICES = 160
MEMORY_MB = 250


class _LargeScene(Scene):
    """A stack of 160 slices, made by repeating the slices of a synthetic head."""

    def __post_init__(self) -> None:
        small = head(self.label)
        order = np.linspace(0, len(small.hu) - 1, SLICES).astype(int)
        rows = np.linspace(0, small.hu.shape[1] - 1, 512).astype(int)
        hu = small.hu[order][:, rows][:, :, rows]
        self.study = _stretched(small, hu, order)


def _stretched(study: SyntheticStudy, hu: np.ndarray, order: np.ndarray) -> SyntheticStudy:
    from dataclasses import replace

    return replace(study, hu=hu, label_per_slice=study.label_per_slice[order], spacing_mm=(1.0, 0.45, 0.45))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StorePaths:
    paths = StorePaths(tmp_path_factory.mktemp("large"))
    with Ledger(paths, "work") as ledger:
        _LargeScene(ledger).receive().conclude(Verdict.HEMORRHAGE)
    leave_model(paths)
    return paths


class _Paints(QObject):
    """Counts how often a widget was painted."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def _press(window: QWidget, key: Qt.Key) -> float:
    """Return the milliseconds from a key to the end of all painting that follows from it."""
    start = time.perf_counter()
    QTest.keyClick(window, key)
    QApplication.processEvents()
    return (time.perf_counter() - start) * 1e3


def _plain_draw(view: QWidget, hu: np.ndarray | None) -> float:
    """Return the milliseconds that the image alone takes to be drawn."""
    assert hu is not None
    target = QImage(view.size(), QImage.Format.Format_RGB32)
    start = time.perf_counter()
    painter = QPainter(target)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(QRectF(target.rect()), grey_image(hu, PRESETS[0]))
    painter.end()
    return (time.perf_counter() - start) * 1e3


def _say(what: str, spent_ms: list[float]) -> None:
    median, p95 = float(np.median(spent_ms)), float(np.percentile(spent_ms, 95))
    print(f"\n{what}: median {median:.1f} ms ({1000 / median:.0f} a second), p95 {p95:.1f} ms")  # noqa: T201


@pytest.mark.requirement("R54")
def test_a_scroll_costs_a_few_times_what_drawing_the_image_costs(store: StorePaths, qapp: QApplication) -> None:
    moment = Moment(time.monotonic() + 20, NOW)
    beat(store, moment.monotonic_s)
    with open_screen(store, moment) as screen:
        screen.settle()
        window, controller = screen.window, screen.controller
        screen.until(lambda: all(uid in controller._frames for uid in controller._viewer.slices), "all slices")
        QTest.keyClick(window, Qt.Key.Key_End)
        QApplication.processEvents()
        paints = _Paints(window.view)
        spent_ms, plain_ms = [], []
        for number in range(SLICES - 1):
            spent_ms.append(_press(window, Qt.Key.Key_Up))
            if number % 8 == 0:  # in turn: what else the machine does slows both down
                plain_ms.append(_plain_draw(window.view, controller._frames.hu(controller._viewer.current)))
        assert screen.model.strip_index == SLICES - 1
        assert paints.count >= SLICES - 1, "each slice was painted"
        window_ms = []
        for key in (Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_1) * 7:
            QTest.qWait(BURST_MS + 15)  # faster than fingers it would be a barcode reader's
            window_ms.append(_press(window, key))
        assert paints.count >= SLICES - 1 + len(window_ms)
    _say("scroll, key to paint", spent_ms)
    _say("window, key to paint", window_ms)
    _say("plain draw of the image", plain_ms)
    assert np.median(spent_ms) < 5 * np.median(plain_ms)


@pytest.mark.integration
def test_the_screen_process_alone_stays_small_and_starts_fast(store: StorePaths, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_app", "screen", "--data", str(store.root), "--headless"]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--screenshots", str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        with Ledger(store, "test") as ledger:

            def shown() -> bool:
                row = ledger.read("SELECT COUNT(*) FROM audit WHERE event = 'screen_shown' AND process = 'screen'")
                beaten = ledger.heartbeats().get("screen")
                return bool(row[0][0]) and beaten is not None and beaten.pid == process.pid

            wait_until(shown, "the first state on the screen")
            first_s = time.perf_counter() - start
            wait_until((tmp_path / screenshot_name("1.2.826.0.1.3680043.10.543.1", 1)).is_file, "the picture")
            with_images_s = time.perf_counter() - start
            # All slices are mapped after a moment; a heartbeat later the figure is steady.
            before = ledger.heartbeats()["screen"].at_s
            wait_until(lambda: ledger.heartbeats()["screen"].at_s > before + 3, "three more heartbeats")
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    sizes = {
        line.split(":")[0]: int(line.split()[1]) / 1024
        for line in status.splitlines()
        if line.startswith(("VmRSS", "VmHWM", "RssAnon", "RssFile"))
    }
    print(f"\nfirst state after {first_s:.2f} s, with images {with_images_s:.2f} s; {sizes} MB")  # noqa: T201
    assert sizes["VmHWM"] <= MEMORY_MB
    assert process.returncode == 0
