"""The delivery process: outbox to the stroke centre. Network out, no GPU; a bad link delays nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edge_app.core.clock import monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import StoreError
from edge_app.core.logs import get_logger
from edge_app.delivery.dimse import Destination, Link
from edge_app.delivery.items import Item, item_of_file
from edge_app.delivery.queue import DeliveryQueue
from edge_app.processes.facts import FactsOfModels
from edge_app.reports import write_reports
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import OutboxRow
from edge_app.store.paths import StorePaths

__all__ = ["run"]

BEAT_S = 1.0
POLL_S = 0.25
FORGOTTEN_EVERY_S = 10.0

_log = get_logger(__name__)


def run(settings: Settings, *, stop: threading.Event, ready: Callable[[], None] | None = None) -> None:
    """Send what is in the outbox until `stop` is set; returns within about a second of that.

    Parameters
    ----------
    settings
        `[delivery]` says where to; without a destination the process only says so.
    ready
        Called once when the ledger is open and the first heartbeat given.
    """
    with Ledger(StorePaths(settings.data), "deliver") as ledger:
        retried = outbox.requeue_failed(ledger)
        if retried:
            _log.event(404, "given up before, tried again", rows=retried)
        _Loop(settings, ledger, stop).run(ready)


class _Loop:
    def __init__(self, settings: Settings, ledger: Ledger, stop: threading.Event) -> None:
        self._ledger = ledger
        self._stop = stop
        self._beat_at_s = self._forgotten_at_s = float("-inf")
        self._analysis = settings.analysis
        self._facts = FactsOfModels(settings.analysis)
        delivery = settings.delivery

        def connect(items: Sequence[Item]) -> Link:
            return Link(Destination.parse(delivery.destination), delivery, items, self._go_on)

        self._queue = DeliveryQueue(
            ledger, delivery, connect=connect, make_objects=self._make_objects, stopped=stop.is_set
        )

    def run(self, ready: Callable[[], None] | None) -> None:
        self._go_on()
        if ready:
            ready()
        while not self._stop.is_set():
            if monotonic_s() - self._forgotten_at_s >= FORGOTTEN_EVERY_S:
                self._forgotten_at_s = monotonic_s()
                outbox.add_forgotten_images(self._ledger)
            if not self._queue.step():
                self._stop.wait(POLL_S)
            self._go_on()

    def _make_objects(self, row: OutboxRow) -> Sequence[Item]:
        """Return the files of a result, made now if they are not there; this needs no pixels and no model."""
        result = outbox.result_of(self._ledger, row.study_uid, row.revision)
        if result is None:
            raise StoreError(f"no revision {row.revision} of this result", remedy="The ledger has been tampered with.")
        files = write_reports(
            result,
            self._ledger,
            self._ledger.paths,
            facts=self._facts.of(result.model),
            unvalidated_ischaemia=self._analysis.ischaemia_output == "research",
        )
        return [item_of_file(path) for path in files]

    def _go_on(self) -> bool:
        """Give a sign of life when it is time; called by this loop alone, also while a network call runs."""
        if monotonic_s() - self._beat_at_s >= BEAT_S:
            self._beat_at_s = monotonic_s()
            self._ledger.beat(self._queue.detail())
        return not self._stop.is_set()
