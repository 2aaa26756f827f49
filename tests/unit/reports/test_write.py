from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import dcmread
from pydicom.dataset import Dataset

from edge_app.core.errors import HeaderError
from edge_app.core.types import StudyResult
from edge_app.reports import (
    FHIR_FILE,
    HL7_FILE,
    MESSAGE_FILE,
    message_uid,
    notice_uid,
    report_files,
    write_message,
    write_notice,
    write_reports,
)
from edge_app.store import outbox
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.notices import Notice, notice_of
from edge_app.store.paths import StorePaths
from edge_app.store.statements import add_second_reading, correct_identity
from tests.stored_studies import add_ct_study, ct_uid, study_result


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "store")


def test_objects_are_written_once_and_found_again(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        files = write_reports(stored, ledger, paths)
        before = [path.stat().st_mtime_ns for path in files]
        assert [path.name for path in files] == [
            "msg.dcm", "sr.dcm", "ko.dcm", "sc.dcm", "pr-1.dcm", "pr-2.dcm", "pr-3.dcm"
        ]  # fmt: skip
        assert write_reports(stored, ledger, paths) == files
        assert [path.stat().st_mtime_ns for path in files] == before


def test_objects_cut_short_by_a_crash_are_made_again_as_the_same_instances(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        files = write_reports(stored, ledger, paths)
        contents = [path.read_bytes() for path in files]
        (files[0].parent / "complete").unlink()
        files[2].unlink()
        assert [path.read_bytes() for path in write_reports(stored, ledger, paths)] == contents


def test_each_revision_has_its_own_files(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        uids = set()
        for _ in range(2):
            stored = ledger.add_result(study_result(), last_instance_id=6)
            uids |= {dcmread(path).SOPInstanceUID for path in write_reports(stored, ledger, paths)}
        assert len(uids) == 14


def test_a_result_without_its_images_cannot_be_reported(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        stored = ledger.add_result(study_result(), last_instance_id=6)
        with pytest.raises(HeaderError):
            write_reports(stored, ledger, paths)


def test_an_image_whose_header_is_cut_short_is_left_out_and_holds_nothing_up(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        file = paths.root / ledger.instances()[0].path
        content = file.read_bytes()
        file.write_bytes(content[: content.index(b"\x20\x00\x13\x00")] + b"\x20\x00\x13\x00UN\0\0")
        with pytest.raises(struct.error):
            dcmread(file, stop_before_pixels=True)
        assert {"msg.dcm", "sr.dcm"} <= {path.name for path in write_reports(stored, ledger, paths)}


def test_files_of_a_report_are_those_that_are_sent_and_asking_for_them_leaves_no_trace(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        asked = report_files(stored, ledger, paths)
        assert not list((paths.root / "results").rglob("*.dcm"))
        folder = write_reports(stored, ledger, paths)[0].parent
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "complete"} == asked
        assert {MESSAGE_FILE, FHIR_FILE, HL7_FILE} < set(asked)
        assert report_files(stored, ledger, paths) == asked


@pytest.mark.parametrize("study", [1, 2])
def test_a_message_made_alone_is_the_one_that_comes_with_the_others(paths: StorePaths, study: int) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger, 1)
        add_ct_study(ledger, 2)
        stored = ledger.add_result(study_result(study), last_instance_id=12)
        alone = write_message(stored, ledger, paths)
        content = alone.read_bytes()
        assert [path.name for path in alone.parent.iterdir()] == ["msg.dcm"]
        files = write_reports(stored, ledger, paths)
        assert (files[0], files[0].read_bytes()) == (alone, content)
        assert write_message(stored, ledger, paths).read_bytes() == content


def test_a_message_without_images_cannot_be_made(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        stored = ledger.add_result(study_result(), last_instance_id=6)
        with pytest.raises(HeaderError):
            write_message(stored, ledger, paths)


@pytest.fixture
def analysed(paths: StorePaths) -> Iterator[tuple[Ledger, StudyResult]]:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        yield ledger, ledger.add_result(study_result(), last_instance_id=6)


def texts(ds: Dataset) -> list[str]:
    return [item.TextValue for item in ds.ContentSequence if item.ValueType == "TEXT"]


def notices(ledger: Ledger) -> list[Notice]:
    found = (notice_of(ledger, row.id) for row in outbox.queued(ledger))
    return [notice for notice in found if notice is not None]


@pytest.mark.requirement("R77")
def test_a_notice_says_who_asks_and_what_the_result_is_and_no_name(analysed: tuple[Ledger, StudyResult]) -> None:
    ledger, _ = analysed
    note_crew(ledger, ct_uid(1), "notify", {"by": "paramedic"})
    (notice,) = notices(ledger)
    path = write_notice(notice, ledger, ledger.paths)
    ds = dcmread(path)
    said = texts(ds)
    assert said[0] == "HAEMORRHAGE SUSPECTED"
    assert said[1].startswith("NOTIFY CENTRE: paramedic asks for a reader")
    body = json.loads((path.parent / MESSAGE_FILE).read_bytes())
    assert body["id"] == ds.SOPInstanceUID == notice_uid(ct_uid(1), notice.crew_id)
    assert body["about"] == message_uid(ct_uid(1), 1)
    assert body["crew_asks"]["by"] == "paramedic"
    bundle = Bundle.model_validate_json((path.parent / FHIR_FILE).read_bytes())
    assert [entry.resource.get_resource_type() for entry in bundle.entry] == ["Patient", "Device", "Communication"]
    for file in (MESSAGE_FILE, FHIR_FILE):
        content = (path.parent / file).read_text()
        assert "Müster" not in content
        assert "1951" not in content


@pytest.mark.requirement("R77")
def test_a_notice_before_the_result_says_that_there_is_none_yet(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        note_crew(ledger, ct_uid(1), "notify", {"by": "paramedic"})
        (notice,) = notices(ledger)
        body = json.loads((write_notice(notice, ledger, paths).parent / MESSAGE_FILE).read_bytes())
    assert (body["headline"], body["about"], body["revision"]) == ("NO AI RESULT YET", None, 0)


@pytest.mark.requirement("R77")
def test_a_notice_speaks_of_the_edition_that_there_was_when_the_crew_asked_and_replaces_none(
    analysed: tuple[Ledger, StudyResult],
) -> None:
    ledger, _ = analysed
    note_crew(ledger, ct_uid(1), "identity", {"by": "paramedic"})
    note_crew(ledger, ct_uid(1), "notify", {"by": "paramedic"})
    note_crew(ledger, ct_uid(1), "opinion", {"opinion": "disagree", "by": "doctor", "revision": 1})
    (notice,) = notices(ledger)
    body = json.loads((write_notice(notice, ledger, ledger.paths).parent / MESSAGE_FILE).read_bytes())
    assert (body["edition"], body["about"]) == (2, message_uid(ct_uid(1), 1, 2))
    assert (body["identity"], body["readings"]) == ("confirmed", [])
    assert (body["revised"], body["replaces"]) == (False, None)


@pytest.mark.requirement("R75")
def test_a_new_answer_is_not_reviewed_by_who_spoke_of_the_one_before(analysed: tuple[Ledger, StudyResult]) -> None:
    ledger, _ = analysed
    note_crew(ledger, ct_uid(1), "impression", {"impression": "not_seen", "by": "nurse", "revision": 1})
    add_second_reading(ledger, ct_uid(1), "seen", revision=1, by="neurologist", name="Dr. Weiss", source="screen")
    before = write_reports(ledger.latest_result(ct_uid(1)) or study_result(), ledger, ledger.paths, edition=3)
    assert any("reviewed by neurologist." in line for line in texts(dcmread(before[0])))
    second = ledger.add_result(study_result(), last_instance_id=6)
    assert second.revision == 2
    files = write_reports(second, ledger, ledger.paths)
    said = texts(dcmread(files[0]))
    assert any("AI triage aid, not reviewed" in line for line in said)
    assert any(line.startswith("Read by nurse: sees NO BLOOD") for line in said)
    assert not any("Weiss" in line for line in said)
    bundle = json.loads((files[0].parent / FHIR_FILE).read_bytes())
    (provenance,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Provenance")
    assert [agent["type"]["text"] for agent in provenance["agent"][1:]] == ["reader"]


@pytest.mark.requirement("R78")
def test_a_further_edition_supersedes_the_one_before_and_leaves_the_rest_alone(
    analysed: tuple[Ledger, StudyResult],
) -> None:
    ledger, result = analysed
    note_crew(ledger, ct_uid(1), "opinion", {"opinion": "disagree", "by": "doctor", "revision": 1})
    first, second = (
        {path.name: dcmread(path) for path in write_reports(result, ledger, ledger.paths, edition=edition)}
        for edition in (1, 2)
    )
    for name in ("sr.dcm", "msg.dcm"):
        (study,) = second[name].PredecessorDocumentsSequence
        replaced = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert replaced == first[name].SOPInstanceUID != second[name].SOPInstanceUID
    same = {name for name in first if first[name].SOPInstanceUID == second[name].SOPInstanceUID}
    assert same == {"ko.dcm", "pr-1.dcm", "pr-2.dcm", "pr-3.dcm"}
    assert all(first[name] == second[name] for name in same)
    text = texts(second["msg.dcm"])
    assert "AI triage aid, reviewed by doctor. A clinician must read the images." in text
    assert any("doctor: DISAGREES with the AI" in line for line in text)
    assert any(line.startswith("REVISED") for line in text)


@pytest.mark.requirement("R78")
def test_a_corrected_identity_revises_the_report_and_both_ids_stand_in_it(
    analysed: tuple[Ledger, StudyResult],
) -> None:
    ledger, result = analysed
    correct_identity(ledger, ct_uid(1), patient_id="4711", patient_name="Weber^Eva", by="nurse")
    folder = write_reports(result, ledger, ledger.paths, edition=2)[0].parent
    body = json.loads((folder / MESSAGE_FILE).read_bytes())
    assert (body["patient_id"], body["patient_id_in_images"], body["identity"]) == ("4711", "PAT-1", "corrected")
    assert body["revised"]
    assert body["replaces"] == message_uid(ct_uid(1), 1)
    # The study must not fall into two at the PACS: the objects keep the patient of their images.
    sr = dcmread(folder / "sr.dcm")
    assert sr.PatientID == "PAT-1"
    assert any("ID 4711, in the images PAT-1" in line for line in texts(sr))
    assert "Weber" not in (folder / MESSAGE_FILE).read_text() + (folder / FHIR_FILE).read_text()
    patient = json.loads((folder / FHIR_FILE).read_bytes())["entry"][0]["resource"]
    assert [(entry["value"], entry["use"]) for entry in patient["identifier"]] == [
        ("4711", "official"), ("PAT-1", "old")
    ]  # fmt: skip


@pytest.mark.requirement("R75")
def test_a_confirmed_identity_is_said_to_be_so(analysed: tuple[Ledger, StudyResult]) -> None:
    ledger, result = analysed
    note_crew(ledger, ct_uid(1), "identity", {"by": "paramedic"})
    first, second = (
        "\n".join(texts(dcmread(write_reports(result, ledger, ledger.paths, edition=edition)[0]))) for edition in (1, 2)
    )
    assert "identity UNCONFIRMED" in first
    assert "identity confirmed on board by paramedic" in second
    assert "UNCONFIRMED" not in second


def test_the_files_of_a_report_are_those_of_its_latest_edition(analysed: tuple[Ledger, StudyResult]) -> None:
    ledger, result = analysed
    before = report_files(result, ledger, ledger.paths)
    note_crew(ledger, ct_uid(1), "identity", {"by": "paramedic"})
    after = report_files(result, ledger, ledger.paths)
    assert {name for name in before if before[name] != after[name]} == {
        "msg.dcm", "sr.dcm", "sc.dcm", MESSAGE_FILE, FHIR_FILE, HL7_FILE
    }  # fmt: skip
