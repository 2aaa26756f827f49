from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from fhir.resources.R4B.bundle import Bundle

from edge_app.reports.fhir import make_transaction
from edge_app.reports.header import ReportInput
from edge_app.reports.message import make_message
from edge_app.reports.words import headline
from tests.stored_studies import ct_slice, study_result
from tests.unit.reports.conftest import RESULTS, make_input


def resources(report: ReportInput) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(make_transaction(report))["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def test_the_transaction_is_read_back_as_a_valid_bundle(report: ReportInput) -> None:
    bundle = Bundle.model_validate_json(make_transaction(report))
    assert bundle.type == "transaction"
    assert {entry.request.method for entry in bundle.entry} == {"POST"}


def test_all_references_point_into_the_transaction(report: ReportInput) -> None:
    text = make_transaction(report).decode()
    names = {entry["fullUrl"] for entry in json.loads(text)["entry"]}
    assert all(name.startswith("urn:uuid:") for name in names)
    used = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "reference" in node:
                used.add(node["reference"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(text))
    assert used <= names


def test_sent_again_it_creates_nothing_twice(report: ReportInput) -> None:
    assert make_transaction(report) == make_transaction(report)
    for entry in json.loads(make_transaction(report))["entry"]:
        if entry["resource"]["resourceType"] != "Provenance":
            assert entry["request"]["ifNoneExist"].startswith("identifier=")


@pytest.mark.parametrize("patient_id", ["P1,P2", "P1&identifier=P2", "P|1", "P$1", "P\\1", "P 1+2%33", "Ü1"])
def test_no_character_of_an_identifier_makes_the_server_look_for_another_patient(patient_id: str) -> None:
    first = json.loads(make_transaction(make_input(study_result(patient_id=patient_id))))["entry"][0]
    ((name, value),) = parse_qsl(first["request"]["ifNoneExist"], strict_parsing=True)
    escaped = "".join(f"\\{c}" if c in "\\,|$" else c for c in patient_id)
    assert (name, value) == ("identifier", f"urn:msu-triage:patient-id|{escaped}")
    assert first["resource"]["identifier"][0]["value"] == patient_id


def test_no_name_and_no_birth_date_leave(report: ReportInput) -> None:
    text = make_transaction(report).decode()
    assert "Müster" not in text
    assert "19510402" not in text
    assert "1951-04-02" not in text


def test_a_finding_has_its_probability_and_its_thresholds() -> None:
    haemorrhage, _ = resources(make_input(study_result()))["Observation"]
    assert haemorrhage["valueCodeableConcept"]["coding"][0]["display"] == "Suspected"
    assert [(c["code"], c["valueQuantity"]["value"]) for c in haemorrhage["component"]] == [
        ({"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "122157",
                      "display": "Probability"}]}, 87.0),
        ({"text": "not detected below"}, 12.0),
        ({"text": "suspected from"}, 50.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("result", "why"), [("refused", "not-performed")])
def test_no_result_is_absent_data_with_its_reason(result: str, why: str) -> None:
    (observation,) = resources(make_input(RESULTS[result]))["Observation"]
    assert observation["dataAbsentReason"]["coding"][0]["code"] == why
    assert "Q-02" in observation["dataAbsentReason"]["text"]
    assert "valueCodeableConcept" not in observation


def test_the_report_is_preliminary_and_known_by_the_message_s_uid(report: ReportInput) -> None:
    (diagnostic,) = resources(report)["DiagnosticReport"]
    assert diagnostic["status"] == "preliminary"
    assert diagnostic["identifier"][0]["value"] == f"urn:oid:{make_message(report).SOPInstanceUID}"
    assert "not reviewed" in diagnostic["conclusion"]


@pytest.mark.parametrize("result", RESULTS)
def test_the_summary_is_the_headline_and_never_one_finding_s_value(result: str) -> None:
    (diagnostic,) = resources(make_input(RESULTS[result]))["DiagnosticReport"]
    assert diagnostic["conclusionCode"] == [{"text": headline(RESULTS[result])}]


@pytest.mark.requirement("R78")
def test_a_revision_names_the_report_before() -> None:
    (provenance,) = resources(make_input(study_result(revision=2)))["Provenance"]
    before = make_message(make_input(study_result())).SOPInstanceUID
    assert provenance["entity"][1]["what"]["identifier"]["value"] == f"urn:oid:{before}"


def test_patients_without_an_identifier_stay_apart() -> None:
    sources = [ct_slice(1, n) for n in range(1, 7)]
    (patient,) = resources(make_input(study_result(patient_id=""), sources=sources))["Patient"]
    assert patient["identifier"][0]["use"] == "temp"
    assert study_result().study_uid in patient["identifier"][0]["value"]
