"""Audit records as DICOM audit messages (PS3.15 Section A.5), framed for syslog (RFC 5424) over TLS (RFC 5425).

A message names the study, never the patient. With it go the record's number and hash in our own chain, so that the
trail on board and the one at the hospital can be held against each other.
"""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["AuditRecord", "audit_message", "syslog_frame"]

_PRIORITY = 10 * 8 + 5
"""Facility security/authorisation, severity notice (PS3.15 Section A.6)."""

_MEANINGS = {
    "110100": "Application Activity",
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110105": "DICOM Study Deleted",
    "110106": "Export",
    "110107": "Import",
    "110113": "Security Alert",
}
_EVENTS = {
    "association_opened": ("110102", "E", 0),
    "association_closed": ("110104", "E", 0),
    "association_refused": ("110113", "E", 4),
    "result": ("110103", "C", 0),
    "delivery_sent": ("110104", "R", 0),
    "delivery_failed": ("110104", "R", 8),
    "delivery_lost": ("110104", "R", 8),
    "storage_committed": ("110104", "R", 0),
    "study_removed": ("110105", "D", 0),
    "conflict": ("110113", "E", 4),
    "quarantined": ("110113", "E", 4),
    "case_exported": ("110106", "R", 0),
    "outcomes_imported": ("110107", "C", 0),
    "screen_shown": ("110103", "R", 0),
}
"""Event, action and outcome (PS3.15 Section A.5.3) of our own events; what is not here is an application's activity."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record of the trail; `study_uid` is "" where it is about no study."""

    seq: int
    at_utc: str
    process: str
    event: str
    study_uid: str
    hash: str


def audit_message(record: AuditRecord, source_id: str) -> bytes:
    """Return the message as UTF-8 XML; `source_id` says which vehicle it is."""
    event_id, action, outcome = _EVENTS.get(record.event, ("110100", "E", 0))
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=record.at_utc,
        EventOutcomeIndicator=str(outcome),
    )
    _coded(event, "EventID", event_id, "DCM", _MEANINGS[event_id])
    _coded(event, "EventTypeCode", record.event, "99MSUTRIAGE", record.event.replace("_", " "))
    participant = SubElement(root, "ActiveParticipant", UserID=f"{source_id}/{record.process}", UserIsRequestor="true")
    _coded(participant, "RoleIDCode", "110150", "DCM", "Application")
    SubElement(root, "AuditSourceIdentification", AuditSourceID=source_id)
    if record.study_uid:
        study = _participant(root, record.study_uid, "2", "3")
        _coded(study, "ParticipantObjectIDTypeCode", "110180", "DCM", "Study Instance UID")
    chain = _participant(root, str(record.seq), "2", "13")
    _coded(chain, "ParticipantObjectIDTypeCode", "12", "RFC-3881", "URI")
    value = base64.b64encode(record.hash.encode()).decode()
    SubElement(chain, "ParticipantObjectDetail", type="msu-triage record hash", value=value)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def syslog_frame(record: AuditRecord, source_id: str, process_id: int) -> bytes:
    """Return the message with its syslog header, and its length before it (RFC 5425 Section 4.3)."""
    header = f"<{_PRIORITY}>1 {record.at_utc} {socket.gethostname() or '-'} msu-triage {process_id} DICOM+RFC3881 - "
    content = header.encode("ascii", "replace") + b"\xef\xbb\xbf" + audit_message(record, source_id)
    return str(len(content)).encode() + b" " + content


def _coded(parent: Element, name: str, code: str, system: str, meaning: str) -> None:
    SubElement(parent, name, {"csd-code": code, "codeSystemName": system, "originalText": meaning})


def _participant(parent: Element, identifier: str, kind: str, role: str) -> Element:
    return SubElement(
        parent,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
