"""Modality Worklist SCU (PS3.4 Annex K): which order does a study belong to. Optional, and never in the way.

A thread of its own asks the hospital now and then and looks at studies that came in; whatever happens to it or to the
link, reception does not notice. Without an order a study is a study all the same.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind

from edge_app.core import pausing
from edge_app.core.clock import monotonic_s, utc_now
from edge_app.core.config import WorklistSettings
from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import ConfigError, NetworkError
from edge_app.core.logs import get_logger
from edge_app.receiver.tls import worklist_context
from edge_app.store.ledger import Ledger
from edge_app.store.orders import Order, StudyIdentity, find_order, put_match, put_orders, unmatched
from edge_app.store.rows import InstanceRow

__all__ = ["WorklistWatch", "fetch_orders", "query"]

LOOK_S = 1.0
"""How often studies that came in are looked at."""

_PENDING = frozenset((0xFF00, 0xFF01))
_TEXT_MAX = 256

_log = get_logger(__name__)


class WorklistWatch:
    """Asks for orders and matches studies, from its own thread, for the time of a ``with`` block.

    Parameters
    ----------
    fetch
        Asks the worklist; tests give their own.

    Raises
    ------
    ConfigError
        If the worklist is to be asked over TLS and a certificate or key cannot be read.
    """

    def __init__(
        self,
        settings: WorklistSettings,
        ledger: Ledger,
        fetch: Callable[[WorklistSettings], list[Order]] | None = None,
    ) -> None:
        self._settings, self._ledger = settings, ledger
        if settings.secure:
            worklist_context(settings)  # what is wrong with it is said at the start
        self._fetch = fetch or fetch_orders
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worklist", daemon=True)
        self._asked_s = float("-inf")
        self._waiting: list[str] = []

    def __enter__(self) -> WorklistWatch:
        """Start, if a worklist is configured."""
        if self._settings.peer:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a question that is under way is left to its time-out."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except sqlite3.Error as error:
                _log.event(219, "orders cannot be kept", level=logging.ERROR, why=str(error))
            self._stop.wait(LOOK_S)

    def _step(self) -> None:
        is_new = False
        if monotonic_s() - self._asked_s >= self._settings.period_s:
            self._asked_s = monotonic_s()
            is_new = self._ask()
        waiting = [row.study_uid for row in unmatched(self._ledger)]
        if is_new or waiting != self._waiting:
            self._match()
            waiting = [row.study_uid for row in unmatched(self._ledger)]
        self._waiting = waiting

    def _ask(self) -> bool:
        try:
            orders = self._fetch(self._settings)
        except (NetworkError, ConfigError) as error:  # a certificate that is just being renewed, say
            _log.event(218, "worklist not reached", level=logging.WARNING, why=error.message)
            return False
        put_orders(self._ledger, orders)
        _log.event(217, "worklist read", level=logging.DEBUG, orders=len(orders))
        return bool(orders)

    def _match(self) -> None:
        for row in unmatched(self._ledger):
            match = find_order(self._ledger, _identity_of(self._ledger, row))
            if match:
                put_match(self._ledger, row.study_uid, match)


def fetch_orders(settings: WorklistSettings) -> list[Order]:
    """Ask the worklist for today's orders.

    Raises
    ------
    NetworkError
        If it cannot be reached, refuses, or answers with a failure.
    ConfigError
        If it is to be asked over TLS and a certificate or key cannot be read.
    """
    aet, _, address = settings.peer.rpartition("://")[2].rpartition("@")
    host, _, port = address.rpartition(":")
    ae = AE(ae_title=settings.calling_aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = settings.timeout_s
    ae.add_requested_context(ModalityWorklistInformationFind)
    host = host.strip("[]")
    tls = (worklist_context(settings), host) if settings.secure else None
    association = ae.associate(
        host, int(port), ae_title=aet, tls_args=tls, evt_handlers=[(evt.EVT_CONN_OPEN, pausing.on_connection)]
    )
    if not association.is_established or not association.accepted_contexts:
        raise NetworkError("the worklist does not let us in", remedy="Check worklist.peer and the AE titles there.")
    try:
        orders: list[Order] = []
        for status, answer in association.send_c_find(query(settings), ModalityWorklistInformationFind):
            code = status.get("Status")
            if code in _PENDING and answer is not None:
                orders += _orders_of(answer)
                if len(orders) >= settings.orders_max:
                    break
            elif code != 0x0000:
                raise NetworkError(
                    f"the worklist answered {'nothing' if code is None else f'0x{code:04X}'}",
                    remedy="Ask whoever runs the worklist; it is asked again by itself.",
                )
        return orders[: settings.orders_max]
    finally:
        if association.is_established:
            association.abort() if len(orders) >= settings.orders_max else association.release()


def query(settings: WorklistSettings, *, today: datetime | None = None) -> Dataset:
    """Return the identifier of the C-FIND request (PS3.4 Table K.6-1)."""
    step = Dataset()
    step.ScheduledStationAETitle = settings.station_aet
    step.ScheduledProcedureStepStartDate = f"{(today or utc_now()).astimezone():%Y%m%d}"
    step.ScheduledProcedureStepStartTime = ""
    step.Modality = settings.modality
    step.ScheduledProcedureStepID = ""
    step.ScheduledProcedureStepDescription = ""
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (
        "AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "RequestedProcedureID", "RequestedProcedureDescription",
    ):  # fmt: skip
        setattr(identifier, keyword, "")
    identifier.ScheduledProcedureStepSequence = [step]
    return identifier


def _orders_of(answer: Dataset) -> list[Order]:
    """Return the orders in one answer; what cannot be read is left out."""
    try:
        return [_order(answer, step) for step in answer.get("ScheduledProcedureStepSequence", [])]
    except (*PYDICOM_ERRORS, InvalidDicomError):
        return []


def _order(answer: Dataset, step: Dataset) -> Order:
    texts = {
        "accession_number": _text(answer, "AccessionNumber"),
        "patient_id": _text(answer, "PatientID"),
        "patient_name": _text(answer, "PatientName"),
        "patient_birth_date": _text(answer, "PatientBirthDate"),
        "patient_sex": _text(answer, "PatientSex"),
        "study_uid": _text(answer, "StudyInstanceUID"),
        "description": _text(answer, "RequestedProcedureDescription")
        or _text(step, "ScheduledProcedureStepDescription"),
        "scheduled_at": _text(step, "ScheduledProcedureStepStartDate") + _text(step, "ScheduledProcedureStepStartTime"),
    }
    own = _text(answer, "RequestedProcedureID"), _text(step, "ScheduledProcedureStepID")
    # The ids are the hospital's to choose, and some leave them out.
    key = "\0".join((*own, texts["accession_number"], texts["patient_id"], texts["study_uid"]))
    return Order(step_id=hashlib.sha256(key.encode()).hexdigest()[:32], **texts)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip("\0 ")[:_TEXT_MAX]


def _identity_of(ledger: Ledger, row: InstanceRow) -> StudyIdentity:
    """Read patient and accession of a study from the header of an image; what cannot be read stays empty."""
    known = StudyIdentity(row.study_uid, "", row.patient_id, "", "")
    if row.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return known  # to read its header is to inflate it whole, and it may be a bomb
    keywords = ["SpecificCharacterSet", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate"]
    try:
        dataset = pydicom.dcmread(ledger.paths.root / row.path, stop_before_pixels=True, specific_tags=keywords)
        accession, patient, name, birth = (_text(dataset, keyword) for keyword in keywords[1:])
    except (*PYDICOM_ERRORS, InvalidDicomError):
        return known
    return StudyIdentity(row.study_uid, accession, patient, name, birth)
