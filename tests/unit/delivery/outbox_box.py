"""A queue over a real ledger and a peer that does as it is told, for the tests of the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydicom.uid import BasicTextSRStorage

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import HeaderError, NetworkError, SendError
from edge_app.delivery.items import Item, items_of_instances
from edge_app.delivery.link import Receipt
from edge_app.delivery.queue import DeliveryQueue
from edge_app.delivery.retry import Backoff
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import OutboxRow
from edge_app.store.paths import StorePaths
from tests.stored_studies import add_ct_study, ct_uid, study_result

__all__ = ["CENTRE", "Box", "Centre", "images", "result"]

CENTRE = "CSC@centre:104"


class Centre:
    """A peer: takes what it gets, unless told to refuse, to break or to be away."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.opened = 0
        self.smaller: list[bool] = []
        self.away = False
        self.size_bytes = 0
        self.answers: dict[str, int] = {}
        self.breaks_at: dict[str, int] = {}
        self.on_send: Callable[[Item], None] = lambda item: None

    @contextmanager
    def connect(self, items: Sequence[Item], go_on: Callable[[], bool]) -> Iterator[Centre]:
        if self.away:
            raise NetworkError("away", remedy="")
        self.opened += 1
        self.go_on = go_on
        yield self

    def send(self, item: Item, *, smaller: bool) -> Receipt:
        self.smaller.append(smaller)
        self.on_send(item)
        if not self.go_on():
            raise NetworkError("cut", remedy="")
        if self.breaks_at.get(item.sop_uid, 0) > 0:
            self.breaks_at[item.sop_uid] -= 1
            raise NetworkError("broken", remedy="")
        status = self.answers.get(item.sop_uid, 0)
        if status < 0:
            raise SendError("no context", remedy="")
        if status == 0:
            self.received.append(item.sop_uid)
        return Receipt(status, item.transfer_syntax_uid, self.size_bytes)


class Box:
    """A queue over a real ledger, with a clock that is set by hand."""

    def __init__(self, paths: StorePaths) -> None:
        self.ledger = Ledger(paths, "deliver")
        self.centre = Centre()
        self.now_s = 0.0
        self.stopped = False
        self.bad_results: set[str] = set()
        self.more_objects = 0
        self.with_message = True
        self.settings = DeliverySettings(refusals_max=3)
        self.served = [CENTRE]
        self.start()

    def start(self, destination: str = CENTRE, **options: Any) -> None:
        self.queue = DeliveryQueue(
            self.ledger,
            self.settings,
            destination,
            served=lambda: self.served,
            connect=self.centre.connect,
            make_objects=self._objects,
            stopped=lambda: self.stopped,
            backoff=Backoff(10.0, 300.0, chance=lambda: 0.0),
            clock=lambda: self.now_s,
            **{"make_message": lambda row: self._objects(row)[0], **options},
        )

    def _objects(self, row: OutboxRow) -> Sequence[Item]:
        if row.study_uid in self.bad_results:
            raise HeaderError("bad", remedy="")
        (first, *_) = items_of_instances(self.ledger.instances(study_uid=row.study_uid), self.ledger.paths)
        message = replace(first, sop_uid=f"{row.study_uid}.9.{row.revision}", sop_class_uid=BasicTextSRStorage)
        objects = [message] if self.with_message else []
        return [*objects, *(replace(first, sop_uid=f"{message.sop_uid}.{n}") for n in range(1, self.more_objects + 1))]

    def add_study(self, study: int = 1, slices: int = 3) -> None:
        add_ct_study(self.ledger, study, slices)
        last = max(row.id for row in self.ledger.instances())
        self.ledger.add_result(replace(study_result(study, slices), key_slices=()), last_instance_id=last)

    def run(self, limit: int = 100) -> None:
        for _ in range(limit):
            if not self.queue.step():
                return
        pytest.fail("the queue never comes to rest")

    def later(self, seconds: float = 1000.0) -> None:
        self.now_s += seconds
        self.run()


def images(study: int, *numbers: int) -> list[str]:
    return [ct_uid(study, n) for n in numbers]


def result(study: int, revision: int = 1) -> str:
    return f"{ct_uid(study)}.9.{revision}"
