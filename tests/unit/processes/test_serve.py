from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_app.core.config import Settings, load_settings
from edge_app.core.errors import ConfigError, ProcessError
from edge_app.processes import serve
from tests.waiting import wait_until

FAKE = """
import signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
name = sys.argv[1]
if name == "receive":
    print("READY MSU1@127.0.0.1:4242", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
stop.wait()
"""


@pytest.fixture
def fake_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the supervisor start a small script instead of `python -m edge_app`."""
    script = tmp_path / "fake.py"

    def write(text: str) -> None:
        script.write_text(text, encoding="utf-8")

    write(FAKE)
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "edge_app"]
        return real([sys.executable, str(script), *command[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(serve.subprocess, "Popen", start)
    return write


@pytest.fixture
def watched(tmp_path: Path, fake_processes: Callable[[str], None]) -> Iterator[serve.Supervisor]:
    stop = threading.Event()
    with serve.Supervisor(Settings(data=tmp_path / "store").replaced(receiver={"port": 0})) as supervisor:
        watcher = threading.Thread(target=supervisor.watch, args=(stop, 0.01))
        watcher.start()
        yield supervisor
        stop.set()
        watcher.join()


def test_ready_is_what_the_receiver_printed(watched: serve.Supervisor) -> None:
    assert watched.wait_ready(60) == ("MSU1", "127.0.0.1", 4242)


def test_a_killed_process_is_started_again_on_the_port_the_scanner_knows(
    watched: serve.Supervisor, tmp_path: Path
) -> None:
    watched.wait_ready(60)
    first = watched.pids["receive"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: watched.pids.get("receive") not in (None, first), "the receiver came back")
    assert load_settings(tmp_path / "store" / "serve.toml").receiver.port == 4242


def test_no_process_is_left_when_the_supervisor_ends(tmp_path: Path, fake_processes: Callable[[str], None]) -> None:
    with serve.Supervisor(Settings(data=tmp_path / "store")) as supervisor:
        supervisor.wait_ready(60)
        assert set(supervisor.pids) == set(serve.PROCESSES)
    assert supervisor.pids == {}


def test_refused_settings_end_the_supervisor(tmp_path: Path, fake_processes: Callable[[str], None]) -> None:
    fake_processes("raise SystemExit(78)")
    with serve.Supervisor(Settings(data=tmp_path / "store")) as supervisor, pytest.raises(ConfigError, match="refused"):
        supervisor.watch(threading.Event(), 0.01)


def test_a_receiver_that_never_gets_ready_is_said(tmp_path: Path, fake_processes: Callable[[str], None]) -> None:
    fake_processes("import sys; sys.stdin.read()")
    with serve.Supervisor(Settings(data=tmp_path / "store")) as supervisor, pytest.raises(ProcessError, match="ready"):
        supervisor.wait_ready(0.05)
