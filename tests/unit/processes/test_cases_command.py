from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from edge_app.cli import main
from edge_app.core.types import SeriesOption, Verdict
from edge_app.inference.bundle import load_bundle
from edge_app.store.choices import series_choice
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.retention import remove_study
from edge_app.store.self_tests import announce
from tests.bundles import write_tiny_bundle
from tests.stored_studies import add_ct_study, ct_uid, study_result


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        for study, verdict in enumerate((Verdict.HEMORRHAGE, Verdict.NONE_DETECTED, Verdict.INDETERMINATE), 1):
            add_ct_study(ledger, study, 2)
            result = study_result(study, 2, verdict=verdict, quality=("typed by hand: Müster",))
            ledger.add_result(result, last_instance_id=2 * study)
    return tmp_path / "store"


def import_csv(store: Path, text: str) -> int:
    path = store.parent / "outcomes.csv"
    path.write_text(text)
    return main(["outcomes", "import", str(path), "--data", str(store)])


def test_an_export_names_no_patient_and_holds_every_case(store: Path, tmp_path: Path) -> None:
    import_csv(store, f"study_uid,hemorrhage,ischemic\n{ct_uid(1)},1,0\n")
    out = tmp_path / "out"
    assert main(["cases", "export", "--deid", "--data", str(store), "--out", str(out)]) == 0
    with (out / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["verdict"] for row in rows) == ["hemorrhage", "indeterminate", "none_detected"]
    assert [row["true_hemorrhage"] for row in rows if row["verdict"] == "hemorrhage"] == ["1"]
    for row in rows:
        images = [dcmread(path) for path in sorted((out / row["case"]).iterdir())]
        assert {image.PatientID for image in images} == {row["case"]}
        assert len({image.SeriesInstanceUID for image in images}) == 1
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for word in ("Müster", "PAT-", "19510402", *(ct_uid(n) for n in (1, 2, 3))):
        assert word.encode() not in everything
        assert word.encode("latin-1") not in everything


def test_an_export_leaves_out_self_tests_and_images_that_cannot_be_read_and_goes_on(
    store: Path, tmp_path: Path
) -> None:
    with Ledger(StorePaths(store), "test") as ledger:
        announce(ledger, ct_uid(3))
        path = store / ledger.instances(study_uid=ct_uid(1))[0].path
    cut = path.read_bytes()
    path.write_bytes(cut[: cut.index(b"\x28\x00\x10\x00") + 9])
    out = tmp_path / "out"
    assert main(["cases", "export", "--deid", "--data", str(store), "--out", str(out)]) == 0
    with (out / "cases.csv").open(newline="") as file:
        found = sorted((row["verdict"], row["images"], row["left_out"]) for row in csv.DictReader(file))
    assert found == [("hemorrhage", "1", "1"), ("none_detected", "2", "0")]


def test_an_export_without_deid_or_into_a_full_folder_is_refused(store: Path, tmp_path: Path) -> None:
    assert main(["cases", "export", "--data", str(store), "--out", str(tmp_path / "out")]) == 78
    assert not (tmp_path / "out").exists()
    assert main(["cases", "export", "--deid", "--data", str(store), "--out", str(store)]) == 4


@pytest.mark.requirement("R18")
def test_a_series_is_chosen_by_command_if_it_can_be_analysed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    option = SeriesOption("1.2.9", 7, "HEAD BONE", "BONE", 30, 5.0, 5.0, analysed=False, choosable=True, why="crew")
    foreign = replace(option, series_uid="1.2.8", choosable=False)
    with Ledger(StorePaths(store), "test") as ledger:
        ledger.add_result(study_result(1, 2, series=(option, foreign)), last_instance_id=2)
    choose = ["cases", "choose", "--data", str(store), "--study", ct_uid(1), "--series"]
    assert main([*choose, "1.2.9"]) == 0
    with Ledger(StorePaths(store), "test") as ledger:
        assert series_choice(ledger, ct_uid(1)).series_uid == "1.2.9"
    for refused in ([*choose, "1.2.8"], [*choose[:-2], "1.2.3", "--series", "1.2.9"], choose[:4]):
        assert main(refused) == 78
    assert "cannot be analysed" in capsys.readouterr().err
    assert main([*choose, ""]) == 0


@pytest.mark.requirement("R90")
def test_outcomes_are_taken_in_once_each_and_judged(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger(StorePaths(store), "test") as ledger:
        note_crew(ledger, ct_uid(1), "opinion", {"opinion": "disagree", "by": "nurse", "revision": 1})
        note_crew(ledger, ct_uid(2), "opinion", {"opinion": "disagree", "by": "nurse", "revision": 1})
        note_crew(ledger, ct_uid(2), "opinion", {"opinion": "agree", "by": "nurse", "revision": 1})
    text = f"study_uid,hemorrhage\n{ct_uid(1)},1\n{ct_uid(2)},yes\n{ct_uid(3)},0\n1.2.3,0\n"
    assert import_csv(store, text) == 0
    assert import_csv(store, text) == 0
    assert "3 outcomes taken in, 1 of studies that this store does not know" in capsys.readouterr().out
    assert main(["outcomes", "report", "--data", str(store), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    everything, scanner = report["groups"]
    assert scanner["scanner"] == "SYNTHETIC Testwerk SIM Test 1"
    assert everything["abstained"] == 1
    assert (everything["sensitivity"]["hits"], everything["sensitivity"]["n"]) == (1, 2)
    assert (everything["specificity"]["hits"], everything["specificity"]["n"]) == (0, 1)
    assert everything["disagreements"] == 1
    (week,) = report["weeks"]
    assert (week["studies"], week["abstained"], week["disagreements"]) == (everything["studies"], 1, 1)
    assert report["drift"] == {"index": None, "alert": False, "recent": 50}
    assert main(["outcomes", "report", "--data", str(store)]) == 0
    printed = capsys.readouterr().out
    assert "1/2" in printed and week["week"] in printed


@pytest.mark.requirement("R90")
def test_figures_count_every_patient_s_answer_also_after_its_images_were_removed(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_csv(store, f"study_uid,hemorrhage\n{ct_uid(1)},1\n{ct_uid(2)},1\n") == 0
    assert main(["outcomes", "report", "--data", str(store), "--json"]) == 0
    before = json.loads(capsys.readouterr().out.partition("\n")[2])
    with Ledger(StorePaths(store), "test") as ledger:
        own = study_result(4, 2)
        announce(ledger, own.study_uid)
        ledger.add_result(own, last_instance_id=99)
        with ledger.transaction() as db:
            for table in ("outbox", "deliveries"):
                db.execute(f"UPDATE {table} SET state = 'sent'")
        assert remove_study(ledger, ct_uid(2))
    assert main(["outcomes", "report", "--data", str(store), "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["groups"][0] == before["groups"][0]
    assert (after["weeks"], after["groups"][0]["studies"]) == (before["weeks"], 3)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("study_uid,hemorrhage\n1.2,maybe\n", "line 2"),
        ("study_uid,hemorrhage\n1.2,1\n,1\n", "line 3"),
        ("a,b\n1,2\n", "line 2"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken_in(
    store: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_csv(store, text) == 6
    assert line in capsys.readouterr().err


def test_a_sites_own_patients_give_thresholds_for_the_bundle_that_scored_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    store, lines = tmp_path / "store", ["study_uid,hemorrhage"]
    with Ledger(StorePaths(store), "test") as ledger:
        for number in range(1, 82):
            bled = number % 2
            score = 0.3 + 0.6 * bled
            result = replace(
                study_result(number, 1),
                probabilities={"negative": 1 - score, "hemorrhage": score, "ischemic": 0.0},
                # The last one was scored by another bundle and does not count.
                model=replace(bundle.identity, sha256="f" * 64 if number == 81 else bundle.sha256),
            )
            ledger.put_study(result.study_uid, result.status)
            ledger.add_result(result, last_instance_id=number)
            lines.append(f"{result.study_uid},{bled}")
    assert import_csv(store, "\n".join(lines)) == 0
    out = tmp_path / "site.json"
    words = ["outcomes", "thresholds", "--data", str(store), "--bundle", str(bundle.path)]
    assert main(words) == 78
    assert main([*words, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["base_sha256"] == bundle.sha256
    assert found["operating_points"]["hemorrhage"] == {"t_lo": 0.35, "t_hi": 0.5}
    assert (found["evidence"]["with_haemorrhage"], found["evidence"]["without_haemorrhage"]) == (40, 40)
    assert "sensitivity 1.000 (0.912-1.000)" in capsys.readouterr().out
