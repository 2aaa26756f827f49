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

from edge_app.reports.header import (
    MANUFACTURER,
    Kind,
    ReportInput,
    derived_uid,
    equipment,
    finish,
    instance_uid,
)
from edge_app.reports.words import SYNTHETIC, aid, headline, lines, minute, percent
from edge_app.store.editions import Edition
from edge_app.store.notices import Notice

__all__ = ["LIMIT_BYTES", "make_message", "message_json", "message_lines", "message_uid", "notice_uid"]

LIMIT_BYTES = 4096
"""Of the data set, or of the JSON text: half a second at 64 kbit/s."""

_REPORT = codes.LN.CTHeadReport
_ENGLISH = Code("en", "RFC5646", "English")
_LINE_CHARACTERS = 200


def make_message(report: ReportInput, notice: Notice | None = None) -> Dataset:
    """Return the Basic Text SR; what does not fit is left out from the end, never the headline or the disclaimer.

    With a notice it says first that the crew asks for a reader, and is an instance of its own.
    """
    said = message_lines(report)
    while True:
        ds = _document(report, notice, said)
        if len(said) <= 1 or _size(ds) <= LIMIT_BYTES:
            return ds
        said = said[:-1]


def message_uid(study_uid: str, revision: int, edition: int = 1) -> str:
    """Return what an acknowledgement refers to: the SOP Instance UID of the SR that says the same."""
    return instance_uid(study_uid, Kind.MESSAGE, revision, edition)


def notice_uid(study_uid: str, crew_id: int) -> str:
    """Return the same for a notice."""
    return derived_uid(study_uid, Kind.NOTICE.file_name, crew_id)


def message_json(report: ReportInput, notice: Notice | None = None) -> bytes:
    """Return the notification as UTF-8 JSON, at most `LIMIT_BYTES` long."""
    result, said = report.result, report.said
    source = report.used()[0]
    own = message_uid(result.study_uid, result.revision, report.edition)
    before = None if notice else report.predecessor
    corrected = said.corrected
    body: dict[str, Any] = {
        "schema": "msu-triage.result.1",
        "id": notice_uid(notice.study_uid, notice.crew_id) if notice else own,
        "about": own if notice and result.revision else None,
        "crew_asks": {"by": notice.by, "at_utc": notice.at_utc} if notice else None,
        "study_uid": result.study_uid,
        "patient_id": corrected.patient_id if corrected and corrected.patient_id else result.patient_id,
        "patient_id_in_images": result.patient_id,
        "identity": "corrected" if corrected else "confirmed" if said.confirmed_by else "unconfirmed",
        "accession_number": str(source.get("AccessionNumber", "") or ""),
        "revision": result.revision,
        "edition": report.edition,
        "revised": report.is_revised and notice is None,
        "replaces": message_uid(before.study_uid, before.revision, before.edition) if before else None,
        "created_utc": (report.issued or report.created).isoformat(),
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
        "readings": [{"by": r.by, "about": r.about, "says": r.word, "at_utc": r.at_utc} for r in said.readings],
        "disclaimer": aid(said),
        "remarks": list(message_lines(report)),
    }
    while len(content := json.dumps(body, ensure_ascii=False).encode()) > LIMIT_BYTES and body["remarks"]:
        body["remarks"].pop()
    return content


def message_lines(report: ReportInput) -> tuple[str, ...]:
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
    said += lines(report)
    if result.model is not None:
        said.append(f"Model {result.model.name} {result.model.version} sha256 {result.model.sha256[:16]}")
    order = {row.sop_uid: number for number, row in enumerate(result.slices, 1)}
    key = [str(order[uid]) for uid in result.key_slices if uid in order]
    if key:
        said.append(f"Key slices, counted from the feet: {', '.join(key)} of {len(order)}")
    return tuple(line[:_LINE_CHARACTERS] for line in said)


def _asks(notice: Notice) -> str:
    return f"NOTIFY CENTRE: {notice.by or 'crew'} asks for a reader ({minute(notice.at_utc)})"


def _document(report: ReportInput, notice: Notice | None, said: Sequence[str]) -> Dataset:
    kind = Kind.NOTICE if notice else Kind.MESSAGE
    made = equipment(report, kind)
    if notice:
        made["sop_instance_uid"] = notice_uid(notice.study_uid, notice.crew_id)
        made["instance_number"] = notice.crew_id
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
    before = report.predecessor
    if before is not None and notice is None:
        ds.PredecessorDocumentsSequence = [_predecessor(before)]
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = [_code(_REPORT)]
    ds.ContinuityOfContent = "SEPARATE"
    ds.ContentSequence = [
        _coded("HAS CONCEPT MOD", codes.DCM.LanguageOfContentItemAndDescendants, _ENGLISH),
        _coded("HAS OBS CONTEXT", codes.DCM.ObserverType, codes.DCM.Device),
        _observer(),
        _text(codes.DCM.Conclusion, headline(report.result)),
        *([_text(codes.DCM.Comment, _asks(notice))] if notice else []),
        _text(codes.DCM.Comment, aid(report.said)),
        *(_text(codes.DCM.Comment, line) for line in said),
    ]
    return finish(ds, report, kind)


def _predecessor(before: Edition) -> Dataset:
    """Return the reference to the message that this one supersedes (PS3.3 C.17.2, Table C.17-3)."""
    instance, series, item = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = BasicTextSRStorage
    instance.ReferencedSOPInstanceUID = message_uid(before.study_uid, before.revision, before.edition)
    series.SeriesInstanceUID = derived_uid(before.study_uid, Kind.MESSAGE.file_name)
    series.ReferencedSOPSequence = [instance]
    item.StudyInstanceUID = before.study_uid
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
