"""Metrics, health, times and fleet: true to the ledger, and without a patient."""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_app.cli import main
from edge_app.core.errors import InputError
from edge_app.core.findings import Finding
from edge_app.core.types import StudyResult, StudyStatus, Verdict
from edge_app.simulator import make_study, to_datasets
from edge_app.store.ledger import Ledger
from edge_app.store.proofs import Acknowledgement, add_acknowledgement
from edge_app.store.retention import delivered_studies, remove_study
from edge_app.store.self_tests import announce, finish, self_test_uids
from edge_app.watch.fleet import read_fleet
from edge_app.watch.http import HealthServer
from edge_app.watch.metrics import LedgerCollector, registry_of, write_textfile
from edge_app.watch.timeline import case_times, to_csv
from edge_app.watch.timeline_plot import timeline_svg
from tests.stores import Sender

NAME, NUMBER = "Patient^Named", "ID-4711"
WELL = Finding("Disk", True, "room", "", "F-05")
HOT = Finding("Heat", False, "99 °C", "fan", "F-09")


def outcome(study_uid: str) -> StudyResult:
    return StudyResult(
        study_uid=study_uid, patient_id=NUMBER, status=StudyStatus.RESULT, verdict=Verdict.HEMORRHAGE,
        probabilities={"negative": 0.1, "hemorrhage": 0.8, "ischemic": 0.1}, reasons=(), series_uid=None, slices=(),
        model=None, backend=None, timings_ms={"last_slice_to_result": 1500.0},
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return a store with one patient's case, seen on the screen, and one self-test."""
    with Sender(tmp_path / "store") as sender:
        for key in ("patient", "own"):
            objects = to_datasets(make_study(3, "negative"), study_key=key)[:2]
            uid = str(objects[0].StudyInstanceUID)
            if key == "own":
                announce(sender.ledger, uid)
            with sender.association() as association:
                for ds in objects:
                    ds.PatientName, ds.PatientID = NAME, NUMBER
                    sender.store(ds, association)
            band = {"acquired_at": "20300101120000", "manufacturer_model": "Simulator S1"}
            sender.ledger.put_study(uid, StudyStatus.RECEIVING, patient=band)
            sender.ledger.add_result(outcome(uid), last_instance_id=99)
            sender.ledger.audit("screen_shown", {"study_uid": uid, "revision": 1, "state": "haemorrhage"})
        sender.ledger.beat({"free_bytes": 5 << 30})
        yield sender.ledger


def test_the_metrics_count_what_the_ledger_holds_and_name_nobody(ledger: Ledger, tmp_path: Path) -> None:
    collector = LedgerCollector(ledger)
    collector.findings = [WELL, HOT]
    write_textfile(registry_of(collector), tmp_path / "msu.prom")
    text = (tmp_path / "msu.prom").read_text()
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["msu_fit",] == 0 and values["msu_finding_ok", "Heat", "F-09"] == 0
    assert values["msu_process_alive", "receive"] == 1
    assert values["msu_disk_free_bytes",] == 5 << 30
    assert values["msu_results_total", "result", "hemorrhage"] == 1  # the other one is a self-test's
    assert values["msu_last_slice_to_result_seconds", "0.5"] == 1.5
    assert values["msu_outbox_items", "images", "queued"] == 1
    assert NUMBER not in text and "Named" not in text


def test_no_counter_goes_back_when_a_self_test_is_removed_or_room_is_made(ledger: Ledger) -> None:
    def counters() -> dict[tuple[str, ...], float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for metric in LedgerCollector(ledger).collect()
            if metric.type == "counter"
            for sample in metric.samples
        }

    before = counters()
    for uid in self_test_uids(ledger):
        finish(ledger, uid, "passed", {})
    with ledger.transaction() as db:
        db.execute("UPDATE outbox SET state = 'sent'")
    for uid in delivered_studies(ledger):
        assert remove_study(ledger, uid)
    assert not ledger.instances()
    after = counters()
    assert {key: value for key, value in before.items() if after.get(key, 0.0) < value} == {}
    assert after["msu_results_total", "result", "hemorrhage"] == 1.0


def test_health_answers_200_only_when_fit_and_only_on_its_paths(ledger: Ledger) -> None:
    health = {"fit": True, "findings": [WELL.to_json()]}
    with HealthServer(0, registry_of(LedgerCollector(ledger)), lambda: health) as server:
        base = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{base}/healthz") as answer:
            assert answer.status == 200 and json.load(answer)["fit"] is True
        with urllib.request.urlopen(f"{base}/metrics") as answer:
            assert b"msu_process_alive" in answer.read()
        health["fit"] = False
        for path, status in (("/healthz", 503), ("/etc/passwd", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(base + path)
            assert refused.value.code == status
            refused.value.close()


def test_the_times_of_a_case_leave_out_self_tests_and_patients(ledger: Ledger) -> None:
    (case,) = case_times(ledger)
    text = to_csv([case], "MSU 1")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["vehicle"] == "MSU 1" and row["verdict"] == "hemorrhage" and row["images"] == "2"
    assert row["first_slice_utc"] <= row["last_slice_utc"] <= row["result_utc"] <= row["seen_utc"]
    assert float(row["ct_clock_offset_s"]) < -1e6, "the CT's clock of 2030 is ahead"
    assert row["delivered_utc"] == "" and row["result_to_delivered_s"] == ""
    assert NUMBER not in text and "Named" not in text
    assert row["case"] in timeline_svg([case])


def test_times_after_a_revision_are_those_of_the_revision(ledger: Ledger) -> None:
    (first,) = case_times(ledger)
    (uid,) = {row.study_uid for row in ledger.instances()} - self_test_uids(ledger)
    add_acknowledgement(ledger, Acknowledgement(uid, 1, "notify", "Dr. Weiss", "", first.result_utc))
    ledger.put_study(uid, StudyStatus.RECEIVING)
    (waiting,) = case_times(ledger)
    assert (waiting.verdict, waiting.result_utc, waiting.seen_utc, waiting.last_slice_to_result_s) == ("", "", "", None)
    ledger.add_result(outcome(uid), last_instance_id=99)
    (revised,) = case_times(ledger)
    assert revised.result_utc > first.result_utc
    assert (revised.seen_utc, revised.acknowledged_utc, revised.result_to_acknowledged_s) == ("", "", None)
    ledger.audit("screen_shown", {"study_uid": uid, "revision": 2, "state": "haemorrhage"})
    assert (case_times(ledger)[0].result_to_seen_s or -1.0) >= 0.0


def test_the_picture_is_drawn_without_a_case_too() -> None:
    ElementTree.fromstring(timeline_svg([]))


def test_a_fleet_is_merged_from_what_each_vehicle_exported(ledger: Ledger, tmp_path: Path) -> None:
    for name, findings in (("MSU 1", [WELL]), ("MSU 2", [WELL, HOT])):
        (tmp_path / name).mkdir()
        body = {"ok": False, "findings": [finding.to_json() for finding in findings]}
        (tmp_path / name / "doctor.json").write_text(json.dumps(body))
    data = ledger.paths.root
    assert main(["timeline", "--data", str(data), "--csv", str(tmp_path / "MSU 1" / "timeline.csv")]) == 0
    out = tmp_path / "out"
    assert main(["fleet", "report", str(tmp_path / "MSU 2"), str(tmp_path / "MSU 1"), "--out", str(out)]) == 0
    first, second = json.loads((out / "fleet.json").read_text())["vehicles"]
    assert first["name"] == "MSU 1" and first["fit"] is True and first["cases"] == 1
    assert second["fit"] is False and second["unfit"] == ["F-09 Heat: 99 °C"]
    assert "NOT FIT" in (out / "fleet.html").read_text()


def test_a_folder_that_holds_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither doctor\.json"):
        read_fleet([tmp_path])
