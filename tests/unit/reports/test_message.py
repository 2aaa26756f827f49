from __future__ import annotations

import json
from io import BytesIO

import pytest
from pydicom import dcmread

from edge_app.reports.header import ReportInput
from edge_app.reports.message import LIMIT_BYTES, make_message, message_json, message_uid
from tests.stored_studies import ct_slice, study_result
from tests.unit.reports.conftest import make_input


def wire(report: ReportInput) -> bytes:
    buffer = BytesIO()
    ds = make_message(report)
    ds.save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def endless() -> ReportInput:
    sources = [ct_slice(1, n) for n in range(1, 7)]
    for source in sources:
        source.PatientName = "X" * 64
        source.StudyDescription = "Kopf nativ " * 5
    return make_input(study_result(quality=tuple(f"remark {n} " + "ä" * 300 for n in range(60))), sources=sources)


def test_the_message_is_at_most_4_kb(report: ReportInput) -> None:
    assert len(wire(report)) <= LIMIT_BYTES
    assert len(message_json(report)) <= LIMIT_BYTES


def test_what_does_not_fit_is_left_out_but_never_the_headline_or_the_disclaimer() -> None:
    said = [item.TextValue for item in make_message(endless()).ContentSequence if item.ValueType == "TEXT"]
    assert len(wire(endless())) <= LIMIT_BYTES
    assert said[0] == "HAEMORRHAGE SUSPECTED"
    assert "A clinician must read the images" in said[1]
    assert "SYNTHETIC MODEL" in said[2]
    assert len(message_json(endless())) <= LIMIT_BYTES


def test_the_message_says_what_was_found_how_sure_and_by_which_model() -> None:
    said = "\n".join(item.TextValue for item in make_message(make_input(study_result())).ContentSequence[3:])
    for words in ("HAEMORRHAGE SUSPECTED", "haemorrhage 87 %", "ischaemic signs 3 %", "demo 1.0.0", "4, 2, 6 of 6"):
        assert words in said


@pytest.mark.requirement("R78")
def test_a_revised_message_says_so_and_names_the_one_before() -> None:
    first = make_message(make_input(study_result()))
    second = make_message(make_input(study_result(revision=2)))
    (study,) = second.PredecessorDocumentsSequence
    reference = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert any("REVISED" in item.TextValue for item in second.ContentSequence[3:])
    assert json.loads(message_json(make_input(study_result(revision=2))))["revised"]


def test_the_notification_names_no_patient_and_refers_to_the_sr(report: ReportInput) -> None:
    content = message_json(report).decode()
    assert "Müster" not in content
    assert "19510402" not in content
    body = json.loads(content)
    assert (
        body["id"]
        == message_uid(report.result.study_uid, report.result.revision)
        == make_message(report).SOPInstanceUID
    )
    assert body["study_uid"] == report.result.study_uid


def test_the_message_is_read_back_as_a_file(report: ReportInput) -> None:
    buffer = BytesIO()
    make_message(report).save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    assert dcmread(buffer).PatientName == report.sources[0].PatientName
