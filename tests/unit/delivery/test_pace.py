from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edge_app.delivery import pace
from edge_app.delivery.pace import Pace

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="Linux only")


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as made:
        accepted, _ = server.accept()
        with accepted:
            yield made


def rate(connection: socket.socket) -> int:
    return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, 47, 8), "little")


def test_a_peer_that_is_near_is_sent_to_as_fast_as_it_goes(connection: socket.socket) -> None:
    before = rate(connection)
    Pace().adjust(connection)
    assert rate(connection) == before


def test_a_connection_that_is_none_yet_is_left_alone() -> None:
    with socket.socket() as connection:
        before = rate(connection)
        Pace().adjust(connection)
        assert rate(connection) == before


def test_the_rate_follows_what_arrives_and_falls_where_a_queue_shows(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced = Pace()
    for queue_s, arrives, expected in (
        (0.0, 100_000.0, 125_000),
        (1.0, 100_000.0, 80_000),
        (0.0, 0.0, 122_500),
    ):
        monkeypatch.setattr(pace, "_info", lambda _, q=queue_s, a=arrives: pace._Info(0.8, q, a))
        paced.adjust(connection)
        assert rate(connection) == expected


def test_the_rate_never_falls_to_nothing_and_holds_for_the_next_connection(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_info", lambda _: pace._Info(0.8, 1.0, 0.0))
    paced = Pace()
    for _ in range(500):
        paced.adjust(connection)
    least = rate(connection)
    assert least == int(pace.LEAST_BYTES_S * pace.SLOWER)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as second:
        paced.adjust(second)
        assert rate(second) == least


def test_a_limit_is_lifted_when_the_peer_comes_near(connection: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    paced = Pace()
    monkeypatch.setattr(pace, "_info", lambda _: pace._Info(0.8, 0.0, 0.0))
    paced.adjust(connection)
    assert rate(connection) < 100_000
    monkeypatch.setattr(pace, "_info", lambda _: pace._Info(0.05, 0.0, 0.0))
    paced.adjust(connection)
    assert rate(connection) >= 2**32 - 1
