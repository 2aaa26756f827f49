"""A whole case on the real screen with real processes behind it: `python -m tests.ui.walk --data D --out O`.

Arrival → images → result → patient confirmed, last known well, opinion, hand-over → a killed worker → next patient.
Every step is a tap or a scanner's push, and leaves a picture. Run under a display (xvfb-run) or offscreen.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from edge_app.core.config import ScreenSettings
from edge_app.simulator import Peer, make_study, send, write_study
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui.app import application, now
from edge_app.ui.controller import Controller
from edge_app.ui.reader import StoreReader
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.states import ScreenState
from edge_app.ui.theme import PANELS
from edge_app.ui.touch_button import DEBOUNCE_MS
from edge_app.ui.window import MainWindow

MSU = (sys.executable, "-m", "edge_app")
DEADLINE_S = 90.0
SEEDS = {"hemorrhage": 20_002, "negative": 20_001}


class Walk:
    """The crew and the scanner."""

    def __init__(self, data: Path, out: Path) -> None:
        self.paths, self.out, self.step = StorePaths(data), out, 0
        self.workers: list[subprocess.Popen[str]] = []
        application()
        self.window = MainWindow(PANELS["12.1"])
        self.reader = StoreReader(self.paths)
        site = ScreenSettings(centre="CSC A")
        self.screen = Controller(self.window, self.reader, self.paths, now, site=site, ischaemia_validated=False)
        self.on_screen_s: dict[str, float] = {}
        """When (monotonic) each image could first be looked at."""
        self.reader.frame_loaded.connect(
            lambda frame: self.on_screen_s.setdefault(frame.sop_uid, time.monotonic()),
            Qt.ConnectionType.QueuedConnection,
        )

    @property
    def model(self) -> ScreenModel | None:
        return self.screen.model

    def until(self, look: Callable[[], object], what: str) -> None:
        """Let Qt work until something is true."""
        end = time.monotonic() + DEADLINE_S
        while not look():
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain for {what}; the screen says {self.model and self.model.state}")
            QTest.qWait(10)

    def state(self, *states: ScreenState) -> None:
        self.until(lambda: self.model is not None and self.model.state in states, f"{[s.value for s in states]}")

    def picture(self, name: str) -> None:
        """Save what a person sees now, when its images are there."""
        self.until(lambda: self.screen.images_loaded, "the images")
        QApplication.processEvents()
        self.step += 1
        assert self.window.grab().save(str(self.out / f"{self.step:02}-{name}.png"), "PNG")

    def tap(self, action: str) -> None:
        self.until(lambda: self.offers(action), f"the button {action}")
        QTest.mouseClick(self.window.action_button(action), Qt.MouseButton.LeftButton)
        QTest.qWait(DEBOUNCE_MS + 50)

    def offers(self, action: str) -> bool:
        with suppress(KeyError):
            return self.window.action_button(action).isEnabled()
        return False

    def delays_s(self) -> list[float]:
        """Return how long after its C-STORE was answered each image could be looked at, in the order of arrival."""
        with Ledger(self.paths, "walk") as ledger:
            rows = ledger.instances()
        self.until(lambda: all(row.sop_uid in self.on_screen_s for row in rows), "all images")
        return [self.on_screen_s[row.sop_uid] - row.received_s for row in rows]

    def start(self, process: str, *options: str) -> subprocess.Popen[str]:
        """Start one of the product's processes."""
        command = [*MSU, process, "--data", str(self.paths.root), *options]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.workers.append(started)
        return started

    def push(self, label: str, folder: Path, peer: Peer, interval_s: float = 0.05) -> threading.Thread:
        """Push a study as the scanner does, slowly enough to be watched."""
        write_study(make_study(SEEDS[label], label, personality="unseen_mobile32"), folder)  # type: ignore[arg-type]
        options = {"calling_aet": "SIM", "interval_s": interval_s}
        thread = threading.Thread(target=send, args=([folder], peer), kwargs=options)
        thread.start()
        return thread

    def run(self, scratch: Path) -> None:
        """Walk the whole way."""
        receive = self.start("receive", "--port", "0")
        work, deliver = self.start("work"), self.start("deliver")
        assert receive.stdout is not None
        aet, _, address = receive.stdout.readline().split()[1].partition("@")
        host, _, port = address.rpartition(":")
        peer = Peer(aet, host, int(port))
        self.reader.start()
        self.window.show()
        self.state(ScreenState.READY, ScreenState.DISK_LOW)  # the walk is about the crew, not about this disk
        self.picture("ready")

        sending = self.push("hemorrhage", scratch / "one", peer)
        self.state(ScreenState.RECEIVING)
        self.until(lambda: self.window.view.has_image, "the first image")
        self.picture("receiving")
        self.state(ScreenState.HAEMORRHAGE)
        sending.join()
        self.state(ScreenState.HAEMORRHAGE)
        first_s, *later_s = self.delays_s()
        sys.stdout.write(
            f"images shown after their C-STORE was answered: the first {first_s:.2f} s, of {len(later_s)} more the "
            f"latest {max(later_s):.2f} s\n"
        )
        self.picture("result")
        for number, thumbnail in enumerate(self.window.keys.thumbnails):
            QTest.mouseClick(thumbnail, Qt.MouseButton.LeftButton)
            self.until(lambda n=number: self.model and self.model.key_slices[n].seen, f"the look at key slice {number}")
        self.until(lambda: self.model and "Images reviewed on board" in self.model.info, "the review")
        self.tap("open:confirm")
        self.picture("confirm")
        self.tap("confirm")
        self.tap("role:paramedic")
        for action in ("open:lkw", "lkw:-60", "lkw:read_back"):
            self.tap(action)
        self.picture("read-back")
        self.tap("lkw:keep:witness")
        self.tap("opinion:agree")
        if self.model is not None and self.model.heat_map.action:  # its maps have passed their release gate
            self.tap("heat_map")
            self.until(lambda: self.window.view.has_heat, "the heat map")
            self.picture("heat-map")
            self.tap("heat_map")
        QTest.mouseClick(self.window.result, Qt.MouseButton.LeftButton)
        self.picture("about")
        self.tap("back")
        self.tap("open:notify")
        self.tap("notify:send")
        self.picture("notify")
        self.tap("back")
        self.tap("open:hand_over")
        self.tap("save")
        self.until(lambda: list((self.paths.root / "hand-over").glob("*.pdf")), "the card's PDF")
        self.picture("hand-over")
        self.tap("back")

        # Slowly enough for the worker to be killed in the midst of it on a busy machine.
        sending = self.push("negative", scratch / "two", peer, interval_s=0.15)
        self.until(lambda: self.model and len(self.model.cases) == 2, "the next patient")
        work.kill()
        work.wait()
        killed_s = time.monotonic()
        self.state(ScreenState.AI_STOPPED)
        sys.stdout.write(f"AI STOPPED shown {time.monotonic() - killed_s:.1f} s after the worker was killed\n")
        self.picture("worker-killed")
        sending.join()
        self.start("work")
        self.state(ScreenState.NONE_DETECTED)
        self.picture("next-result")
        self.tap("cases")
        self.picture("cases")
        self.tap("cases")
        for process, name, words in (
            (deliver, "deliverer", "SENDING STOPPED"),
            (receive, "receiver", "RECEIVER STOPPED"),
        ):
            process.kill()
            process.wait()
            killed_s = time.monotonic()
            self.until(lambda words=words: self.model and any(words in alert for alert in self.model.alerts), words)
            sys.stdout.write(f"{words} shown {time.monotonic() - killed_s:.1f} s after the {name} was killed\n")
        self.picture("deliverer-and-receiver-killed")

    def end(self) -> None:
        """End screen and processes."""
        self.screen.stop()
        self.reader.stop()
        self.window.close()
        for process in self.workers:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
            process.wait(60)
            if process.stdout:
                process.stdout.close()


def main() -> int:
    """Walk; the exit status says whether every step was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    walk = Walk(arguments.data, arguments.out)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            walk.run(Path(scratch))
    finally:
        walk.end()
    with Ledger(walk.paths, "walk") as ledger:
        rows = ledger.read("SELECT kind FROM crew WHERE study_uid != '' AND kind != 'seen' ORDER BY id")
    sys.stdout.write(" ".join(row[0] for row in rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
