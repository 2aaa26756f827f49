"""What systemd hears of the real processes, with the test at its end of the socket."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_app.core.config import Settings
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.waiting import DEADLINE_S, wait_until

pytestmark = pytest.mark.integration

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(DEADLINE_S)
        yield channel


@pytest.fixture
def start(tmp_path: Path, systemd: socket.socket) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def run(name: str, settings: Settings | str, *options: str) -> subprocess.Popen[bytes]:
        file = tmp_path / "settings.toml"
        file.write_text(settings if isinstance(settings, str) else settings.to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "edge_app", name, "--config", str(file), "--headless", *options]
        environment = {
            **os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        return running[-1]

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def _hear(systemd: socket.socket, word: str) -> None:
    while word not in systemd.recv(4096).decode():
        pass


def _end(systemd: socket.socket, process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process as systemd does: who stops reading holds up a process that gives signs of life."""

    def look() -> bool:
        while select.select([systemd], [], [], 0)[0]:
            systemd.recv(4096)
        return process.poll() is not None

    wait_until(look, "the process ends")
    return process.wait()


@pytest.mark.parametrize("name", ["receive", "work", "screen", "deliver"])
def test_a_process_says_ready_then_lives_then_says_that_it_stops(
    name: str, tmp_path: Path, systemd: socket.socket, start: Start
) -> None:
    process = start(name, Settings(data=tmp_path / "store").replaced(receiver={"port": 0}))
    _hear(systemd, "READY=1")
    _hear(systemd, "WATCHDOG=1")
    _hear(systemd, "WATCHDOG=1")
    process.terminate()
    _hear(systemd, "STOPPING=1")
    assert _end(systemd, process) == 0


def test_refused_settings_end_with_78_and_are_left_for_the_screen(
    tmp_path: Path, systemd: socket.socket, start: Start
) -> None:
    missing = {"tls": True, "tls_certificate": "none.pem", "tls_key": "none.pem", "tls_authority": "none.pem"}
    settings = Settings(data=tmp_path / "store").replaced(receiver={"port": 0, **missing})
    assert start("receive", settings).wait(DEADLINE_S) == 78
    _hear(systemd, "STATUS=E-001")
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        assert "none.pem" in str(ledger.heartbeats()["receive"].detail["refused"])


def test_in_a_kiosk_the_screen_says_why_the_file_is_refused_until_it_is_mended(
    tmp_path: Path, systemd: socket.socket, start: Start
) -> None:
    bad = 'data = "store"\n[receiver]\nprot = 1\n'
    assert start("screen", bad).wait(DEADLINE_S) == 78
    kiosk = start("screen", bad, "--kiosk")
    _hear(systemd, "READY=1")
    _hear(systemd, "WATCHDOG=1")
    (tmp_path / "settings.toml").write_text('data = "store"\n', encoding="utf-8")
    assert _end(systemd, kiosk) == 0
