"""`msu export`: from an experiment's folders to ONNX files that say what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from edge_app.cli import main
from export import run_export
from export.golden import read_golden
from export.onnx_file import facts_of, read_graph
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.image_model import DEMO_ARCHITECTURE
from training.run_patient import build_patient, load_patient, save_patient
from training.weights import weights_hash


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("experiment")
    image = Classifier(DEMO_ARCHITECTURE)
    save_image_network(folder / "image", image, {"profile": "msu1", "commit": "c" * 40})
    sizes = {"width": 16, "hidden": 8}
    known = {"arch": "gru", "recipe": "ours", "features": image.features + 3, "sizes": sizes}
    save_patient(folder / "patient", build_patient("gru", "ours", image.features + 3, **sizes), known)
    return folder


def test_an_experiment_becomes_two_networks_that_say_what_they_are(
    experiment: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"export image --image {experiment}/image --data {prepared} --out {tmp_path}/image.onnx --slices 5 --json"
    assert main(image.split()) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["flips"] == 0 and said["decisions"] == 7
    facts = facts_of(read_graph(tmp_path / "image.onnx"))
    assert facts["classes"] == "negative,hemorrhage,ischemic" and facts["training_commit"] == "c" * 40
    assert facts["preprocessing"] == "msu1" and len(facts["preprocessing_sha256"]) == 64
    assert facts["synthetic"] == "true" and facts["architecture"] == f"{DEMO_ARCHITECTURE}, softmax"

    patient = f"export patient --patient {experiment}/patient --image {experiment}/image --data {prepared}"
    assert main([*patient.split(), "--out", str(tmp_path / "patient.onnx")]) == 0
    assert "0 flips" in capsys.readouterr().out
    of_patient = facts_of(read_graph(tmp_path / "patient.onnx"))
    assert of_patient["architecture"] == "gru, ours"
    assert facts["weights"] == of_patient["image_weights"] == weights_hash(load_image_network(experiment / "image")[0])
    assert of_patient["weights"] == weights_hash(load_patient(experiment / "patient")[0])


def test_networks_of_simulated_slices_stay_marked_whatever_they_are_compared_on(
    experiment: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(prepared, tmp_path / "data")
    shutil.copytree(experiment / "image", tmp_path / "image")
    for name, synthetic in (("data/prepared", False), ("image/image", True)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "synthetic": synthetic}))
    written: list[dict[str, str]] = []
    for name in ("export_image_model", "export_patient_model"):
        monkeypatch.setattr(run_export, name, lambda *given, **_: written.append(given[3]))
    run_export.export_image(tmp_path / "image", tmp_path / "data", tmp_path / "image.onnx")
    run_export.export_patient(experiment / "patient", tmp_path / "image", tmp_path / "data", tmp_path / "patient.onnx")
    assert [facts["synthetic"] for facts in written] == ["true", "true"]


def test_a_golden_set_holds_whole_patients_of_every_class(prepared: Path, tmp_path: Path) -> None:
    command = f"export golden --data {prepared} --out {tmp_path}/golden.npz --per-class 1"
    assert main(command.split()) == 0
    golden, _ = read_golden((tmp_path / "golden.npz").read_bytes())
    assert sorted(golden.labels) == [0, 1, 2]
    assert golden.images.max() <= 1.0 and len(golden.images) == sum(len(part) for part in golden.slices_of())
    first = (tmp_path / "golden.npz").read_bytes()
    assert main(command.split()) == 0 and (tmp_path / "golden.npz").read_bytes() == first


def test_more_patients_than_there_are_is_refused(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"export golden --data {prepared} --out {tmp_path}/golden.npz --per-class 90".split()) == 8
    assert "90 are asked for" in capsys.readouterr().err


def test_networks_that_do_not_belong_together_are_refused(
    experiment: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    other = tmp_path / "other"
    save_image_network(other, Classifier("resnet18"), {"profile": "seed2023"})
    command = f"export patient --patient {experiment}/patient --image {other} --data {prepared} --out {tmp_path}/p.onnx"
    assert main(command.split()) == 9
    assert "gives 515" in capsys.readouterr().err
    of_others = tmp_path / "patient"
    shutil.copytree(experiment / "patient", of_others)
    described = json.loads((of_others / "patient.json").read_text())
    (of_others / "patient.json").write_text(json.dumps({**described, "image": "elsewhere", "image_weights": "0" * 64}))
    folders = f"--image {experiment}/image --data {prepared} --out {tmp_path}/p.onnx"
    assert main(f"export patient --patient {of_others} {folders}".split()) == 9
    assert "was trained on the features of elsewhere" in capsys.readouterr().err
    assert main(f"export image --image {other} --data {prepared} --out {tmp_path}/i.onnx".split()) == 9
    assert "was trained on profile seed2023" in capsys.readouterr().err
