from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr._concepts_dict import concepts

from edge_app.core.errors import HeaderError
from edge_app.reports import Kind, ModelFacts, make_reports
from edge_app.reports.header import ReportInput, derived_uid
from edge_app.reports.page import draw_page
from edge_app.reports.words import headline
from tests.stored_studies import ct_slice, ct_uid, study_result
from tests.unit.reports.conftest import FACTS, INDEPENDENT, RESULTS, make_input

BANNED = re.compile(r"\b(negative|normal|clear|safe|ruled?|diagnos\w*|treat\w*|lyse\w*|tpa)\b", re.IGNORECASE)


def made(report: ReportInput) -> dict[Kind, Dataset]:
    """Return the objects by kind; of each kind the first."""
    found: dict[Kind, Dataset] = {}
    for name, ds in make_reports(report).items():
        found.setdefault(next(kind for kind in Kind if kind.file_name == name.split(".")[0].split("-")[0]), ds)
    return found


def texts(ds: Dataset) -> Iterator[str]:
    for element in ds.iterall():
        if element.VR in ("OB", "OW", "SQ", "UI"):
            continue
        values = element.value if isinstance(element.value, MultiValue) else [element.value]
        yield from (str(value) for value in values)


def all_text(ds: Dataset) -> str:
    return "\n".join(texts(ds))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_every_object_passes_dciodvfy_without_errors(report: ReportInput, tmp_path: Path) -> None:
    for kind, ds in made(report).items():
        path = tmp_path / f"{kind.file_name}.dcm"
        ds.save_as(path, enforce_file_format=True)
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
        assert errors == []


@pytest.mark.requirement("R02")
def test_no_object_says_a_word_that_the_screen_may_not_say(report: ReportInput) -> None:
    for ds in made(report).values():
        assert not BANNED.search(all_text(ds))


def test_the_same_result_gives_the_same_bytes(report: ReportInput, tmp_path: Path) -> None:
    contents = []
    for number in (1, 2):
        for kind, ds in made(report).items():
            ds.save_as(tmp_path / f"{kind.file_name}-{number}.dcm", enforce_file_format=True)
        contents.append([path.read_bytes() for path in sorted(tmp_path.glob(f"*-{number}.dcm"))])
    assert contents[0] == contents[1]


def test_objects_carry_the_patient_and_study_of_the_source(report: ReportInput) -> None:
    source = report.sources[0]
    keywords = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID",
                "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription")  # fmt: skip
    for ds in made(report).values():
        for keyword in keywords:
            assert str(ds[keyword].value) == str(source[keyword].value)
        assert ds.SeriesDescription.startswith("AI ")
        assert ds.SeriesInstanceUID not in {s.SeriesInstanceUID for s in report.sources}


def test_a_synthetic_model_is_named_in_every_object() -> None:
    for ds in made(make_input(RESULTS["haemorrhage"])).values():
        assert "SYNTHETIC" in ds.SeriesDescription
    sr = made(make_input(RESULTS["haemorrhage"]))[Kind.SR]
    assert "SYNTHETIC MODEL" in all_text(sr)
    assert "SYNTHETIC MODEL" not in all_text(made(make_input(RESULTS["ischaemic"]))[Kind.SR])


@pytest.mark.requirement("R75")
def test_every_report_says_that_nobody_reviewed_it(report: ReportInput) -> None:
    for kind in (Kind.MESSAGE, Kind.SR):
        sr = made(report)[kind]
        assert (sr.PreliminaryFlag, sr.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
        assert "AI triage aid, not reviewed" in all_text(sr)
        assert "UNCONFIRMED" in all_text(sr)


@pytest.mark.requirement("R03")
def test_not_detected_always_says_what_it_does_not_exclude() -> None:
    assert "Does not exclude haemorrhage or stroke" in all_text(made(make_input(RESULTS["revised"]))[Kind.SR])


@pytest.mark.requirement("R22")
@pytest.mark.parametrize(
    ("result", "finding", "value"),
    [
        ("haemorrhage", "AI haemorrhage", "Suspected"),
        ("haemorrhage", "AI ischaemic signs", "Not detected"),
        ("revised", "AI haemorrhage", "Not detected"),
        ("ischaemic", "AI haemorrhage", "Not detected"),
        ("ischaemic", "AI ischaemic signs", "Suspected"),
        ("indeterminate", "AI haemorrhage", "Indeterminate"),
        ("indeterminate", "AI ischaemic signs", "Not detected"),
        ("one-open", "AI haemorrhage", "Suspected"),
        ("one-open", "AI ischaemic signs", "Indeterminate"),
        ("ischaemia-open", "AI haemorrhage", "Not detected"),
        ("ischaemia-open", "AI ischaemic signs", "Indeterminate"),
        ("both", "AI haemorrhage", "Suspected"),
        ("both", "AI ischaemic signs", "Suspected"),
        ("doubtful", "AI haemorrhage", "Indeterminate"),
        ("doubtful", "AI ischaemic signs", "Indeterminate"),
        ("refused", "AI haemorrhage", "Not Evaluated"),
        ("failed", "AI haemorrhage", "Not Evaluated"),
    ],
)
def test_highdicom_reads_each_finding_back(result: str, finding: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    made(make_input({**RESULTS, **INDEPENDENT}[result]))[Kind.SR].save_as(path, enforce_file_format=True)
    groups = hd.sr.srread(path).content.get_image_measurement_groups()
    found = {group.tracking_identifier: group for group in groups}
    (evaluation,) = found[finding].get_qualitative_evaluations()
    assert evaluation.value.meaning == value


def test_probabilities_stand_for_the_patient_and_for_each_slice_by_its_image() -> None:
    sr = hd.sr.Comprehensive3DSR.from_dataset(made(make_input(RESULTS["haemorrhage"]))[Kind.SR])
    group = sr.content.get_image_measurement_groups()[0]
    patient, *slices = group.get_measurements()
    assert patient.value == 87.0
    assert [
        (m.value, str(m.referenced_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)) for m in slices
    ] == [(round(10.0 * n, 1), ct_uid(1, n)) for n in range(1, 7)]


def test_ischaemic_signs_that_are_switched_off_are_left_out() -> None:
    sr = hd.sr.Comprehensive3DSR.from_dataset(made(make_input(RESULTS["not-assessed"]))[Kind.SR])
    assert [g.tracking_identifier for g in sr.content.get_image_measurement_groups()] == ["AI haemorrhage"]


def test_the_algorithm_and_its_operating_point_are_named() -> None:
    text = all_text(made(make_input(RESULTS["haemorrhage"]))[Kind.SR])
    assert "operating point hemorrhage: t_lo 0.12, t_hi 0.5" in text
    assert "bundle sha256 9f3c" in text


def test_the_tested_sensitivity_and_specificity_stand_beside_the_finding() -> None:
    facts = ModelFacts(FACTS.operating_points, {"hemorrhage": (0.956, 0.9)})
    sr = made(make_input(study_result(), facts=facts))[Kind.SR]
    haemorrhage, ischaemia = hd.sr.Comprehensive3DSR.from_dataset(sr).content.get_image_measurement_groups()
    values = {m.name.meaning: (m.value, m.unit.value) for m in haemorrhage.get_measurements()}
    assert values["Case Sensitivity"] == (95.6, "%")
    assert values["Case Specificity"] == (90.0, "%")
    assert "Case Sensitivity" not in {m.name.meaning for m in ischaemia.get_measurements()}


NOT_IN_THE_DICTIONARY = {("260415000", "SCT"), ("422504002", "SCT"), ("en", "RFC5646"), ("en-US", "RFC5646")}
"""SNOMED CT "Not detected" and "Ischaemic stroke"; language tags are no codes of a dictionary."""

REWORDED = {"1386000", "%"}
"""Same concept, other words: UK spelling, and "Percent" as highdicom writes it."""


def test_every_code_is_in_the_dictionary_with_this_meaning(report: ReportInput) -> None:
    seen = {
        (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
        for ds in made(report).values()
        for element in ds.iterall()
        if element.VR == "SQ"
        for item in element.value
        if "CodeValue" in item
    }
    assert len(seen) > 5
    for value, scheme, meaning in seen:
        entries = concepts.get(scheme, {}).values()
        known = {m.split(" (")[0] for entry in entries for v, (m, _) in entry.items() if v == value}
        if (value, scheme) not in NOT_IN_THE_DICTIONARY:
            assert known, (value, scheme, meaning)
            assert meaning.split(" (")[0] in known or value in REWORDED, (value, scheme, meaning, known)


@pytest.mark.requirement("R78")
def test_a_revision_names_the_report_it_supersedes() -> None:
    first = made(make_input(study_result()))[Kind.SR]
    second = made(make_input(RESULTS["revised"]))[Kind.SR]
    (study,) = second.PredecessorDocumentsSequence
    reference = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    assert "REVISED" in all_text(second)


def test_key_objects_are_the_key_slices_most_suspicious_first() -> None:
    ko = made(make_input(RESULTS["haemorrhage"]))[Kind.KEY_OBJECTS]
    images = [item for item in ko.ContentSequence if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in images] == [
        ct_uid(1, 4), ct_uid(1, 2), ct_uid(1, 6)
    ]  # fmt: skip
    assert hd.ko.KeyObjectSelectionDocument.from_dataset(ko).content


def test_images_refused_for_their_quality_are_marked_so_and_others_are_not() -> None:
    refused = made(make_input(RESULTS["refused"]))[Kind.KEY_OBJECTS]
    assert refused.ConceptNameCodeSequence[0].CodeMeaning == "Quality Issue"
    assert [
        item.ConceptCodeSequence[0].CodeMeaning
        for item in refused.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Document Title Modifier"
    ] == ["No image", "Positioning"]
    assert Kind.KEY_OBJECTS not in made(make_input(RESULTS["failed"]))


def test_the_page_is_an_rgb_picture_with_burned_in_identity(tmp_path: Path) -> None:
    path = tmp_path / "sc.dcm"
    made(make_input(RESULTS["haemorrhage"]))[Kind.PAGE].save_as(path, enforce_file_format=True)
    page = dcmread(path)
    assert page.BurnedInAnnotation == "YES"
    assert page.pixel_array.shape == (720, 960, 3)
    assert tuple(page.pixel_array[150, 40]) == (0xA5, 0x0F, 0x25)


def test_the_page_is_the_same_wherever_the_vehicle_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its times stand beside those of the readings, which are in UTC.
    pages = []
    for zone in ("UTC", "CET-1"):
        with monkeypatch.context() as there:
            there.setenv("TZ", zone)
            time.tzset()
            pages.append(draw_page(make_input(RESULTS["haemorrhage"])))
        time.tzset()
    assert np.array_equal(*pages)


def test_the_page_of_a_real_model_has_no_synthetic_band() -> None:
    from edge_app.reports.page import draw_page

    band = [draw_page(make_input(RESULTS[name]))[-4, 5].tolist() for name in ("haemorrhage", "ischaemic")]
    assert band == [[0xF2, 0xF5, 0xF7], [0x10, 0x14, 0x18]]


def test_the_page_bears_a_long_name_and_many_remarks() -> None:
    from edge_app.reports.page import draw_page

    sources = [ct_slice(1, n) for n in range(1, 7)]
    sources[0].PatientName = "山田^太郎" + "X" * 50
    report = make_input(study_result(quality=tuple(f"remark {n}" for n in range(20))), sources=sources)
    assert draw_page(report).shape == (720, 960, 3)


@pytest.mark.parametrize("keyword", ["PatientSex", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber"])
@pytest.mark.parametrize("value", [None, "", "X"])
def test_headers_that_break_the_rules_still_give_all_objects(keyword: str, value: str | None) -> None:
    sources = [ct_slice(1, n) for n in range(1, 7)]
    for source in sources:
        if value is None:
            del source[keyword]
        else:
            source[keyword]._value = value
    assert set(made(make_input(study_result(), sources=sources))) == set(Kind) - {Kind.NOTICE, Kind.MAP}


def test_a_study_without_readable_images_has_no_objects() -> None:
    with pytest.raises(HeaderError):
        make_reports(make_input(study_result(), sources=[]))


def test_derived_uids_are_valid_and_differ_by_each_word() -> None:
    uids = {derived_uid(study, kind, revision) for study in ("1.2", "1.3") for kind in "ab" for revision in (1, 2)}
    assert len(uids) == 8
    assert all(len(uid) <= 64 and re.fullmatch(r"2\.25\.[1-9][0-9]*", uid) for uid in uids)


def test_each_key_slice_comes_with_its_window_and_its_rank_and_says_who_chose_it() -> None:
    for result, width in (("haemorrhage", 80), ("ischaemic", 40)):
        states = [ds for name, ds in make_reports(make_input(RESULTS[result])).items() if name.startswith("pr-")]
        assert [
            state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID for state in states
        ] == [ct_uid(1, n) for n in (4, 2, 6)]
        for rank, state in enumerate(states, 1):
            (voi,) = state.SoftcopyVOILUTSequence
            assert (voi.WindowCenter, voi.WindowWidth) == (40, width)
            assert f"AI KEY SLICE {rank} of 3, NOT REVIEWED" in all_text(state)
    assert Kind.PRESENTATION not in made(make_input(RESULTS["refused"]))


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
def test_dsrdump_reads_the_report(report: ReportInput, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    objects = made(report)
    if Kind.KEY_OBJECTS in objects:
        path_of_keys = tmp_path / "ko.dcm"
        objects[Kind.KEY_OBJECTS].save_as(path_of_keys, enforce_file_format=True)
        said = subprocess.run(["dsrdump", "+Pl", str(path_of_keys)], capture_output=True, text=True, check=True)
        assert "Key Object Selection Document" in said.stdout
    for kind, words in ((Kind.SR, "AI haemorrhage"), (Kind.MESSAGE, headline(report.result))):
        objects[kind].save_as(path, enforce_file_format=True)
        said = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, check=True)
        assert not [line for line in said.stderr.splitlines() if line.startswith(("E:", "F:"))]
        assert all(word in said.stdout for word in ("PRELIMINARY", "UNVERIFIED", words))
