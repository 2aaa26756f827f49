"""The result in at most 4 KB, because it goes first over the thinnest link: as a Basic Text SR and as JSON.

The SR (PS3.3 A.35.1) is a document of the study, so it carries the patient as all objects do. The JSON is a
notification: a pseudonymous reference to the study, never a name or a birth date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, BasicTextSRStorage, ExplicitVRLittleEndian

from edge_app.reports.header import MANUFACTURER, Kind, ReportInput, derived_uid, equipment, finish
from edge_app.reports.words import AID, SYNTHETIC, headline, lines, percent

__all__ = ["LIMIT_BYTES", "make_message", "message_json", "message_uid"]

LIMIT_BYTES = 4096
"""Of the data set, or of the JSON text: half a second at 64 kbit/s."""

_REPORT = codes.LN.CTHeadReport
_ENGLISH = Code("en", "RFC5646", "English")
_LINE_CHARACTERS = 200


def make_message(report: ReportInput) -> Dataset:
    """Return the Basic Text SR; what does not fit is left out from the end, never the headline or the disclaimer."""
    said = _lines(report)
    while True:
        ds = _document(report, said)
        if len(said) <= 1 or _size(ds) <= LIMIT_BYTES:
            return ds
        said = said[:-1]


def message_uid(study_uid: str, revision: int) -> str:
    """Return what an acknowledgement refers to: the SOP Instance UID of the SR that says the same."""
    return derived_uid(study_uid, Kind.MESSAGE.file_name, revision, 1)


def message_json(report: ReportInput) -> bytes:
    """Return the notification as UTF-8 JSON, at most `LIMIT_BYTES` long."""
    result = report.result
    source = report.used()[0]
    body: dict[str, Any] = {
        "schema": "msu-triage.result.1",
        "id": message_uid(result.study_uid, result.revision),
        "study_uid": result.study_uid,
        "patient_id": result.patient_id,
        "accession_number": str(source.get("AccessionNumber", "") or ""),
        "revision": result.revision,
        "revised": result.revision > 1,
        "created_utc": report.created.isoformat(),
        "status": result.status.value,
        "headline": headline(result),
        "verdict": result.verdict.value if result.verdict else None,
        "probabilities": result.probabilities,
        "model": None
        if result.model is None
        else {
            "name": result.model.name,
            "version": result.model.version,
            "sha256": result.model.sha256,
            "synthetic": result.model.synthetic,
        },
        "disclaimer": AID,
        "remarks": list(_lines(report)),
    }
    while len(content := json.dumps(body, ensure_ascii=False).encode()) > LIMIT_BYTES and body["remarks"]:
        body["remarks"].pop()
    return content


def _lines(report: ReportInput) -> tuple[str, ...]:
    """Return what is said after headline and disclaimer, most important first."""
    result = report.result
    said: list[str] = []
    if result.model and result.model.synthetic:
        said.append(SYNTHETIC)
    if result.probabilities is not None:
        score = f"Score haemorrhage {percent(result.probabilities['hemorrhage'])}"
        if not any("not assessed" in remark for remark in result.quality):
            score += f", ischaemic signs {percent(result.probabilities['ischemic'])}"
        said.append(score)
    said += lines(result, unvalidated_ischaemia=report.unvalidated_ischaemia)
    if result.model is not None:
        said.append(f"Model {result.model.name} {result.model.version} sha256 {result.model.sha256[:16]}")
    order = {row.sop_uid: number for number, row in enumerate(result.slices, 1)}
    key = [str(order[uid]) for uid in result.key_slices if uid in order]
    if key:
        said.append(f"Key slices, counted from the feet: {', '.join(key)} of {len(order)}")
    return tuple(line[:_LINE_CHARACTERS] for line in said)


def _document(report: ReportInput, said: Sequence[str]) -> Dataset:
    made = equipment(report, Kind.MESSAGE)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    ds.file_meta.MediaStorageSOPInstanceUID = UID(str(made["sop_instance_uid"]))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = BasicTextSRStorage
    ds.SOPInstanceUID = made["sop_instance_uid"]
    ds.SeriesInstanceUID = made["series_instance_uid"]
    ds.SeriesNumber = made["series_number"]
    ds.InstanceNumber = made["instance_number"]
    ds.Modality = "SR"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    ds.CompletionFlag = "COMPLETE"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.VerificationFlag = "UNVERIFIED"
    if report.result.revision > 1:
        ds.PredecessorDocumentsSequence = [_predecessor(report)]
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = [_code(_REPORT)]
    ds.ContinuityOfContent = "SEPARATE"
    ds.ContentSequence = [
        _coded("HAS CONCEPT MOD", codes.DCM.LanguageOfContentItemAndDescendants, _ENGLISH),
        _coded("HAS OBS CONTEXT", codes.DCM.ObserverType, codes.DCM.Device),
        _observer(),
        _text(codes.DCM.Conclusion, headline(report.result)),
        _text(codes.DCM.Comment, AID),
        *(_text(codes.DCM.Comment, line) for line in said),
    ]
    return finish(ds, report, Kind.MESSAGE)


def _predecessor(report: ReportInput) -> Dataset:
    """Return the reference to the message of the revision before (PS3.3 C.17.2, Table C.17-3)."""
    study, revision = report.result.study_uid, report.result.revision - 1
    instance, series, item = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = BasicTextSRStorage
    instance.ReferencedSOPInstanceUID = message_uid(study, revision)
    series.SeriesInstanceUID = derived_uid(study, Kind.MESSAGE.file_name)
    series.ReferencedSOPSequence = [instance]
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = [series]
    return item


def _code(code: Code) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return ds


def _item(relationship: str, value_type: str, name: Code) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = relationship, value_type
    ds.ConceptNameCodeSequence = [_code(name)]
    return ds


def _coded(relationship: str, name: Code, value: Code) -> Dataset:
    ds = _item(relationship, "CODE", name)
    ds.ConceptCodeSequence = [_code(value)]
    return ds


def _text(name: Code, value: str) -> Dataset:
    ds = _item("CONTAINS", "TEXT", name)
    ds.TextValue = value
    return ds


def _observer() -> Dataset:
    ds = _item("HAS OBS CONTEXT", "UIDREF", codes.DCM.DeviceObserverUID)
    ds.UID = derived_uid("device", MANUFACTURER)
    return ds


def _size(ds: Dataset) -> int:
    """Return the number of bytes that cross the wire: the data set without the file's head."""
    plain = Dataset(ds)
    buffer = BytesIO()
    plain.save_as(buffer, implicit_vr=False, little_endian=True)
    return len(buffer.getvalue())
