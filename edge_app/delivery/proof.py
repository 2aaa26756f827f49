"""Asking a destination whether it has what was sent: Storage Commitment, else what it says that it holds."""

from __future__ import annotations

import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

from edge_app.core.clock import MonotonicClock, monotonic_s, utc_now
from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError
from edge_app.core.logs import get_logger, short
from edge_app.delivery.address import Address, Protocol
from edge_app.delivery.calls import Calls
from edge_app.delivery.dimse import associate
from edge_app.delivery.pace import Pace
from edge_app.delivery.retry import Backoff
from edge_app.delivery.web import WebLink
from edge_app.store import proofs
from edge_app.store.ledger import Ledger
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Prover", "listen_for_reports"]

LOOKS = 4
"""So often a destination may not name an object before it counts as lost: some index late."""

_NO_SUCH_INSTANCE = 0x0112
_PENDING = (0xFF00, 0xFF01)

_log = get_logger(__name__)


class Prover:
    """Proves what a destination was sent, study by study, when nothing is left to send to it.

    `before` is called before an association is opened; `pace` holds the rate of what is sent.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        address: Address,
        *,
        go_on: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
        before: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._address = address
        self._go_on = go_on
        self._tls = tls
        self._before = before
        self._pace = pace
        self._clock = clock
        self._backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
        self._looks: defaultdict[str, int] = defaultdict(int)
        self._until_s: defaultdict[str, float] = defaultdict(float)
        self._mute = False
        """The destination offers no way to ask."""

    def step(self) -> bool:
        """Ask about one study that is due; returns False when there is none."""
        if self._mute or not self._address.protocol.takes_images:
            return False
        waiting = proofs.open_commitments(self._ledger, self._address.text)
        for study_uid, objects in proofs.unproved(self._ledger, self._address.text).items():
            if self._clock() < self._until_s[study_uid] or not self._go_on():
                continue
            patient = study_uid in waiting and _age_s(waiting[study_uid]) < self._settings.commitment_patience_s
            if patient:
                continue
            self._looks[study_uid] += 1
            self._until_s[study_uid] = self._clock() + self._backoff.pause_s(self._looks[study_uid])
            try:
                self._ask(study_uid, objects, commitment=self._settings.commitment and study_uid not in waiting)
            except NetworkError as error:
                _log.event(409, "delivery not proved yet", study=short(study_uid), problem=error.message)
            return True
        return False

    def _ask(self, study_uid: str, objects: Mapping[str, str], *, commitment: bool) -> None:
        held: set[str] | None
        if self._address.protocol is Protocol.STOW:
            with WebLink(self._address, self._settings, self._go_on, tls=self._tls) as link:
                held = _held_by_web(link, study_uid)
        else:
            held = self._ask_dicom(study_uid, objects, commitment=commitment)
        if held is None:
            return
        proofs.note_proof(self._ledger, self._address.text, held & set(objects), "found")
        missing = set(objects) - held
        if missing and self._looks[study_uid] >= LOOKS:
            self._looks[study_uid] = 0
            proofs.note_lost(self._ledger, self._address.text, study_uid, missing)

    def _ask_dicom(self, study_uid: str, objects: Mapping[str, str], *, commitment: bool) -> set[str] | None:
        """Ask for commitment, or return what the peer holds; None if the answer comes by another way, or never."""
        self._before()
        calls = Calls(self._go_on, self._pace)
        answered = threading.Event()

        def handle_event_report(event: evt.Event) -> tuple[int, None]:
            _take_report(self._ledger, event)
            answered.set()
            return 0x0000, None

        contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
        if commitment:
            contexts.append(build_context(StorageCommitmentPushModel))
        with associate(
            self._address,
            self._settings,
            contexts,
            calls,
            tls=self._tls,
            handlers=[(evt.EVT_N_EVENT_REPORT, handle_event_report)],
        ) as assoc:
            agreed = {context.abstract_syntax for context in assoc.accepted_contexts}
            if StorageCommitmentPushModel in agreed:
                if self._request(calls, assoc, study_uid, objects):
                    calls.run(lambda: answered.wait(self._settings.commitment_wait_s))
                    return None
            elif StudyRootQueryRetrieveInformationModelFind not in agreed:
                _log.event(410, "destination cannot be asked what it holds", destination=self._address.text)
                self._mute = True
                return None
            if StudyRootQueryRetrieveInformationModelFind not in agreed:
                return None
            return calls.run(lambda: _held(assoc, study_uid))

    def _request(self, calls: Calls, assoc: Any, study_uid: str, objects: Mapping[str, str]) -> bool:
        request = Dataset()
        request.TransactionUID = generate_uid(prefix=None)
        request.ReferencedSOPSequence = []
        for uid, sop_class_uid in objects.items():
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, uid
            request.ReferencedSOPSequence.append(item)
        proofs.request_commitment(self._ledger, str(request.TransactionUID), self._address.text, study_uid)
        status, _ = calls.run(
            lambda: assoc.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        )
        return "Status" in status and status.Status == 0x0000


def _age_s(at_utc: str) -> float:
    return (utc_now() - datetime.fromisoformat(at_utc.replace("Z", "+00:00"))).total_seconds()


def _held_by_web(link: WebLink, study_uid: str) -> set[str]:
    """Return the SOP Instance UIDs of a study at a DICOMweb server (QIDO-RS, PS3.18 Section 10.6)."""
    found = link.get_json(f"/studies/{study_uid}/instances?includefield=00080018&limit=100000") or []
    try:
        return {str(instance["00080018"]["Value"][0]) for instance in found}
    except (KeyError, IndexError, TypeError) as error:
        raise NetworkError("the answer is no list of instances", remedy="Check the destination's address.") from error


def _held(assoc: Any, study_uid: str) -> set[str]:
    """Return the SOP Instance UIDs of a study at a DICOM peer (C-FIND by series and image, PS3.4 Section C.6.2)."""
    held: set[str] = set()
    for series in _find(assoc, "SERIES", study_uid, SeriesInstanceUID=""):
        uid = str(series.get("SeriesInstanceUID", ""))
        if uid:
            images = _find(assoc, "IMAGE", study_uid, SeriesInstanceUID=uid, SOPInstanceUID="")
            held |= {str(image.get("SOPInstanceUID", "")) for image in images}
    return held


def _find(assoc: Any, level: str, study_uid: str, **keys: str) -> list[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = study_uid
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    found = []
    for status, answer in assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        if "Status" not in status:
            raise NetworkError("the connection broke while asking", remedy="It is tried again by itself.")
        if status.Status in _PENDING and answer is not None:
            found.append(answer)
        elif status.Status != 0x0000:
            raise NetworkError(f"C-FIND was answered 0x{status.Status:04X}", remedy="It is tried again by itself.")
    return found


def _take_report(ledger: Ledger, event: evt.Event) -> None:
    report = event.event_information
    committed = _referenced(report.get("ReferencedSOPSequence"))
    failed = report.get("FailedSOPSequence") or ()
    missing = [str(item.ReferencedSOPInstanceUID) for item in failed if item.get("FailureReason") == _NO_SUCH_INSTANCE]
    known = proofs.answer_commitment(ledger, str(report.get("TransactionUID", "")), committed, missing)
    _log.event(411, "storage commitment reported", known=known, committed=len(committed), failed=len(failed))


def _referenced(items: Collection[Any] | None) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in items or ()]


@contextmanager
def listen_for_reports(ledger: Ledger, settings: DeliverySettings) -> Iterator[int | None]:
    """Take commitment reports that come on associations of their own; yields the port, or None if it is not wanted.

    Raises
    ------
    NetworkError
        If the port is taken.
    """
    if not (settings.commitment and settings.commitment_port):
        yield None
        return

    def handle_event_report(event: evt.Event) -> tuple[int, None]:
        _take_report(ledger, event)
        return 0x0000, None

    ae = AE(ae_title=settings.calling_aet)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.require_called_aet = True
    # The one that calls is the SCP of the service: it asks for that role (PS3.7 Section D.3.3.4).
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    try:
        server = ae.start_server(
            ("0.0.0.0", settings.commitment_port),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, handle_event_report)],
        )
    except OSError as error:
        raise NetworkError(
            f"delivery.commitment_port = {settings.commitment_port} cannot be listened on: {error}",
            remedy="Choose another port, and tell the destination.",
        ) from error
    try:
        yield settings.commitment_port
    finally:
        server.shutdown()
