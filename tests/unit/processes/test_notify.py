from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.processes.notify import Notifier

Inbox = tuple[socket.socket, str]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Inbox]:
    """The end of the socket that systemd would read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        path = str(tmp_path / "notify")
        channel.bind(path)
        channel.setblocking(False)
        yield channel, path


def _said(channel: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said.append(channel.recv(4096).decode())
        except BlockingIOError:
            return said


def test_ready_is_said_with_the_first_sign_of_life(systemd: Inbox) -> None:
    channel, path = systemd
    Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "8000000"}).ready()
    assert _said(channel) == ["READY=1\nSTATUS=ready", "WATCHDOG=1"]


def test_signs_of_life_come_four_times_in_systemds_patience_however_often_they_are_given(systemd: Inbox) -> None:
    channel, path = systemd
    now_s = 100.0
    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "8000000"}, clock=lambda: now_s)
    for _ in range(80):
        notifier.alive()
        now_s += 0.1
    assert _said(channel) == ["WATCHDOG=1"] * 4


def test_without_a_watchdog_only_readiness_is_said(systemd: Inbox) -> None:
    channel, path = systemd
    notifier = Notifier({"NOTIFY_SOCKET": path})
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert _said(channel) == ["READY=1\nSTATUS=ready", "STOPPING=1\nSTATUS=stopping"]


def test_a_refusal_is_one_line_of_status(systemd: Inbox) -> None:
    channel, path = systemd
    Notifier({"NOTIFY_SOCKET": path}).refused("E-001 key 'a' = 1:\nREADY=1 is no word")
    assert _said(channel) == ["STATUS=E-001 key 'a' = 1: READY=1 is no word"]


def test_the_abstract_namespace_is_understood() -> None:
    name = f"msu-test-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert _said(channel) == ["READY=1\nSTATUS=ready"]


def test_without_systemd_nothing_is_said() -> None:
    notifier = Notifier({})
    notifier.ready()
    notifier.alive()
    notifier.stopping()
