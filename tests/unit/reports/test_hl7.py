from __future__ import annotations

from dataclasses import replace

import hl7
import pytest
from hl7apy.parser import parse_message

from edge_app.core.types import Verdict
from edge_app.reports.header import ReportInput
from edge_app.reports.hl7 import make_oru
from edge_app.store.statements import CorrectedIdentity, Statements
from tests.stored_studies import ct_slice, study_result
from tests.unit.reports.conftest import RESULTS, make_input


def read(report: ReportInput) -> hl7.Message:
    return hl7.parse(make_oru(report).decode("utf-8"))


def observations(report: ReportInput, name: str) -> list[tuple[str, str, str]]:
    """Return (sub-ID, value, status) of the observations of a name."""
    found = [s for s in read(report).segments("OBX") if str(s[3]).split("^")[0] == name]
    return [(str(s[4]), str(s[5]), str(s[11])) for s in found]


def test_two_other_readers_read_what_was_meant(report: ReportInput) -> None:
    content = make_oru(report).decode("utf-8")
    assert parse_message(content, find_groups=True).validate()
    message = hl7.parse(content)
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(message.segment("MSH")[18]) == "UNICODE UTF-8"
    assert [str(s[1]) for s in message.segments("OBX")] == [str(n + 1) for n in range(len(message.segments("OBX")))]
    assert "\n" not in content


def test_the_same_answer_makes_the_same_message(report: ReportInput) -> None:
    assert make_oru(report) == make_oru(report)
    assert len(str(read(report).segment("MSH")[10])) == 20


def test_a_finding_has_its_verdict_and_its_probability() -> None:
    report = make_input(study_result())
    assert observations(report, "1386000") == [("1", "415684004^Suspected^SCT", "P")]
    assert observations(report, "122157") == [("1", "87.0", "P"), ("2", "3.0", "P")]
    assert observations(report, "121077") == [("", "HAEMORRHAGE SUSPECTED", "P")]


def test_every_message_says_what_it_is(report: ReportInput) -> None:
    said = [value for _, value, _ in observations(report, "121106")]
    assert said[0].startswith("AI triage aid, not reviewed")
    assert said[-1].startswith("PRELIMINARY")
    synthetic = report.result.model is not None and report.result.model.synthetic
    assert any("SYNTHETIC" in line for line in said) is synthetic
    assert str(read(report).segment("MSH")[11]) == ("T" if synthetic else "P")


@pytest.mark.requirement("R78")
def test_a_revision_corrects_under_the_same_order_and_is_never_final() -> None:
    first, second = (
        read(make_input(study_result(revision=1))),
        read(make_input(study_result(verdict=Verdict.NONE_DETECTED, revision=2))),
    )
    assert [str(m.segment("OBR")[25]) for m in (first, second)] == ["P", "C"]
    assert str(first.segment("OBR")[3]) == str(second.segment("OBR")[3])
    assert str(first.segment("MSH")[10]) != str(second.segment("MSH")[10])
    assert {str(s[11]) for s in second.segments("OBX")} == {"P"}


@pytest.mark.parametrize("result", ["refused", "failed"])
def test_without_an_answer_no_observation_was_obtained(result: str) -> None:
    report = make_input(RESULTS[result])
    assert observations(report, "1386000") == [("1", "373121007^Not Evaluated^SCT", "X")]
    assert observations(report, "122157") == []


def test_the_patient_is_the_one_of_the_images() -> None:
    pid = read(make_input(study_result())).segment("PID")
    assert [str(pid[n]) for n in (3, 5, 7, 8)] == ["PAT-1", "Müster^Erika", "19510402", "F"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("=山田^太郎=やまだ^たろう", "山田^太郎"),
        ("^^=山田^太郎", "山田^太郎"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou"),
    ],
)
def test_a_name_in_ideographs_alone_is_a_name(name: str, said: str) -> None:
    source = ct_slice(1, 1)
    source.SpecificCharacterSet, source.PatientName = "ISO_IR 192", name
    assert str(read(make_input(study_result(), sources=[source])).segment("PID")[5]) == said


def test_a_corrected_identity_leaves_the_images_name_out() -> None:
    corrected = CorrectedIdentity("P-77", "Weber^Ana^^Dr.", "1949-01-31", "paramedic", "2026-03-14T14:06:00Z")
    report = replace(make_input(study_result()), edition=2, said=Statements(corrected=corrected))
    pid = read(report).segment("PID")
    assert [str(field) for field in pid[3:]] == ["P-77~PAT-1", "", "Weber^Ana^^^Dr.", "", "19490131"]
    assert str(read(report).segment("OBR")[25]) == "C"


def test_what_a_scanner_writes_breaks_no_segment() -> None:
    source = ct_slice(1, 1)
    source.PatientName = "O|Neill&Co~x^Ann\\e=漢^字"
    source.AccessionNumber = "A^1"
    source.StudyTime = ""
    content = make_oru(make_input(study_result(), sources=[source])).decode("utf-8")
    message = hl7.parse(content)
    assert message.unescape(str(message.segment("PID")[5]).split("^")[0]) == "O|Neill&Co~x"
    assert message.unescape(str(message.segment("PID")[5]).split("^")[1]) == "Ann\\e"
    assert message.unescape(str(message.segment("OBR")[18])) == "A^1"
