"""Places among the associations: so many as there are, however many peers ask in the same moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_app.receiver import handlers
from edge_app.receiver.admission import Admission
from edge_app.receiver.handlers import OpenAssociations
from edge_app.receiver.listener import Waiting
from edge_app.receiver.refusals import Refusals
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths

ADMISSION = Admission("MSU1", self_check_aet="SELF-1")
NOW_FULL = (2, 3, 2)


class _Association:
    """What the handlers see of pynetdicom's."""

    def __init__(self, calling_aet: str = "CT1") -> None:
        self.connection = socket.socket()
        self.dul = SimpleNamespace(socket=SimpleNamespace(socket=self.connection))
        primitive = SimpleNamespace(calling_ae_title=calling_aet, called_ae_title="MSU1")
        self.requestor = SimpleNamespace(primitive=primitive, address="10.0.0.5", port=4000, ae_title=calling_aet)
        self.acse = SimpleNamespace(send_reject=self._send_reject)
        self.rejected_contexts: list[Any] = []
        self.rejected: tuple[int, ...] = ()
        self.is_killed = False

    def _send_reject(self, *reason: int) -> None:
        self.rejected = reason

    def kill(self) -> None:
        self.is_killed = True


class _Receiver:
    """The handlers with their tools, and two places."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.refusals = ledger, Refusals(ledger)
        self.waiting = Waiting(5)
        self.open_associations = OpenAssociations(ledger, "MSU1", 2)
        self.asked: list[_Association] = []

    def connect(self, calling_aet: str = "CT1") -> _Association:
        association = _Association(calling_aet)
        self.asked.append(association)
        self.waiting.add(association.connection)
        return association

    def ask(self, association: _Association) -> tuple[int, ...]:
        """Return why it is refused; empty when it is not."""
        event: Any = SimpleNamespace(assoc=association)
        handlers.on_requested(event, ADMISSION, self.open_associations, self.refusals, self.waiting)
        return association.rejected

    def accept(self, association: _Association) -> None:
        event: Any = SimpleNamespace(assoc=association)
        handlers.on_accepted(event, ADMISSION, self.open_associations)

    def end(self, association: _Association) -> None:
        handlers.on_ended(association, self.open_associations, self.ledger, self.refusals, self.waiting)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[_Receiver]:
    with Ledger(StorePaths(tmp_path), "receive") as ledger:
        receiver = _Receiver(ledger)
        yield receiver
        for association in receiver.asked:
            association.connection.close()


def test_who_asks_before_another_was_answered_does_not_get_the_same_place(receiver: _Receiver) -> None:
    asked = [receiver.connect() for _ in range(3)]
    assert [receiver.ask(association) for association in asked] == [(), (), NOW_FULL]
    assert asked[2].is_killed
    for association in asked[:2]:
        receiver.accept(association)
    assert len(receiver.open_associations) == 2


def test_a_place_is_free_again_when_its_association_ends_before_it_was_accepted(receiver: _Receiver) -> None:
    first, second, third = (receiver.connect() for _ in range(3))
    receiver.ask(first), receiver.ask(second)
    receiver.end(first)
    assert receiver.ask(third) == ()


def test_our_own_check_needs_no_place(receiver: _Receiver) -> None:
    for association in (receiver.connect(), receiver.connect()):
        receiver.ask(association)
    own = receiver.connect("SELF-1")
    assert receiver.ask(own) == ()
    receiver.accept(own)
    assert len(receiver.open_associations) == 2


def test_a_connection_that_made_room_for_a_newer_one_takes_no_place(receiver: _Receiver) -> None:
    oldest = receiver.connect()
    others = [receiver.connect() for _ in range(5)]
    assert receiver.ask(oldest) == NOW_FULL
    assert oldest.is_killed and len(receiver.open_associations) == 0
    assert receiver.ask(others[0]) == ()


def test_threads_that_ask_at_once_share_the_places(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path), "receive") as ledger:
        places, start, given = OpenAssociations(ledger, "MSU1", 10), threading.Barrier(30), []

        def ask() -> None:
            start.wait()
            given.append(places.add(object()))

        threads = [threading.Thread(target=ask) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert given.count(True) == len(places) == 10
