"""What happens on each event of an association. Short, and given their tools as arguments.

All run in the association's own thread, except that `on_aborted` runs in the thread that stops the server when it
was we who aborted.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

from pynetdicom import evt

from edge_app.core.errors import MsuError, StoreError
from edge_app.core.logs import get_logger, short
from edge_app.receiver.admission import Admission
from edge_app.receiver.status import SUCCESS, status_of
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger

__all__ = [
    "OpenAssociations",
    "handle_echo",
    "handle_store",
    "on_aborted",
    "on_accepted",
    "on_released",
    "on_requested",
]

_log = get_logger(__name__)


class OpenAssociations:
    """The ledger's ids of the associations that are open, by pynetdicom's object. Threads share it."""

    def __init__(self) -> None:
        self._ids: dict[object, str] = {}
        self._lock = threading.Lock()

    def add(self, association: object) -> str:
        """Give an association an id."""
        with self._lock:
            return self._ids.setdefault(association, uuid.uuid4().hex)

    def remove(self, association: object) -> str | None:
        """Forget an association; returns its id if it was open."""
        with self._lock:
            return self._ids.pop(association, None)

    def id_of(self, association: object) -> str:
        """Return an open association's id.

        Raises
        ------
        StoreError
            If it could not be noted when it was opened: nothing can then be acknowledged on it.
        """
        with self._lock:
            if association in self._ids:
                return self._ids[association]
        raise StoreError("the association is not in the ledger", remedy="Check the disk, then send again.")

    def __len__(self) -> int:
        with self._lock:
            return len(self._ids)


def on_requested(event: evt.Event, admission: Admission, open_associations: OpenAssociations) -> None:
    """Refuse a peer that may not come in, before anything is negotiated."""
    association = event.assoc
    request = association.requestor.primitive
    refusal = admission.refuse(
        calling_aet=request.calling_ae_title, called_aet=request.called_ae_title, others=len(open_associations)
    )
    if refusal:
        _log.event(203, "association refused", level=logging.WARNING, why=refusal.why, peer=_peer(association))
        association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
        association.kill()


def on_accepted(event: evt.Event, admission: Admission, open_associations: OpenAssociations, ledger: Ledger) -> None:
    """Note a peer that was let in; our own check is none."""
    association = event.assoc
    calling_aet = association.requestor.ae_title.strip()
    if calling_aet == admission.self_check_aet:
        return
    association_id = open_associations.add(association)
    try:
        ledger.open_association(association_id, calling_aet, admission.aet, _peer(association))
    except BaseException:
        open_associations.remove(association)
        raise
    _log.event(201, "association opened", association=association_id, calling_aet=calling_aet, peer=_peer(association))


def on_released(event: evt.Event, open_associations: OpenAssociations, ledger: Ledger) -> None:
    """Note that the sender is done."""
    _close(event.assoc, "released", open_associations, ledger)


def on_aborted(event: evt.Event, open_associations: OpenAssociations, ledger: Ledger) -> None:
    """Note that the transfer broke off; what was acknowledged stays."""
    _close(event.assoc, "aborted", open_associations, ledger)


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
        outcome = inbox.add_instance(
            request.DataSet.getbuffer(),
            sop_uid=str(request.AffectedSOPInstanceUID),
            sop_class_uid=str(request.AffectedSOPClassUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            association_id=open_associations.id_of(event.assoc),
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
        ledger.close_association(association_id, outcome)
        _log.event(202, "association closed", association=association_id, outcome=outcome)


def _peer(association: Any) -> str:
    return f"{association.requestor.address}:{association.requestor.port}"
