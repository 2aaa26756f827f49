"""Result to objects for the centre: 4 KB message, SR, key objects, presentation state, result page, FHIR."""

from __future__ import annotations

from edge_app.reports.header import Kind, ModelFacts, ReportInput
from edge_app.reports.message import message_uid, notice_uid
from edge_app.reports.write import (
    FHIR_FILE,
    HL7_FILE,
    MESSAGE_FILE,
    make_documents,
    make_reports,
    report_files,
    write_message,
    write_notice,
    write_reports,
)

__all__ = [
    "FHIR_FILE",
    "HL7_FILE",
    "MESSAGE_FILE",
    "Kind",
    "ModelFacts",
    "ReportInput",
    "make_documents",
    "make_reports",
    "message_uid",
    "notice_uid",
    "report_files",
    "write_message",
    "write_notice",
    "write_reports",
]
