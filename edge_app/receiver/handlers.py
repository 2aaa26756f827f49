"""What happens on each event of an association. Short, and given their tools as arguments.

All run in the association's own thread, except that `on_aborted` runs in the thread that stops the server when it
was we who aborted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt

from edge_app.core.errors import MismatchError, MsuError, StoreError
from edge_app.core.logs import get_logger, short
from edge_app.receiver.admission import NO_PLACE, Admission, Caller
from edge_app.receiver.listener import Waiting
from edge_app.receiver.refusals import Refusals
from edge_app.receiver.status import SUCCESS, status_of
from edge_app.receiver.tls import fingerprint_of
from edge_app.store.associations import close_association, open_association
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger

__all__ = [
    "OpenAssociations",
    "handle_echo",
    "handle_store",
    "on_aborted",
    "on_accepted",
    "on_broken",
    "on_ended",
    "on_released",
    "on_requested",
]

_log = get_logger(__name__)


class OpenAssociations:
    """The associations that have a place, by pynetdicom's object, and their ids in the ledger. Threads share it.

    A place is taken when the association is asked for, not when it is open: many that ask at once would each find the
    last place free.

    One that the disk did not take when it was opened is noted when it brings its first instance: a sender that is
    told to try again must not find itself shut out of an association that it still has.

    Parameters
    ----------
    most
        How many places there are.
    """

    def __init__(self, ledger: Ledger, called_aet: str, most: int) -> None:
        self._ledger = ledger
        self._called_aet = called_aet
        self._most = most
        self._ids: dict[Any, str] = {}
        self._lock = threading.Lock()

    def add(self, association: object) -> bool:
        """Give an association a place, False when none is left; it has no id before it is noted."""
        with self._lock:
            if len(self._ids) >= self._most:
                return False
            self._ids[association] = ""
            return True

    def remove(self, association: object) -> str | None:
        """Forget an association; returns its id if it was open and noted."""
        with self._lock:
            return self._ids.pop(association, None)

    def noted(self, association: Any) -> str:
        """Return an open association's id, after noting it in the ledger if it is not there yet.

        Raises
        ------
        StoreError
            If it cannot be noted, or has ended: nothing can then be acknowledged on it.
        """
        with self._lock:
            known = self._ids.get(association)
        if known:
            return known
        if known is None:
            raise StoreError("the association is not open", remedy="Send again.")
        # A new id for each try: one whose commit failed may be there all the same.
        association_id, calling_aet = uuid.uuid4().hex, association.requestor.ae_title.strip()
        try:
            open_association(self._ledger, association_id, calling_aet, self._called_aet, _peer(association))
        except sqlite3.Error as error:
            raise StoreError(
                f"the association cannot be noted in the ledger: {error}", remedy="Check the disk, then send again."
            ) from error
        with self._lock:
            if association in self._ids:
                self._ids[association] = association_id
                return association_id
        close_association(self._ledger, association_id, "aborted")
        raise StoreError("the association ended while it was noted", remedy="Send again.")

    def all(self) -> list[Any]:
        """Return the associations, oldest first."""
        with self._lock:
            return list(self._ids)

    def __len__(self) -> int:
        with self._lock:
            return len(self._ids)


def on_requested(
    event: evt.Event, admission: Admission, open_associations: OpenAssociations, refusals: Refusals, waiting: Waiting
) -> None:
    """Refuse a peer that may not come in, before anything is negotiated."""
    association = event.assoc
    connection = association.dul.socket.socket
    if not waiting.remove(connection):
        # It is being closed to make room for a newer one, and must not take a place with it.
        association.acse.send_reject(NO_PLACE.result, NO_PLACE.source, NO_PLACE.diagnostic)
        association.kill()
        return
    request, address = association.requestor.primitive, association.requestor.address
    caller = Caller(request.calling_ae_title, request.called_ae_title, address, fingerprint_of(connection))
    refusal = admission.refuse(caller)
    if refusal is None and not admission.is_own(caller) and not open_associations.add(association):
        refusal = NO_PLACE
    if refusal:
        refusals.note(203, refusal.why, address=address, calling_aet=caller.calling_aet.strip())
        association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
        association.kill()


def on_accepted(event: evt.Event, admission: Admission, open_associations: OpenAssociations) -> None:
    """Note a peer that was let in, and may be sending already; our own check is none."""
    association = event.assoc
    calling_aet = association.requestor.ae_title.strip()
    if calling_aet == admission.self_check_aet:
        return
    try:
        association_id = open_associations.noted(association)
    except (StoreError, sqlite3.Error) as error:
        _log.event(222, "association could not be noted yet", level=logging.ERROR, why=str(error))
        return
    _log.event(201, "association opened", association=association_id, calling_aet=calling_aet, peer=_peer(association))
    if association.rejected_contexts:
        names = sorted({UID(context.abstract_syntax).name for context in association.rejected_contexts})
        _log.event(204, "presentation contexts refused", association=association_id, sop_classes=names[:8])


def on_released(event: evt.Event, open_associations: OpenAssociations, ledger: Ledger) -> None:
    """Note that the sender is done."""
    _close(event.assoc, "released", open_associations, ledger)


def on_aborted(event: evt.Event, open_associations: OpenAssociations, ledger: Ledger) -> None:
    """Note that the transfer broke off; what was acknowledged stays."""
    _close(event.assoc, "aborted", open_associations, ledger)


def on_broken(association: Any, why: str, refusals: Refusals) -> None:
    """Note that a peer broke a limit or the protocol, and is being cut off."""
    requestor = association.requestor
    calling_aet = requestor.ae_title.strip() if association.is_established else ""
    refusals.note(209, why, address=requestor.address, calling_aet=calling_aet)


def on_ended(
    association: Any, open_associations: OpenAssociations, ledger: Ledger, refusals: Refusals, waiting: Waiting
) -> None:
    """Forget an association whose thread ended, however it did: pynetdicom does not tell of each way."""
    waiting.remove(association.dul.socket.socket)
    if association.requestor.primitive is None:
        refusals.note(212, "connection without association request", address=association.requestor.address)
    try:
        _close(association, "aborted", open_associations, ledger)
    except sqlite3.Error as error:
        _log.event(213, "end of an association could not be noted", level=logging.ERROR, why=str(error))


def handle_echo(event: evt.Event, admission: Admission, ledger: Ledger, answered: threading.Event) -> int:
    """Answer a C-ECHO (PS3.4 Annex A) after a look at the ledger, so that an answer means more than an open port.

    `answered` is set for our own check: pynetdicom answers success even if this function fails.
    """
    ledger.data_version()
    if event.assoc.requestor.ae_title.strip() == admission.self_check_aet:
        answered.set()
    return SUCCESS


def handle_store(event: evt.Event, inbox: Inbox, open_associations: OpenAssociations) -> int:
    """Take one instance in (PS3.4 Annex B.2.2); what is answered is true when it is answered."""
    request = event.request
    try:
        if request.AffectedSOPClassUID != event.context.abstract_syntax:
            raise MismatchError(
                "SOP Class of the request is not that of its presentation context",
                remedy="Ask the scanner's vendor: PS3.7 Section 9.1.1.1.2 wants both to be the same.",
            )
        outcome = inbox.add_instance(
            request.DataSet.getbuffer(),
            sop_uid=str(request.AffectedSOPInstanceUID),
            sop_class_uid=str(request.AffectedSOPClassUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            association_id=open_associations.noted(event.assoc),
            source_aet=event.assoc.requestor.ae_title.strip(),
        )
    except MsuError as error:
        status, why = status_of(error), f"{error.code} {error.message}"
        sop = short(str(request.AffectedSOPInstanceUID))
        _log.event(211, "instance not stored", level=logging.ERROR, sop=sop, status=f"0x{status:04X}", why=why)
        return status
    _log.event(210, "instance stored", level=logging.DEBUG, outcome=outcome.value)
    return SUCCESS


def _close(association: object, outcome: str, open_associations: OpenAssociations, ledger: Ledger) -> None:
    association_id = open_associations.remove(association)
    if association_id:
        close_association(ledger, association_id, outcome)
        _log.event(202, "association closed", association=association_id, outcome=outcome)


def _peer(association: Any) -> str:
    return f"{association.requestor.address}:{association.requestor.port}"
