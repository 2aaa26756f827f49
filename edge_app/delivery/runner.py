"""One destination at work, on a thread of its own: a link that hangs delays neither the others nor the heartbeat."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from edge_app.core.clock import monotonic_s
from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError
from edge_app.delivery.acknowledge import Acknowledger
from edge_app.delivery.address import Address, Protocol
from edge_app.delivery.dimse import Link
from edge_app.delivery.items import Item
from edge_app.delivery.link import Sender
from edge_app.delivery.mllp import MllpLink
from edge_app.delivery.pace import Pace
from edge_app.delivery.proof import Prover
from edge_app.delivery.queue import DeliveryQueue
from edge_app.delivery.standby import Standby
from edge_app.delivery.web import WebLink
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import OutboxRow, superseded

__all__ = ["Runner"]

POLL_S = 0.25


class Runner:
    """The queue, the proofs and the acknowledgements of one destination.

    Parameters
    ----------
    make_objects, make_message
        Return what a result row means for a protocol, and the message among a DICOM destination's objects.
    served
        All destinations that are to be served now, also where this one is none of them any more.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        address: Address,
        *,
        make_objects: Callable[[OutboxRow, Protocol], Sequence[Item]],
        make_message: Callable[[OutboxRow], Item],
        served: Callable[[], Sequence[str]],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.address = address
        self.alive_s = monotonic_s()
        """When the thread last showed that it is not stuck."""
        self.problem: Exception | None = None
        """What ended the thread before it was told to stop."""
        self._ledger = ledger
        self._settings = settings
        self._tls = tls if address.tls else None
        self._stop = threading.Event()
        self._pace = Pace()
        dicom = address.protocol is Protocol.DICOM
        self._standby = Standby(ledger, settings, address, tls=self._tls) if dicom else None
        self._queue = DeliveryQueue(
            ledger,
            settings,
            address.text,
            connect=self._connect,
            make_objects=lambda row: () if self._is_over(row) else make_objects(row, address.protocol),
            make_message=make_message,
            stopped=self._stop.is_set,
            takes_images=address.protocol.takes_images,
            served=served,
            express=self._standby.send if self._standby else None,
        )
        self._prover = Prover(
            ledger, settings, address, go_on=self._may_ask, tls=self._tls, before=self._make_room, pace=self._pace
        )
        self._acknowledger = Acknowledger(ledger, settings, address, go_on=self._may_ask, tls=self._tls)
        self._thread = threading.Thread(target=self._run, name=f"deliver {address.host}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        if self._standby and self._settings.standby:
            self._standby.start()

    def ask_to_stop(self) -> None:
        """Have what is under way cut; waits for nothing."""
        self._stop.set()
        if self._standby:
            self._standby.ask_to_stop()

    def stop(self) -> None:
        """Cut what is under way and wait for the threads (it may take about a second)."""
        self.ask_to_stop()
        if self._standby:
            self._standby.stop()
        self._thread.join()

    def failure(self) -> Exception | None:
        """Return what ended one of its threads before it was told to stop."""
        return self.problem or (self._standby.problem if self._standby else None)

    def detail(self) -> dict[str, object]:
        """Return what the heartbeat says of this destination."""
        return self._queue.detail()

    def _run(self) -> None:
        try:
            while self._go_on():
                # Proofs wait until nothing is left to send.
                if not (self._queue.step() or self._prover.step() or self._acknowledger.step()):
                    if self._standby:
                        self._standby.resume()
                    self._stop.wait(POLL_S)
        except Exception as error:  # noqa: BLE001  the one of this loop; the process ends with it
            self.problem = error

    def _is_over(self, row: OutboxRow) -> bool:
        """Tell whether a record system would take this report for the newest: there the last message counts."""
        hl7 = self.address.protocol is Protocol.HL7
        return hl7 and superseded(self._ledger, row, self.address.text)

    def _go_on(self) -> bool:
        self.alive_s = monotonic_s()
        return not self._stop.is_set()

    def _may_ask(self) -> bool:
        """Tell whether a question may go on: no message waits for its answer."""
        return self._go_on() and not self._queue.message_waits()

    def _make_room(self) -> None:
        if self._standby:
            self._standby.make_room()

    @contextmanager
    def _connect(self, items: Sequence[Item], go_on: Callable[[], bool]) -> Iterator[Sender]:
        def alive_and_on() -> bool:
            return self._go_on() and go_on()

        if self._standby is None:
            with self._spoken(alive_and_on) as spoken:
                yield spoken
            return
        with ExitStack() as opened:
            self._standby.make_room()
            try:
                link = opened.enter_context(
                    Link(self.address, self._settings, items, alive_and_on, tls=self._tls, pace=self._pace)
                )
            except NetworkError:
                if alive_and_on():  # else it was cut from this side, for a message that the one held open will take
                    self._standby.doubt()
                raise
            opened.enter_context(self._standby.other())
            yield link

    def _spoken(self, go_on: Callable[[], bool]) -> AbstractContextManager[Sender]:
        if self.address.protocol is Protocol.HL7:
            return MllpLink(self.address, self._settings, go_on, tls=self._tls)
        pace = self._pace if self.address.protocol.takes_images else None
        return WebLink(self.address, self._settings, go_on, tls=self._tls, pace=pace)
