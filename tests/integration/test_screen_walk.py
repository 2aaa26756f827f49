"""A crew works through a whole case on the real screen, with real processes and a scanner, on a virtual display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_app.inference.bundle import load_bundle

pytestmark = pytest.mark.integration


@pytest.mark.requirement("R41", "R47")
def test_a_whole_case_from_arrival_to_hand_over_and_the_next_patient(tmp_path: Path) -> None:
    walk = [sys.executable, "-m", "tests.ui.walk", "--data", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    environment = {key: value for key, value in os.environ.items() if key != "QT_QPA_PLATFORM"}
    if shutil.which("xvfb-run"):
        walk = ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", *walk]
        environment["QT_QPA_PLATFORM"] = "xcb"
    else:
        environment["QT_QPA_PLATFORM"] = "offscreen"
    done = subprocess.run(walk, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = sorted(path.stem for path in (tmp_path / "out").glob("*.png"))
    heat_map = ["heat-map"] if load_bundle(None).manifest.heat_maps else []
    assert [name[3:] for name in pictures] == [
        "ready", "receiving", "result", "confirm", "read-back", *heat_map, "about", "notify", "hand-over",
        "worker-killed", "next-result", "cases", "deliverer-and-receiver-killed",
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1] == "reviewed identity lkw opinion notify hand_over"
