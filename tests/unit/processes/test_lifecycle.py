"""How a process is told to stop."""

from __future__ import annotations

import subprocess
import sys

_HELD = """
import os, signal
from edge_app.processes.lifecycle import stop_event
stop = stop_event()
with stop._cond:  # as in the midst of `wait` and of `set`
    os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(0 if stop.wait(10) else "not set")
"""

_TWICE = """
import os, signal
from edge_app.processes.lifecycle import stop_event
stop_event()
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit("still there")
"""


def _run(code: str) -> int:
    return subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode


def test_a_signal_that_comes_while_the_event_is_being_asked_stops_the_process() -> None:
    assert _run(_HELD) == 0


def test_a_second_signal_ends_the_process_at_once() -> None:
    assert _run(_TWICE) == 128 + 15
