"""Calls that are cut leave no connection behind, however late it comes."""

from __future__ import annotations

import socket
import threading

import pytest

from edge_app.core.errors import NetworkError
from edge_app.delivery.calls import Calls


def test_a_connection_that_comes_after_the_cut_is_closed_at_once() -> None:
    ours, theirs = socket.socketpair()
    asked, cut = threading.Event(), threading.Event()

    def connect() -> None:
        asked.set()
        cut.wait(10)
        calls.watch(ours)

    def go_on() -> bool:
        return not asked.is_set()

    calls = Calls(go_on)
    with ours, theirs:
        theirs.settimeout(10)
        with pytest.raises(NetworkError, match="stopped"):
            calls.run(connect)
        cut.set()
        assert theirs.recv(1) == b""
