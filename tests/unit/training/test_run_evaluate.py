"""An experiment is judged from its folders: one report, one JSON, and a test split that is opened once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge_app.cli import main
from edge_app.core.types import CLASSES
from edge_app.inference.manifest import Calibration, Manifest
from training import targets
from training.evaluation_text import headline
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.image_model import DEMO_ARCHITECTURE
from training.opening import OPENED, OPENINGS
from training.run_evaluate import BUNDLE, CASES, EVALUATION, REPORT
from training.run_patient import load_patient
from training.weights import weights_hash


def run(words: str, *extra: str) -> int:
    return main([*words.split(), *extra])


@pytest.fixture(scope="module")
def experiment(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `data`, `image` and a trained `patient`, judged once into `report`."""
    folder = tmp_path_factory.mktemp("experiment")
    shutil.copytree(prepared, folder / "data")
    torch.manual_seed(0)
    content = json.loads((folder / "data" / "prepared.json").read_text())["content_sha256"]
    save_image_network(folder / "image", Classifier(DEMO_ARCHITECTURE), {"profile": "msu1", "data": content})
    train = f"train patient --data {folder}/data --image {folder}/image --device cpu --epochs 2"
    assert run(f"{train} --out {folder}/patient") == 0
    assert run(words(folder), "--out", str(folder / "report")) == 0
    return folder


def words(folder: Path, patient: str = "patient") -> str:
    folders = f"--data {folder}/data --image {folder}/image --patient {folder}/{patient}"
    return f"train evaluate {folders} --device cpu --cases 2"


@pytest.fixture(scope="module")
def evaluation(experiment: Path) -> dict[str, Any]:
    return json.loads((experiment / "report" / EVALUATION).read_text())


def test_the_report_is_one_file_that_needs_nothing_else(experiment: Path, evaluation: dict[str, Any]) -> None:
    page = (experiment / "report" / REPORT).read_text()
    links = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert links and all(link.startswith("data:image/") for link in links)
    assert "<script" not in page and "@import" not in page
    assert page.count("data:image/jpeg") == len(evaluation["worst_cases"]) == 2
    for words in (
        "Result",
        "By source",
        "Operating points",
        "Calibration",
        "By lesion",
        "Source probe",
        "Heat maps",
        "Worst cases",
    ):
        assert f"<h2>{words}</h2>" in page
    for line in evaluation["headline"]:
        assert line.split(":")[0] in page


@pytest.mark.requirement("R89")
def test_no_number_stands_without_its_n_interval_split_data_and_commit(evaluation: dict[str, Any]) -> None:
    rates = evaluation["test"]["per_class"]["hemorrhage"]
    for name in ("sensitivity", "specificity", "f1", "auc"):
        assert set(rates[name]) == {"value", "n", "ci95"}
    assert evaluation["side"] == "test" and evaluation["commit"] and len(evaluation["data"]["content_sha256"]) == 64
    assert set(evaluation["operating_points"]) == {"hemorrhage", "ischemic"}
    assert evaluation["calibration"]["test"]["before"]["fitted"] == {"temperature": 1.0}
    for when in ("before", "after"):
        assert 0 <= evaluation["calibration"]["test"][when]["hemorrhage"]["ece"]["value"] <= 1
    assert set(evaluation["test"]["by_source"]) == {"rsna", "aisd"}
    assert {"subdural", "none"} <= set(evaluation["test"]["by_lesion"])


def test_simulated_data_are_marked_from_the_raw_files_to_the_bundle(
    experiment: Path, evaluation: dict[str, Any]
) -> None:
    assert json.loads((experiment / "data" / "prepared.json").read_text())["synthetic"] is True
    assert json.loads((experiment / "patient" / "patient.json").read_text())["synthetic"] is True
    assert evaluation["headline"][0].startswith("SYNTHETIC")
    assert json.loads((experiment / "report" / BUNDLE).read_text())["synthetic"] is True


@pytest.mark.requirement("R88")
def test_thresholds_that_hang_on_one_study_are_told(evaluation: dict[str, Any]) -> None:
    studies = evaluation["validation"]["studies"]
    said = f"only {studies['hemorrhage']} hemorrhage and {studies['ischemic']} ischemic studies in validation"
    assert any(line.startswith(said) and "from 50 on" in line for line in evaluation["headline"])


def test_a_class_from_one_source_alone_is_called_unvalidated(evaluation: dict[str, Any]) -> None:
    assert any("ischemic comes from aisd alone" in line and "UNVALIDATED" in line for line in evaluation["headline"])


@pytest.mark.requirement("R86")
def test_networks_that_learnt_from_another_split_are_told_at_the_head(
    experiment: Path, evaluation: dict[str, Any], tmp_path: Path
) -> None:
    assert not any("learnt from other data" in line for line in evaluation["headline"])
    shutil.copytree(experiment / "patient", tmp_path / "patient")
    (tmp_path / "patient" / OPENED).unlink()
    described = json.loads((tmp_path / "patient" / "patient.json").read_text())
    (tmp_path / "patient" / "patient.json").write_text(json.dumps({**described, "data": "another split's"}))
    folders = f"--data {experiment}/data --image {experiment}/image --patient {tmp_path}/patient"
    assert run(f"train evaluate {folders} --device cpu --side validation --cases 0") == 0
    seen = json.loads((tmp_path / "patient" / EVALUATION).read_text())
    assert any(line.startswith("the patient network learnt from other data") for line in seen["headline"])


@pytest.mark.requirement("R38")
def test_heat_maps_that_were_judged_on_one_finding_alone_are_told_at_the_head(evaluation: dict[str, Any]) -> None:
    assert evaluation["heat_map"]["slices_with_masks"]["hemorrhage"] == 0  # RSNA has no masks
    assert evaluation["heat_map"]["slices_with_masks"]["ischemic"] > 0
    passed = {**evaluation, "heat_map": {**evaluation["heat_map"], "passed": True}}
    said = "heat maps passed without a single hemorrhage mask"
    assert any(line.startswith(said) for line in headline(passed))
    assert not any(line.startswith("heat maps") for line in evaluation["headline"])


def test_what_the_bundle_needs_to_know_fits_its_manifest(experiment: Path, evaluation: dict[str, Any]) -> None:
    described = json.loads((experiment / "report" / BUNDLE).read_text())
    filled = {
        "schema_version": 1, "created_utc": "", "producer_commit": "", "classes": list(CLASSES),
        "files": dict.fromkeys(("image.onnx", "patient.onnx", "MODEL_CARD.md"), ""),
    }  # fmt: skip
    manifest = Manifest.model_validate({**described, **filled})
    networks = load_image_network(experiment / "image")[0], load_patient(experiment / "patient")[0]
    assert manifest.evaluation["weights"] == dict(zip(("image", "patient"), map(weights_hash, networks), strict=True))
    sensitivity = evaluation["test"]["per_class"]["hemorrhage"]["sensitivity"]["value"]
    assert manifest.performance("hemorrhage") == (
        sensitivity, evaluation["test"]["per_class"]["hemorrhage"]["specificity"]["value"],
    )  # fmt: skip


def test_patients_are_named_only_in_the_table_that_stays_at_home(experiment: Path, evaluation: dict[str, Any]) -> None:
    table = (experiment / "report" / CASES).read_text().splitlines()
    key = table[1].split(",")[1]
    patient = key.split("|")[0]
    assert len(patient) > 5
    for name in (REPORT, EVALUATION, BUNDLE):
        assert patient not in (experiment / "report" / name).read_text()
    assert {case["case"] for case in evaluation["worst_cases"]} <= {line.split(",")[0] for line in table[1:]}


def test_the_test_split_is_opened_once_and_its_answers_serve_again(
    experiment: Path, evaluation: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = (experiment / "patient" / OPENED).read_text()
    assert run(words(experiment), "--out", str(tmp_path)) == 0
    assert "its answers are used again" in capsys.readouterr().err
    assert (experiment / "patient" / OPENED).read_text() == record
    assert len((experiment / "data" / OPENINGS).read_text().splitlines()) == 1
    again = json.loads((tmp_path / EVALUATION).read_text())
    assert again["test"] == evaluation["test"]
    assert len(again["openings"]["of_this_experiment"]) == again["openings"]["of_this_split"] == 1


def test_another_network_in_the_same_folder_cannot_open_it_in_silence(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = f"train patient --data {experiment}/data --image {experiment}/image --device cpu --epochs 1 --seed 5"
    assert run(f"{train} --out {experiment}/patient") == 9
    assert "has seen its test split" in capsys.readouterr().err
    shutil.copytree(experiment / "patient", tmp_path / "patient")
    shutil.copytree(experiment / "data", tmp_path / "data")
    shutil.copytree(experiment / "image", tmp_path / "image")
    assert run(f"{train} --out {tmp_path}/other") == 0
    for name in ("patient.pt", "patient.json"):
        shutil.copy(tmp_path / "other" / name, tmp_path / "patient" / name)
    assert run(words(tmp_path)) == 9
    error = capsys.readouterr().err
    assert "with other patient" in error and "--open-again" in error
    assert run(words(tmp_path), "--open-again", "trained with another seed") == 0
    seen = json.loads((tmp_path / "patient" / EVALUATION).read_text())
    assert seen["openings"]["of_this_split"] == 2
    assert any("opened 2 times" in line for line in seen["headline"])
    assert "trained with another seed" in (tmp_path / "patient" / REPORT).read_text()


def test_validation_is_judged_without_opening_the_test_split(experiment: Path, tmp_path: Path) -> None:
    before = (experiment / "data" / OPENINGS).read_text()
    shutil.copytree(experiment / "patient", tmp_path / "fresh")
    (tmp_path / "fresh" / OPENED).unlink()
    command = f"train evaluate --data {experiment}/data --image {experiment}/image --patient {tmp_path}/fresh"
    assert run(command, "--device", "cpu", "--side", "validation", "--cases", "0") == 0
    assert not (tmp_path / "fresh" / OPENED).exists()
    assert (experiment / "data" / OPENINGS).read_text() == before
    seen = json.loads((tmp_path / "fresh" / EVALUATION).read_text())
    assert "test" not in seen and any("test split is closed" in line for line in seen["headline"])


def test_a_published_patient_network_is_judged_and_its_blind_spot_is_named(experiment: Path, tmp_path: Path) -> None:
    folders = f"--data {experiment}/data --image {experiment}/image"
    train = f"train patient {folders} --device cpu --epochs 1 --arch gru --recipe seed2023 --out {tmp_path}"
    assert run(train) == 0
    assert run(f"train evaluate {folders} --patient {tmp_path} --device cpu --side validation --cases 0") == 0
    seen = json.loads((tmp_path / EVALUATION).read_text())
    assert any("cannot tell studies unlike its training data" in line for line in seen["headline"])
    described = json.loads((tmp_path / BUNDLE).read_text())
    assert "reads padding" in described["patient"]["architecture"]
    assert described["patient"]["distance_threshold"] > 0


def test_networks_that_do_not_belong_together_are_named(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(9)
    save_image_network(tmp_path / "image", Classifier(DEMO_ARCHITECTURE), {"profile": "msu1"})
    command = f"train evaluate --data {experiment}/data --image {tmp_path}/image --patient {experiment}/patient"
    assert run(command, "--device", "cpu") == 9
    assert "was trained on the features of" in capsys.readouterr().err
    assert run(words(experiment), "--target-sensitivity", "98") == 78
    assert "between 0 and 1" in capsys.readouterr().err


def test_a_damaged_record_of_the_opening_stops_it(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment / "patient", tmp_path / "patient")
    (tmp_path / "patient" / OPENED).write_text("{")
    command = f"train evaluate --data {experiment}/data --image {experiment}/image --patient {tmp_path}/patient"
    assert run(command, "--device", "cpu") == 9


def test_a_damaged_log_of_all_openings_is_named(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(experiment / "data", tmp_path / "data")
    with (tmp_path / "data" / OPENINGS).open("a") as log:
        log.write('{"opened_utc": "2026')  # the power went while it was written
    command = f"train evaluate --data {tmp_path}/data --image {experiment}/image --patient {experiment}/patient"
    assert run(command, "--device", "cpu", "--cases", "0", "--out", str(tmp_path / "report")) == 9
    assert OPENINGS in capsys.readouterr().err


def test_the_answers_kept_are_those_of_the_networks(experiment: Path) -> None:
    kept = json.loads((experiment / "patient" / OPENED).read_text())["answers"]
    assert len(kept["keys"]) == len(kept["logits"]) == len(kept["distances"])
    assert np.isfinite(kept["logits"]).all()


@pytest.mark.requirement("R22")
def test_two_independent_findings_are_trained_calibrated_and_described_for_the_bundle(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "TEACHES", {})  # as if both sources labelled both: AISD here has no study without
    train = f"train patient --data {experiment}/data --image {experiment}/image --device cpu --epochs 2"
    assert run(f"{train} --out {tmp_path}/patient") == 0
    judge = f"train evaluate --data {experiment}/data --image {experiment}/image --patient {tmp_path}/patient"
    assert run(f"{judge} --device cpu --cases 1 --side validation --out {tmp_path}/report") == 0
    evaluation, description = (json.loads((tmp_path / "report" / name).read_text()) for name in (EVALUATION, BUNDLE))
    assert evaluation["networks"]["patient"]["labels"] == description["patient"]["labels"] == "findings"
    assert description["image"]["labels"] == "softmax"
    calibration = Calibration.model_validate(description["calibration"])
    assert calibration.labels == "findings" and calibration.reliability
    assert set(evaluation["calibration"]["validation"]["after"]["fitted"]) == {"hemorrhage", "ischemic"}
    assert "by itself" in (tmp_path / "report" / REPORT).read_text()
