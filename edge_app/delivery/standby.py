"""An association held open while a result is expected: its message then needs one way over the link instead of five.

At 800 ms there and back, opening a connection and an association costs two seconds before the first byte of a message
leaves, and twice as much where packets are lost. What is held open may have died unnoticed: a message that is not
answered in time goes the usual way, under the same UID.

Some peers serve one association at a time, so it is closed before another one is opened, until a try beside an open
one has shown that this peer serves two: as soon as this one stands, or else while something large is sent.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from edge_app.core.clock import monotonic_s
from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError, SendError
from edge_app.core.logs import get_logger
from edge_app.delivery.address import Address
from edge_app.delivery.dimse import Link
from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt
from edge_app.store import outbox
from edge_app.store.ledger import Ledger

__all__ = ["PATIENCE_S", "Standby"]

PATIENCE_S, PATIENCE_MIN_S, PATIENCE = 8.0, 3.0, 3.0
"""A message goes the usual way that was not answered in `PATIENCE` times what it took to open the association, which is
two round trips and what was lost; within these bounds."""

ECHO_S = 15.0
"""So often the peer is asked whether it is still there: it, or a router, would close what is idle. A message that comes
meanwhile waits for the answer."""

POLL_S = 0.5
TRY_AFTER_S = 1.0
"""An association that is open so long sends something large: then it is tried whether the peer serves a second one."""

PROBE_S = 20.0
"""A second association that was not accepted by then is none: a peer that serves one at a time may just be silent."""

CLOSE_S = 2.0
"""The peer has so long to answer a release."""

PAUSE_S = 10.0
"""After a failure; the queue's own connection is tried as ever."""

_LIKE = Item("", BasicTextSRStorage, ExplicitVRLittleEndian, Path(), "")
"""What messages are like: for this the association is agreed."""

_log = get_logger(__name__)


class Standby:
    """Keeps the association of one DICOM destination, on a thread of its own."""

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._address = address
        self._tls = tls
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._closed.set()
        self._lock = threading.Lock()
        self._aside = True
        self._beside: bool | None = None
        """The peer serves a second association; None: not tried yet."""
        self._other = 0
        """Odd while the queue's own association is open."""
        self._other_s = 0.0
        self._yields = False
        """What is under way is cut by `step_aside`."""
        self._asides = self._asides_before = 0
        """How often it was told to step aside, and how often when what is under way began."""
        self._link: Link | None = None
        self._until_s = float("inf")
        self._patience_s = PATIENCE_S
        self._thread = threading.Thread(target=self._run, name=f"standby {address.host}", daemon=True)
        self.problem: Exception | None = None
        """What ended the thread before it was told to stop."""

    def start(self) -> None:
        """Begin; nothing is opened before `resume`."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Have nothing more opened, and what is under way cut; waits for nothing."""
        self._stop.set()
        self._wake.set()

    def stop(self) -> None:
        """Close the association and wait for the thread."""
        self.ask_to_stop()
        self.step_aside()
        if self._thread.ident is not None:
            self._thread.join()

    @contextmanager
    def other(self) -> Iterator[None]:
        """Enter while another association is open: then it shows whether the peer serves two."""
        self._other, self._other_s = self._other + 1, monotonic_s()
        try:
            yield
        finally:
            self._other += 1

    def make_room(self) -> None:
        """Close the association before another one is opened, unless the peer serves two."""
        if not self._beside:
            self.step_aside()

    def doubt(self) -> None:
        """Another one could not be opened: it may be this one that is in its way."""
        self._beside = None
        self.step_aside()

    def step_aside(self) -> None:
        """Close the association."""
        self._aside, self._asides = True, self._asides + 1
        with self._lock:
            self._link = None
            self._until_s = monotonic_s() + CLOSE_S
            self._wake.set()
        self._closed.wait(2 * CLOSE_S)

    def resume(self) -> None:
        """Open one, if a result is expected."""
        with self._lock:
            if self._aside and self._closed.is_set() and not self._stop.is_set():
                self._aside = False
                self._until_s = float("inf")

    def send(self, item: Item) -> Receipt | None:
        """Send a message over the association; None if there is none, or it did not do it in time."""
        if not self._lock.acquire(timeout=CLOSE_S):
            return None
        try:
            link = self._link
            if link is None:
                return None
            self._until_s = monotonic_s() + self._patience_s
            return link.send(item)
        except (NetworkError, SendError) as error:
            _log.event(417, "message goes the usual way", problem=error.message)
            self._link = None
            self._wake.set()
            return None
        finally:
            self._until_s = float("inf")
            self._lock.release()

    def _go_on(self) -> bool:
        if self._yields and self._asides != self._asides_before:
            return False
        return not self._stop.is_set() and monotonic_s() < self._until_s

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.wait(POLL_S)
                self._wake.clear()
                if not outbox.expects_message(self._ledger):
                    continue
                with self._lock:
                    if self._stop.is_set():
                        return
                    tried_beside = self._aside and self._may_try_beside()
                    if self._aside and not tried_beside:
                        continue
                    other = self._other
                    self._closed.clear()
                    self._yields, self._asides_before, self._until_s = True, self._asides, float("inf")
                began_s = monotonic_s()
                try:
                    with Link(self._address, self._settings, [_LIKE], self._go_on, tls=self._tls) as link:
                        self._patience_s = min(PATIENCE_S, max(PATIENCE_MIN_S, PATIENCE * (monotonic_s() - began_s)))
                        self._hold(link, beside=tried_beside and other == self._other)
                except NetworkError:
                    if tried_beside and other == self._other and self._beside is None:
                        self._beside = False
                    self._pause()
                finally:
                    self._yields = False
                    self._closed.set()
        except Exception as error:  # noqa: BLE001  the one of this loop; the process ends with it
            self.problem = error
            self._closed.set()

    def _may_try_beside(self) -> bool:
        open_long = self._other % 2 == 1 and monotonic_s() - self._other_s > TRY_AFTER_S
        return open_long and self._beside is not False

    def _pause(self) -> None:
        self._yields = False
        self._closed.set()
        self._stop.wait(PAUSE_S)

    def _hold(self, link: Link, *, beside: bool) -> None:
        with self._lock:
            self._yields = False
            if beside:
                self._beside, self._aside = True, False
            if self._aside:
                return
            self._link = link
        echo_at_s = monotonic_s() + ECHO_S
        try:
            if self._beside is None:
                self._probe(link)
            while self._link is link and not self._stop.is_set() and outbox.expects_message(self._ledger):
                self._wake.wait(POLL_S)
                self._wake.clear()
                if monotonic_s() >= echo_at_s:
                    echo_at_s = monotonic_s() + ECHO_S
                    self._echo(link)
        finally:
            with self._lock:
                self._link = None
                self._until_s = monotonic_s() + CLOSE_S

    def _probe(self, held: Link) -> None:
        """See whether the peer serves a second association, before there is something to send over it."""
        until_s = monotonic_s() + PROBE_S

        def go_on() -> bool:
            return self._link is held and not self._stop.is_set() and monotonic_s() < until_s

        try:
            with Link(self._address, self._settings, [_LIKE], go_on, tls=self._tls):
                self._beside = True
        except NetworkError:
            if self._link is held and not self._stop.is_set():
                self._beside = False

    def _echo(self, link: Link) -> None:
        with self._lock:
            if self._link is not link:
                return
            self._yields, self._asides_before = True, self._asides
            self._until_s = monotonic_s() + PATIENCE_S
            try:
                link.echo()
            finally:
                self._yields, self._until_s = False, float("inf")
