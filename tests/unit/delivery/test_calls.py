"""Calls that are cut leave no connection behind, however late it comes."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from edge_app.core.errors import NetworkError
from edge_app.delivery.calls import Calls


def test_a_connection_that_comes_after_the_cut_is_closed_at_once() -> None:
    ours, theirs = socket.socketpair()
    asked, cut = threading.Event(), threading.Event()

    def connect() -> None:
        asked.set()
        cut.wait(60)
        calls.watch(ours)

    def go_on() -> bool:
        return not asked.is_set()

    calls = Calls(go_on)
    with ours, theirs:
        theirs.settimeout(60)
        with pytest.raises(NetworkError, match="stopped"):
            calls.run(connect)
        cut.set()
        assert theirs.recv(1) == b""


def test_two_threads_may_cut_at_once() -> None:
    calls = Calls(lambda: True)

    class Connection(socket.socket):
        """One that the other thread cuts just before this one does."""

        def setsockopt(self, *arguments: Any) -> None:
            if not cut.is_set():
                cut.set()
                calls.cut()
            super().setsockopt(*arguments)

    cut = threading.Event()
    with Connection() as connection:
        calls.watch(connection)
        calls.cut()
    assert cut.is_set()
