"""Storage Commitment SCP (PS3.4 Annex J): what a peer asks, and what we can promise.

"Yes" is said only for an instance whose bytes have just been read from the disk again and hash as they did when they
came in. What is promised: retention removes a study only after everything of it was delivered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pynetdicom import evt

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import HeaderError
from edge_app.core.logs import get_logger
from edge_app.store.commitment_requests import CommitmentRequest, add_request
from edge_app.store.intact import is_intact
from edge_app.store.ledger import Ledger

__all__ = ["PUSH_MODEL_INSTANCE", "Judgement", "event_information", "handle_n_action", "judge"]

PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance, the only one there is (PS3.4 Section J.3.5)."""

ITEMS_MAX = 20_000

# N-ACTION status (PS3.7 Section 10.1.4.1.10 and Annex C).
_SUCCESS, _NO_SUCH_INSTANCE, _INVALID_ARGUMENT, _NO_SUCH_ACTION = 0x0000, 0x0112, 0x0115, 0x0123
_OUT_OF_RESOURCES = 0x0213

# FailureReason (0008,1197), PS3.3 Section C.14.1.1.
PROCESSING_FAILURE, NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What we can promise of a request; `failed` has a FailureReason for each instance."""

    committed: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]


def handle_n_action(event: evt.Event, ledger: Ledger, wake: Callable[[str], None]) -> tuple[int, None]:
    """Take a request into the ledger (PS3.4 Section J.3.2); the report comes later, from another thread."""
    request = event.request
    if request.RequestedSOPInstanceUID != PUSH_MODEL_INSTANCE:
        return _NO_SUCH_INSTANCE, None
    if event.action_type != 1:
        return _NO_SUCH_ACTION, None
    try:
        transaction_uid, items = _read(event.action_information)
    except (*PYDICOM_ERRORS, HeaderError) as error:
        _log.event(215, "storage commitment not understood", level=logging.WARNING, why=type(error).__name__)
        return _INVALID_ARGUMENT, None
    calling_aet = event.assoc.requestor.ae_title.strip()
    if not add_request(ledger, transaction_uid, calling_aet, items):
        return _OUT_OF_RESOURCES, None
    wake(calling_aet)
    return _SUCCESS, None


def _read(information: Dataset) -> tuple[str, list[tuple[str, str]]]:
    transaction_uid = str(information.TransactionUID)
    references: Sequence[Any] = information.ReferencedSOPSequence
    items = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in references]
    if not transaction_uid or len(transaction_uid) > 64 or not 0 < len(items) <= ITEMS_MAX:
        raise HeaderError(
            "TransactionUID or ReferencedSOPSequence makes no sense", remedy="Ask the vendor of the sender."
        )
    return transaction_uid, items


def judge(ledger: Ledger, request: CommitmentRequest) -> Judgement:
    """Read every instance of a request from the disk again, and say which are safe."""
    committed, failed = [], []
    for sop_class_uid, sop_uid in request.items:
        reason = _problem_with(ledger, sop_class_uid, sop_uid)
        if reason:
            failed.append((sop_class_uid, sop_uid, reason))
        else:
            committed.append((sop_class_uid, sop_uid))
    return Judgement(tuple(committed), tuple(failed))


def _problem_with(ledger: Ledger, sop_class_uid: str, sop_uid: str) -> int:
    row = ledger.find_instance(sop_uid)
    if row is None:
        return NO_SUCH_OBJECT
    if row.sop_class_uid != sop_class_uid:
        return CLASS_CONFLICT
    # With two versions of an instance we cannot know which one the peer means.
    if sop_uid in ledger.conflicts(row.study_uid) or not is_intact(ledger.paths, row):
        return PROCESSING_FAILURE
    return 0


def event_information(transaction_uid: str, judgement: Judgement) -> tuple[int, Dataset]:
    """Return event type and data set of the N-EVENT-REPORT (PS3.4 Section J.3.3, Table J.3-2)."""
    report = Dataset()
    report.TransactionUID = transaction_uid
    if judgement.committed:
        report.ReferencedSOPSequence = [_reference(*item) for item in judgement.committed]
    if judgement.failed:
        report.FailedSOPSequence = [_reference(*item) for item in judgement.failed]
    return (2 if judgement.failed else 1), report


def _reference(sop_class_uid: str, sop_uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_uid
    if reason is not None:
        item.FailureReason = reason
    return item
