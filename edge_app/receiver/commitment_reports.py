"""Reports of storage commitment to their askers: on an association that is open, or on a new one (PS3.4 Section J.3.3).

A thread of its own, because an instance is read from the disk again before a word is said about it, and the asker may
be gone by then. What did not get through stays in the ledger, also over a power cut, and is tried again.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import logging
import queue
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel

from edge_app.core import pausing
from edge_app.core.clock import monotonic_s, utc_iso, utc_now
from edge_app.core.logs import get_logger
from edge_app.receiver.commitment import PUSH_MODEL_INSTANCE, event_information, judge
from edge_app.receiver.reactor import run_soon
from edge_app.store.commitment_requests import CommitmentRequest, finish, note_try, open_requests
from edge_app.store.ledger import Ledger

__all__ = ["CommitmentReporter"]

ANSWER_S = 10.0
"""How long a peer may take to answer a report, or an association request of ours."""

RETRY_FIRST_S, RETRY_LONGEST_S = 5.0, 600.0
"""Pause after a report that did not get through; it doubles."""

KEPT = datetime.timedelta(days=7)
"""So long a report waits for its asker."""

_POLL_S = 1.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int
    tls: ssl.SSLContext | None


class CommitmentReporter:
    """Sends what is open, from its own thread; start with `start`, end with `stop`.

    Parameters
    ----------
    ledger
        Where requests are.
    own_aet
        Our AE title.
    addresses
        ``AE@HOST:PORT`` of those who want their reports on a new association.
    tls_of
        The TLS context to call a peer with, by AE title; None for plain.
    open_associations
        Returns the associations that are open just now.
    """

    def __init__(
        self,
        ledger: Ledger,
        own_aet: str,
        addresses: Iterable[str],
        tls_of: Callable[[str], ssl.SSLContext | None],
        open_associations: Callable[[], list[Any]],
    ) -> None:
        self._ledger = ledger
        self._own_aet = own_aet
        self._addresses = dict(_parse(address, tls_of) for address in addresses)
        self._open_associations = open_associations
        self._stop = threading.Event()
        self._woken: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._due_s: dict[str, float] = {}
        """Only the thread touches it: a peer that comes again while it is told in vain is told again at once."""
        self._answers: dict[tuple[int, int], queue.SimpleQueue[int]] = {}
        self._message_ids = itertools.cycle(range(1, 1 << 16))
        self._thread = threading.Thread(target=self._run, name="commitment-reports", daemon=True)

    def start(self) -> None:
        """Start the thread; it begins with what an earlier receiver left open."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is open stays in the ledger."""
        self._stop.set()
        self._woken.put("")

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wake(self, calling_aet: str) -> None:
        """Look at once: a request of this peer came, or the peer itself."""
        self._woken.put(calling_aet)

    def on_answer(self, association: Any, answer: Any) -> None:
        """Take a peer's answer to a report of ours, in the association's thread."""
        waiting = self._answers.get((id(association), int(answer.MessageIDBeingRespondedTo or 0)))
        if waiting is not None:
            waiting.put(int(answer.Status or 0))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._take_wakes()
            try:
                for request in open_requests(self._ledger):
                    if self._stop.is_set():
                        return
                    if monotonic_s() >= self._due_s.get(request.calling_aet, 0.0):
                        self._report(request)
            except sqlite3.Error as error:
                _log.event(216, "storage commitments cannot be read", level=logging.ERROR, why=str(error))
                self._stop.wait(RETRY_FIRST_S)

    def _take_wakes(self) -> None:
        """Wait a moment for somebody to come, and let nobody wait who has."""
        with contextlib.suppress(queue.Empty):
            self._due_s.pop(self._woken.get(timeout=_POLL_S), None)
            while True:
                self._due_s.pop(self._woken.get_nowait(), None)

    def _report(self, request: CommitmentRequest) -> None:
        if request.received_utc < utc_iso(utc_now() - KEPT):
            finish(self._ledger, request, "given_up", committed=0, failed=len(request.items))
            return
        associations = [a for a in self._open_associations() if _may_take(a, request.calling_aet)]
        address = self._addresses.get(request.calling_aet)
        if not associations and address is None:
            return  # nobody to tell; the next association of this peer wakes us
        judgement = judge(self._ledger, request)
        kind, information = event_information(request.transaction_uid, judgement)
        told = any(self._tell_on(association, kind, information) for association in reversed(associations))
        if not told and address is not None:
            told = self._call(request.calling_aet, address, kind, information)
        if told:
            committed, failed = len(judgement.committed), len(judgement.failed)
            finish(self._ledger, request, "reported", committed=committed, failed=failed)
            _log.event(214, "storage commitment reported", committed=committed, failed=failed)
            return
        note_try(self._ledger, request, "not answered")
        pause_s = min(RETRY_FIRST_S * 2.0 ** min(request.tries, 16), RETRY_LONGEST_S)
        self._due_s[request.calling_aet] = monotonic_s() + pause_s

    def _tell_on(self, association: Any, kind: int, information: Dataset) -> bool:
        """Report on an association that the peer opened; returns whether it said yes."""
        message_id, answer = next(self._message_ids), queue.SimpleQueue[int]()
        key = (id(association), message_id)
        self._answers[key] = answer
        try:
            run_soon(association, lambda: _send(association, message_id, kind, information))
            return _wait_for(answer, association, self._stop) == 0
        finally:
            del self._answers[key]

    def _call(self, aet: str, address: _Address, kind: int, information: Dataset) -> bool:
        """Report on a new association, in which we stay the SCP (PS3.7 Annex D.3.3.4); returns if the peer said yes."""
        ae = AE(ae_title=self._own_aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = ANSWER_S
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        tls = (address.tls, address.host) if address.tls is not None else None
        association = ae.associate(
            address.host,
            address.port,
            ae_title=aet,
            ext_neg=[role],
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, pausing.on_connection)],
        )
        if not association.is_established:
            return False
        try:
            if not association.accepted_contexts:
                return False
            status, _ = association.send_n_event_report(
                information, kind, StorageCommitmentPushModel, PUSH_MODEL_INSTANCE
            )
            return int(status.get("Status", -1)) == 0
        finally:
            if association.is_established:
                association.release()


def _parse(text: str, tls_of: Callable[[str], ssl.SSLContext | None]) -> tuple[str, _Address]:
    aet, _, address = text.rpartition("@")
    host, _, port = address.rpartition(":")
    return aet.strip(), _Address(host.strip("[]"), int(port), tls_of(aet.strip()))


def _may_take(association: Any, calling_aet: str) -> bool:
    return (
        association.is_established
        and association.requestor.ae_title.strip() == calling_aet
        and _context_of(association) is not None
    )


def _context_of(association: Any) -> Any | None:
    contexts = association.accepted_contexts
    return next((c for c in contexts if c.abstract_syntax == StorageCommitmentPushModel), None)


def _send(association: Any, message_id: int, kind: int, information: Dataset) -> None:
    """Put a report on the wire; runs in the association's own thread."""
    context = _context_of(association)
    if context is None or not association.is_established:
        return
    syntax = context.transfer_syntax[0]
    request = N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(StorageCommitmentPushModel)
    request.AffectedSOPInstanceUID = UID(PUSH_MODEL_INSTANCE)
    request.EventTypeID = kind
    request.EventInformation = BytesIO(encode(information, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
    association.dimse.send_msg(request, context.context_id)


def _wait_for(answer: queue.SimpleQueue[int], association: Any, stop: threading.Event) -> int | None:
    """Return the status a peer answered, or None when it went away or took too long."""
    deadline_s = monotonic_s() + ANSWER_S
    while monotonic_s() < deadline_s and association.is_established and not stop.is_set():
        with contextlib.suppress(queue.Empty):
            return answer.get(timeout=0.1)
    with contextlib.suppress(queue.Empty):
        return answer.get_nowait()  # it said yes and was gone: most peers release as soon as they have answered
    return None
