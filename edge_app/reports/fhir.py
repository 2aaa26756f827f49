"""The result as a FHIR R4 transaction: DiagnosticReport, Observations, ImagingStudy, Device, Provenance.

Every resource has an identifier derived from study and revision and is created only where none with it exists
(``ifNoneExist``), so that a transaction that is sent again after a break creates nothing twice. The patient is an
identifier: the receiving side knows the name, and this message need not.

The resources are built with the R4B classes of fhir.resources; none of the elements used here differs from R4.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fhir.resources.R4B.bundle import Bundle

from edge_app.core.types import StudyStatus
from edge_app.reports.findings import Finding, findings
from edge_app.reports.header import MANUFACTURER, ReportInput, derived_uid, software
from edge_app.reports.message import message_uid, notice_uid
from edge_app.reports.words import aid, headline, lines, who
from edge_app.store.notices import Notice

__all__ = ["make_notice", "make_transaction"]

_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
}
_CT_HEAD = {"system": _SYSTEMS["LN"], "code": "24725-4", "display": "CT Head"}
_RADIOLOGY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PROBABILITY = {"system": _SYSTEMS["DCM"], "code": "122157", "display": "Probability"}
_UIDS = "urn:dicom:uid"
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/communication-category"


def make_transaction(report: ReportInput) -> bytes:
    """Return the Bundle as UTF-8 JSON, checked against the R4B definitions.

    Raises
    ------
    ValueError
        If the result has something in it that FHIR does not allow.
    """
    resources = [
        _patient(report),
        _device(report),
        _imaging_study(report),
        *(_observation(report, finding) for finding in findings(report)),
        _diagnostic_report(report),
        _provenance(report),
    ]
    return _transaction(resources, report.issued or report.created)


def make_notice(report: ReportInput, notice: Notice) -> bytes:
    """Return the Bundle of a notice: a Communication about the report that the centre has or gets.

    Raises
    ------
    ValueError
        If there is something in it that FHIR does not allow.
    """
    resources = [_patient(report), _device(report), _communication(report, notice)]
    return _transaction(resources, datetime.fromisoformat(notice.at_utc.replace("Z", "+00:00")))


def _transaction(resources: list[dict[str, Any]], at: datetime) -> bytes:
    bundle = Bundle.model_validate(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "timestamp": at.isoformat(),
            "entry": [_entry(resource) for resource in resources],
        }
    )
    return bytes(bundle.model_dump_json(exclude_none=True), "utf-8")


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    kind, name = resource["resourceType"], resource.pop("fullUrl")
    request: dict[str, Any] = {"method": "POST", "url": kind}
    identifier = resource.get("identifier")
    if identifier:
        first = identifier[0]
        request["ifNoneExist"] = f"identifier={first['system']}|{_search_value(first['value'])}"
    return {"fullUrl": name, "resource": resource, "request": request}


def _search_value(text: str) -> str:
    """Return a value that a search takes as it is: a comma would be "or", an ampersand a further parameter.

    The first is FHIR's escape (Section 3.1.1.5 of R4), the second that of every URL.
    """
    return quote("".join(f"\\{c}" if c in "\\,|$" else c for c in text), safe=":/-._~")


def _name(report: ReportInput, *words: object) -> str:
    """Return the name by which the resources of one transaction refer to each other."""
    return uuid.uuid5(uuid.NAMESPACE_OID, _derived(report, *words)).urn


def _reference(report: ReportInput, *words: object) -> dict[str, str]:
    return {"reference": _name(report, *words)}


def _identifier(report: ReportInput, *words: object) -> list[dict[str, str]]:
    return [{"system": _UIDS, "value": f"urn:oid:{_derived(report, *words)}"}]


def _derived(report: ReportInput, *words: object) -> str:
    further = (f"edition {report.edition}",) if report.edition > 1 else ()
    return derived_uid(report.result.study_uid, "fhir", report.result.revision, *words, *further)


def _coded(concept: Any) -> dict[str, Any]:
    scheme = _SYSTEMS[concept.scheme_designator]
    return {"coding": [{"system": scheme, "code": concept.value, "display": concept.meaning}]}


def _patient(report: ReportInput) -> dict[str, Any]:
    source = report.used()[0]
    issuer = str(source.get("IssuerOfPatientID", "") or "")
    identifier: dict[str, Any] = {"system": "urn:msu-triage:patient-id", "value": report.result.patient_id or "unknown"}
    if issuer:
        identifier["assigner"] = {"display": issuer}
    if not report.result.patient_id:
        # Two patients without an identifier must not become one: this one is of the study alone.
        identifier = {"system": _UIDS, "value": f"urn:oid:{report.result.study_uid}", "use": "temp"}
    identifiers = [identifier]
    corrected = report.said.corrected
    if corrected is not None and corrected.patient_id:
        identifiers.insert(0, {"system": "urn:msu-triage:patient-id", "value": corrected.patient_id, "use": "official"})
        identifier.setdefault("use", "old")
    return {"resourceType": "Patient", "fullUrl": _name(report, "patient"), "identifier": identifiers}


def _device(report: ReportInput) -> dict[str, Any]:
    model = report.result.model
    versions = [{"type": {"text": "software"}, "value": software()}]
    if model is not None:
        versions.append({"type": {"text": "model"}, "value": f"{model.name} {model.version} sha256 {model.sha256}"})
    device: dict[str, Any] = {
        "resourceType": "Device",
        "fullUrl": _name(report, "device"),
        "identifier": [
            {"system": "urn:msu-triage:device", "value": f"{software()} {model.sha256[:16] if model else ''}".strip()}
        ],
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": "msu-triage", "type": "manufacturer-name"}],
        "version": versions,
    }
    if model is not None and model.synthetic:
        device["note"] = [{"text": "SYNTHETIC model, not for patients"}]
    return device


def _imaging_study(report: ReportInput) -> dict[str, Any]:
    result = report.result
    study: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "fullUrl": _name(report, "imaging"),
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{result.study_uid}"}],
        "status": "available",
        "subject": _reference(report, "patient"),
        "modality": [{"system": _SYSTEMS["DCM"], "code": "CT"}],
        "numberOfInstances": len(report.sources),
    }
    if result.series_uid:
        count = sum(source.get("SeriesInstanceUID") == result.series_uid for source in report.sources)
        study["series"] = [
            {
                "uid": result.series_uid,
                "modality": {"system": _SYSTEMS["DCM"], "code": "CT"},
                "numberOfInstances": count,
                "description": "analysed by the AI",
            }
        ]
    return study


def _observation(report: ReportInput, finding: Finding) -> dict[str, Any]:
    result = report.result
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "fullUrl": _name(report, "observation", finding.label),
        "identifier": _identifier(report, "observation", finding.label),
        "status": "preliminary",
        "code": _coded(finding.code),
        "subject": _reference(report, "patient"),
        "device": _reference(report, "device"),
        "derivedFrom": [_reference(report, "imaging")],
        "issued": report.created.isoformat(),
        "note": [{"text": aid(report.said)}],
    }
    if result.verdict is None:
        why = "error" if result.status is StudyStatus.FAILED else "not-performed"
        observation["dataAbsentReason"] = {
            "coding": [{"system": _ABSENT, "code": why}],
            "text": "; ".join(f"{reason.code} {reason.text}" for reason in result.reasons) or "no AI result",
        }
        return observation
    observation["valueCodeableConcept"] = _coded(finding.value)
    component = []
    if result.probabilities is not None:
        component.append(_percentage({"coding": [_PROBABILITY]}, result.probabilities[finding.label]))
    point = report.facts.operating_points.get(finding.label) if report.facts else None
    if point is not None:
        component.append(_percentage({"text": "not detected below"}, point[0]))
        component.append(_percentage({"text": "suspected from"}, point[1]))
    if component:
        observation["component"] = component
    return observation


def _percentage(code: dict[str, Any], share: float) -> dict[str, Any]:
    quantity = {"value": round(100 * share, 1), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    return {"code": code, "valueQuantity": quantity}


def _diagnostic_report(report: ReportInput) -> dict[str, Any]:
    result = report.result
    said = [headline(result), aid(report.said), *lines(report)]
    return {
        "resourceType": "DiagnosticReport",
        "fullUrl": _name(report, "report"),
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{_message_uid(report)}"}],
        "status": "preliminary",
        "category": [{"coding": [_RADIOLOGY]}],
        "code": {"coding": [_CT_HEAD]},
        "subject": _reference(report, "patient"),
        "issued": (report.issued or report.created).isoformat(),
        "result": [_reference(report, "observation", finding.label) for finding in findings(report)],
        "imagingStudy": [_reference(report, "imaging")],
        "conclusion": ". ".join(said),
        # No code: "not detected" of the haemorrhage alone would stand for the whole, also beside ischaemic signs.
        "conclusionCode": [{"text": headline(result)}],
    }


def _message_uid(report: ReportInput) -> str:
    return message_uid(report.result.study_uid, report.result.revision, report.edition)


def _communication(report: ReportInput, notice: Notice) -> dict[str, Any]:
    """Return that the crew asks for a reader (SCREEN.md R77)."""
    about = []
    if report.result.revision:
        about = [{"identifier": {"system": _UIDS, "value": f"urn:oid:{_message_uid(report)}"}}]
    return {
        "resourceType": "Communication",
        "fullUrl": _name(report, "communication", notice.crew_id),
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{notice_uid(notice.study_uid, notice.crew_id)}"}],
        "status": "in-progress",
        "category": [{"coding": [{"system": _CATEGORIES, "code": "notification"}]}],
        "priority": "stat",
        "subject": _reference(report, "patient"),
        **({"about": about} if about else {}),
        "sent": notice.at_utc,
        "sender": _reference(report, "device"),
        "payload": [
            {"contentString": words}
            for words in (f"{notice.by or 'crew'} asks for a reader", headline(report.result), aid(report.said))
        ],
    }


def _provenance(report: ReportInput) -> dict[str, Any]:
    provenance: dict[str, Any] = {
        "resourceType": "Provenance",
        "fullUrl": _name(report, "provenance"),
        "target": [_reference(report, "report")],
        "recorded": (report.issued or report.created).isoformat(),
        "agent": [
            {"who": _reference(report, "device")},
            *(
                {"type": {"text": "reviewer" if reading.reviews else "reader"}, "who": {"display": who(reading)}}
                for reading in report.said.readings
            ),
        ],
        "entity": [{"role": "source", "what": _reference(report, "imaging")}],
    }
    before = report.predecessor
    if before is not None:
        replaced = message_uid(before.study_uid, before.revision, before.edition)
        provenance["entity"].append(
            {"role": "revision", "what": {"identifier": {"system": _UIDS, "value": f"urn:oid:{replaced}"}}}
        )
    return provenance
