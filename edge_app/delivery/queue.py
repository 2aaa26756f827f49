"""Working off the outbox for a destination: results first, then images; each once, however often the link breaks.

What was sent is in the ledger before the next object leaves, so a process that is killed goes on where it was. An
object that was on its way at that moment is sent again, under the same UID: for the peer it is the same instance.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.config import DeliverySettings
from edge_app.core.errors import MsuError, NetworkError, SendError
from edge_app.core.logs import get_logger, short
from edge_app.delivery.compress import LinkSpeed
from edge_app.delivery.items import Item, items_of_instances, verify
from edge_app.delivery.link import Connect, Receipt, Sender
from edge_app.delivery.retry import Backoff
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import DeliveryRow, OutboxRow

__all__ = ["DeliveryQueue", "MakeObjects"]

_log = get_logger(__name__)

MakeObjects = Callable[[OutboxRow], Sequence[Item]]
"""Returns the objects of a result's or a notice's row, making them where they are not there yet; raises `MsuError`."""

MakeMessage = Callable[[OutboxRow], Item]
"""Returns the message among them, without making the others."""


STRIKES = 3
"""A row on which the connection broke so often lets the others go first: it may be the row that breaks it."""


@dataclass(slots=True)
class _Wait:
    failures: int = 0
    until_s: float = 0.0
    broke: int = 0


class DeliveryQueue:
    """Sends what the outbox holds to one destination.

    Parameters
    ----------
    ledger
        Where the outbox and the proofs are.
    settings
        How patient to be.
    destination
        What the ledger files this destination's proofs under.
    connect, make_objects, make_message
        The way out, and how a result becomes objects.
    stopped
        True when the process is to end, or this destination is no longer served: the next object is not begun, and
        the one under way is cut.
    takes_images
        False where only results go.
    served
        All destinations that are to be served now; a row is closed when all of them are done with it. Asked in the
        transaction that closes it: the destination may change, and what it asks for come, at any moment.
    express
        Sends a message over a connection that is held open; returns None where there is none. Needs `make_message`.
    speed
        What is known of the link's speed; a slow one gets images compressed.
    backoff, clock
        Injected by tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        destination: str,
        *,
        connect: Connect,
        make_objects: MakeObjects,
        make_message: MakeMessage | None = None,
        stopped: Callable[[], bool],
        takes_images: bool = True,
        served: Callable[[], Sequence[str]] | None = None,
        express: Callable[[Item], Receipt | None] | None = None,
        speed: LinkSpeed | None = None,
        backoff: Backoff | None = None,
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._destination = destination
        self._connect = connect
        self._make_objects = make_objects
        self._make_message = make_message
        self._stopped = stopped
        self._takes_images = takes_images
        self._served = served or (lambda: (destination,))
        self._express = express
        self._speed = speed or LinkSpeed(settings.compress_below_kbit_s)
        self._backoff = backoff or Backoff(settings.retry_first_s, settings.retry_longest_s)
        self._clock = clock
        self._link = _Wait()
        self._rows: defaultdict[int, _Wait] = defaultdict(_Wait)
        self._broke: Counter[str] = Counter()
        self._state = "idle"
        self._problem = ""
        self._sending = ""
        self._urgent = False

    def detail(self) -> dict[str, object]:
        """Return what the heartbeat says: counts by kind and state, the link's state, and when it is tried again."""
        return {
            "destination": self._destination,
            "link": self._state,
            "problem": self._problem,
            "next_try_in_s": round(max(0.0, self._link.until_s - self._clock()), 1) if self._state == "down" else None,
            "sending": self._sending,
            "kbit_s": round(self._speed.kbit_s) if self._speed.kbit_s is not None else None,
            "outbox": outbox.count_by_state(self._ledger, self._destination),
        }

    def step(self) -> bool:
        """Work off the row that is due first; returns False when there is none before something changes."""
        row = self._next()
        if row is None:
            return False
        outbox.note_attempt(self._ledger, row, self._destination)
        if self._send_at_once(row) and self.message_waits():
            return True  # the next one waits neither for this one's other objects to be made nor for a connection
        try:
            items = self._items(row)
        except MsuError as error:
            self._postpone(row, f"{error.code} {error.message}")
            return True
        missing = self._missing(row, items)
        if missing:
            if row.kind != "images" and not missing[0].is_message:
                outbox.note_message_sent(self._ledger, row, self._destination)
            self._urgent = missing[0].is_message
            if not self._go_on():
                return True
            self._sending = row.kind
            try:
                with self._connect(missing, self._go_on) as link:
                    self._link = _Wait()
                    self._state, self._problem = "up", ""
                    self._send_all(link, row, missing)
            except NetworkError as error:
                outbox.take_back_attempt(self._ledger, row, self._destination)
                if self._go_on():
                    self._back_off(error)
                return True
            finally:
                self._sending = ""
            self._state = "idle"
        self._settle(row, items)
        return True

    def _go_on(self) -> bool:
        """Tell whether what is under way may go on: a new result does not wait for it, unless it is a message itself.

        At 64 kbit/s an image takes a minute. What was sent of it is lost; results are rare, and cannot wait.
        """
        return not self._stopped() and (self._urgent or not self.message_waits())

    def message_waits(self) -> bool:
        """Tell whether a result's message is due; one that keeps breaking the connection is no longer waited for."""
        now_s = self._clock()
        for row_id in outbox.unsent_messages(self._ledger, self._destination):
            wait = self._rows.get(row_id, _Wait())
            if now_s >= wait.until_s and wait.broke < STRIKES:
                return True
        return False

    def _next(self) -> OutboxRow | None:
        now_s = self._clock()
        if self._stopped() or now_s < self._link.until_s:
            return None
        due = [
            row
            for row in outbox.queued_for(self._ledger, self._destination)
            if row.id not in self._rows or now_s >= self._rows[row.id].until_s
        ]
        return min(due, key=lambda row: self._rows[row.id].broke // STRIKES, default=None)

    def _items(self, row: OutboxRow) -> Sequence[Item]:
        if row.kind != "images":
            return self._make_objects(row)
        if not self._takes_images:
            return ()
        result = outbox.result_of(self._ledger, row.study_uid, row.revision)
        first = result.key_slices if result else ()
        return items_of_instances(self._ledger.instances(study_uid=row.study_uid), self._ledger.paths, first)

    def _missing(self, row: OutboxRow, items: Sequence[Item]) -> list[Item]:
        done = outbox.deliveries(self._ledger, row.study_uid, self._destination)
        missing = [item for item in items if item.sop_uid not in done or not self._is_over(done[item.sop_uid])]
        # What broke the connection goes last, but a message goes first until it has done so too often.
        return sorted(missing, key=lambda item: self._broke[item.sop_uid] // (STRIKES if item.is_message else 1))

    def _is_over(self, delivery: DeliveryRow) -> bool:
        return delivery.state == "sent" or delivery.tries >= self._settings.refusals_max

    def _send_all(self, link: Sender, row: OutboxRow, items: Sequence[Item]) -> None:
        for item in items:
            self._urgent = item.is_message
            if not self._go_on():
                return
            try:
                self._send(link, row, item)
            except NetworkError:
                if self._go_on():
                    self._broke[item.sop_uid] += 1
                    self._rows[row.id].broke += 1
                raise
            if item.is_message:
                outbox.note_message_sent(self._ledger, row, self._destination)

    def _send_at_once(self, row: OutboxRow) -> bool:
        """Send a row's message over the connection that is held open, if there is one; the usual way does the rest."""
        if self._express is None or self._make_message is None or row.kind == "images":
            return False
        try:
            item = self._make_message(row)
            if self._broke[item.sop_uid] or not self._missing(row, [item]):
                return False
            verify(item)
        except MsuError:
            return False  # the usual way says what is wrong with it
        receipt = self._express(item)
        if receipt is None or not receipt.accepted:
            return False
        self._note_sent(row, item, receipt)
        outbox.note_message_sent(self._ledger, row, self._destination)
        return True

    def _note_sent(self, row: OutboxRow, item: Item, receipt: Receipt) -> None:
        outbox.note_sent(
            self._ledger,
            self._destination,
            row.study_uid,
            item.sop_uid,
            status=receipt.status,
            transfer_syntax_uid=receipt.transfer_syntax_uid,
            sha256=item.sha256,
            sop_class_uid=item.sop_class_uid,
        )

    def _send(self, link: Sender, row: OutboxRow, item: Item) -> None:
        """Send one object and keep the answer."""
        status, problem = -1, ""
        try:
            verify(item)
            began_s = self._clock()
            # A row that was tried often may be one whose pixels break the encoder, or the peer: it goes as it is.
            tried = row.tries + self._rows[row.id].broke
            receipt = link.send(item, smaller=self._speed.is_slow and tried < STRIKES)
            self._speed.note(receipt.size_bytes, self._clock() - began_s)
            if receipt.busy:
                raise NetworkError(
                    f"the destination has no room (0x{receipt.status:04X})", remedy="It is tried again by itself."
                )
            status, problem = receipt.status, f"status 0x{receipt.status:04X}"
            if receipt.accepted:
                self._note_sent(row, item, receipt)
                return
        except SendError as error:
            problem = f"{error.code} {error.message}"
        outbox.note_refused(
            self._ledger,
            self._destination,
            row.study_uid,
            item.sop_uid,
            status=status,
            sha256=item.sha256,
            problem=problem,
        )
        _log.event(402, "object not taken", sop=short(item.sop_uid), problem=problem)

    def _back_off(self, error: NetworkError) -> None:
        self._link.failures += 1
        pause_s = self._backoff.pause_s(self._link.failures)
        self._link.until_s = self._clock() + pause_s
        self._state, self._problem = "down", f"{error.code} {error.message}"
        _log.event(
            401, "destination out of reach", problem=error.message, failures=self._link.failures, pause_s=pause_s
        )

    def _postpone(self, row: OutboxRow, problem: str) -> None:
        """Try one row again later; the others go on. Given up when that has happened too often."""
        wait = self._rows[row.id]
        wait.failures += 1
        wait.until_s = self._clock() + self._backoff.pause_s(wait.failures)
        self._finish(row, "failed" if wait.failures >= self._settings.refusals_max else "queued", 0, problem)

    def _settle(self, row: OutboxRow, items: Sequence[Item]) -> None:
        """Close a row once each of its objects was sent, or was refused too often.

        In one transaction: what a destination reports as lost in between would be taken for sent.
        """
        with self._ledger.transaction():
            done = outbox.deliveries(self._ledger, row.study_uid, self._destination)
            known = [done[item.sop_uid] for item in items if item.sop_uid in done]
            sent = sum(delivery.state == "sent" for delivery in known)
            refused = [delivery for delivery in known if delivery.state != "sent"]
            if sent == len(items):
                self._finish(row, "sent", sent, "")
            elif len(known) == len(items) and all(self._is_over(delivery) for delivery in known):
                self._finish(row, "failed", sent, f"{len(refused)} objects refused: {refused[0].problem}")
            elif refused:
                self._postpone(row, f"{len(refused)} objects refused: {refused[0].problem}")

    def _finish(self, row: OutboxRow, state: str, objects: int, problem: str) -> None:
        with self._ledger.transaction():
            outbox.finish(
                self._ledger,
                row,
                state,
                destination=self._destination,
                objects=objects,
                problem=problem,
                served=self._served(),
            )
        if state != "queued":
            self._rows.pop(row.id, None)
            _log.event(403, f"delivery {state}", kind=row.kind, study=short(row.study_uid), problem=problem)
