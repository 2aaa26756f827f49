"""The result as an HL7 v2.5.1 message, ORU^R01, for a hospital whose record system takes nothing newer.

It identifies the patient as the DICOM objects do. Its status never says final: a first answer is P(reliminary), one
that supersedes another C(orrection), under the same filler order number. Each observation stays P: there, C would
replace a final one (tables 0123 and 0085). What a synthetic model says goes out as T(raining), not P(roduction).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from edge_app.core.types import Verdict
from edge_app.reports.findings import Finding, findings
from edge_app.reports.header import ReportInput, derived_uid, software
from edge_app.reports.message import message_lines, message_uid
from edge_app.reports.words import aid, headline

__all__ = ["control_id", "make_oru"]

_SENDER = "MSU-TRIAGE"
_CT_HEAD = "24725-4^CT Head Report^LN"
_STUDY = "110180^Study Instance UID^DCM"
_CONCLUSION, _COMMENT = "121077^Conclusion^DCM", "121106^Comment^DCM"
_PROBABILITY = "122157^Probability^DCM"
_LONGEST_ID = 20
"""Of MSH-10 (Section 2.14.9.10)."""


def make_oru(report: ReportInput) -> bytes:
    """Return the message as UTF-8, checked against the definitions of 2.5.1, its segments ended by carriage returns.

    Raises
    ------
    ValueError
        If the result has something in it that HL7 does not allow.
    """
    try:
        message = Message("ORU_R01", version="2.5.1", validation_level=VALIDATION_LEVEL.TOLERANT)
        _head(message, report)
        result = message.add_group("oru_r01_patient_result")
        _patient(result.add_group("oru_r01_patient").add_segment("pid"), report)
        order = result.add_group("oru_r01_order_observation")
        _request(order.add_segment("obr"), report)
        for number, values in enumerate(_observations(report), 1):
            obx = order.add_group("oru_r01_observation").add_segment("obx")
            obx.obx_1 = str(number)
            for field, value in values.items():
                setattr(obx, f"obx_{field}", value)
        message.validate()
    except HL7apyException as error:
        raise ValueError(f"no HL7 message: {error}") from error
    return bytes(message.to_er7(), "utf-8") + b"\r"


def control_id(report: ReportInput) -> str:
    """Return MSH-10: sent again after a break, it is the same message."""
    return _short(message_uid(report.result.study_uid, report.result.revision, report.edition))


def _short(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:_LONGEST_ID].upper()


def _head(message: Any, report: ReportInput) -> None:
    synthetic = report.result.model is not None and report.result.model.synthetic
    msh = message.msh
    msh.msh_3 = _SENDER
    msh.msh_7 = _moment(report.issued or report.created)
    msh.msh_9 = "ORU^R01^ORU_R01"
    msh.msh_10 = control_id(report)
    msh.msh_11 = "T" if synthetic else "P"
    msh.msh_12 = "2.5.1"
    msh.msh_15, msh.msh_16 = "NE", "AL"
    msh.msh_18 = "UNICODE UTF-8"


def _patient(pid: Any, report: ReportInput) -> None:
    source, corrected = report.used()[0], report.said.corrected
    issuer = _escaped(_text(source, "IssuerOfPatientID"))
    known = [(report.result.patient_id, issuer)]
    if corrected is not None and corrected.patient_id:
        known.insert(0, (corrected.patient_id, ""))
    for number, authority in known:
        if number:
            pid.add_field("pid_3").value = f"{_escaped(number)}^^^{authority}".rstrip("^")
    if corrected is not None:
        # Name and birth date in the images are another one's, or nobody's.
        pid.pid_5 = _name(corrected.patient_name)
        pid.pid_7 = _date(corrected.patient_birth_date)
        return
    pid.pid_5 = _name(_text(source, "PatientName"))
    pid.pid_7 = _date(_text(source, "PatientBirthDate"))
    pid.pid_8 = _escaped(_text(source, "PatientSex")) or "U"


def _text(source: Dataset, keyword: str) -> str:
    value = source.get(keyword)
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")


def _name(text: str) -> str:
    """Return a DICOM person name as XPN: the first of its groups that says a name, the alphabetic one if there is one.

    Prefix and suffix stand the other way round.
    """
    group = next((group for group in text.split("=") if group.strip("^ ")), "")
    family, given, middle, prefix, suffix = (*group.split("^"), *5 * [""])[:5]
    return "^".join(_escaped(part) for part in (family, given, middle, suffix, prefix)).rstrip("^")


def _date(text: str) -> str:
    digits = text.replace("-", "").replace(".", "")
    return digits if len(digits) == 8 and digits.isdigit() else ""


def _request(obr: Any, report: ReportInput) -> None:
    source = report.used()[0]
    obr.obr_1 = "1"
    obr.obr_3 = _short(derived_uid(report.result.study_uid, "hl7"))
    obr.obr_4 = _CT_HEAD
    moment = _text(source, "StudyDate") + _text(source, "StudyTime")[:6]
    obr.obr_7 = moment if moment.isdigit() and len(moment) in (8, 12, 14) else ""
    obr.obr_18 = _escaped(_text(source, "AccessionNumber"))
    obr.obr_22 = _moment(report.issued or report.created)
    obr.obr_24 = "RAD"
    obr.obr_25 = "C" if report.is_revised else "P"


def _observations(report: ReportInput) -> list[dict[int, str]]:
    """Return the OBX segments as {number of the field: value}; what belongs together has one sub-ID (OBX-4)."""
    said = [
        {2: "ST", 3: _STUDY, 5: report.result.study_uid, 11: "P"},
        {2: "TX", 3: _CONCLUSION, 5: _escaped(headline(report.result)), 11: "P"},
    ]
    for number, finding in enumerate(findings(report), 1):
        said += _finding(report, finding, str(number))
    for line in (aid(report.said), *message_lines(report), f"PRELIMINARY, made by {software()}"):
        said.append({2: "TX", 3: _COMMENT, 5: _escaped(line), 11: "P"})
    for number, values in enumerate((values for values in said if values[3] == _COMMENT), 1):
        values[4] = str(number)
    return said


def _finding(report: ReportInput, finding: Finding, sub_id: str) -> list[dict[int, str]]:
    result = report.result
    values = {
        2: "CWE",
        3: _coded(finding.code),
        4: sub_id,
        5: _coded(finding.value),
        11: "P" if result.verdict else "X",
    }
    if result.verdict is None or result.probabilities is None:
        return [values]
    if finding.label == "hemorrhage" and result.verdict is Verdict.HEMORRHAGE:
        values[8] = "A"
    percent = f"{100 * result.probabilities[finding.label]:.1f}"
    return [values, {2: "NM", 3: _PROBABILITY, 4: sub_id, 5: percent, 6: "%^percent^UCUM", 11: "P"}]


def _coded(concept: Any) -> str:
    return f"{concept.value}^{_escaped(concept.meaning)}^{concept.scheme_designator}"


def _moment(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")


_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}


def _escaped(text: str) -> str:
    """Return text as it may stand in a component (Section 2.7); what would end a line becomes a blank."""
    plain = " ".join(text.split())
    return "".join(_ESCAPES.get(character, character) for character in plain)
