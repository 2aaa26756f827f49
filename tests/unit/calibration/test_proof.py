"""The proof of export and calibration, on networks and studies of a size that proves nothing but that it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.proof import __main__ as proof
from calibration.proof import export_one, int8, networks
from calibration.proof.int8 import Int8Sizes, prove_int8
from tests.unit.training.conftest import random_study
from training.image_model import DEMO_ARCHITECTURE
from training.shards import StudySet, write_shard
from training.train_patient import PatientRecipe


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> StudySet:
    folder = tmp_path_factory.mktemp("studies")
    write_shard(folder, 0, [random_study(i, i % 3, slices=4) for i in range(6)])
    return StudySet(folder)


def test_a_network_is_taught_quantised_judged_and_timed(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "PatientRecipe", lambda: PatientRecipe(epochs=2))
    monkeypatch.setattr(networks.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(int8, "JUDGED", 1)
    sizes = Int8Sizes(calibration_slices=4, runs=2, threads=1)
    measured = prove_int8(DEMO_ARCHITECTURE, studies, studies, tmp_path, sizes)
    assert measured["golden"] == {"patients": 6, "slices": 24}
    assert measured["latency"]["1 thread"]["times_faster"] > 0
    assert measured["layers"]["int8"] + measured["layers"]["left_out"] == 9
    assert (tmp_path / f"{DEMO_ARCHITECTURE}.int8.onnx").exists()
    json.dumps(measured)


def test_one_export_says_what_it_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "slices.npy", np.random.default_rng(0).random((2, 3, 224, 224), dtype=np.float32))
    export_one.main("patient-gru", tmp_path / "slices.npy", tmp_path / "patient.onnx")
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["flips"] == 0 and said["memory_mib"] > 0 and said["file_mib"] > 1


def fake_int8(*_: Any) -> dict[str, Any]:
    return {"latency": {"1 thread": {"times_faster": 2.0}}, "patient_flips": 0}


def test_claims_can_be_picked_and_are_written_down_one_by_one(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof, "prove_int8", fake_int8)
    monkeypatch.setattr(proof, "_has_vnni", lambda: True)
    command = ["--out", str(tmp_path), "--threads", "1", "--only"]
    threads = proof.torch.get_num_threads()
    assert proof.main([*command, "resnet152-int8"]) == 0
    assert proof.main([*command, "vit-l-16-int8", "resnet152-int8"]) == 8
    proof.torch.set_num_threads(threads)
    content = json.loads((tmp_path / "proof.json").read_text())
    assert [(claim["id"], claim["ok"]) for claim in content["claims"]] == [
        ("vit-l-16-int8", False), ("resnet152-int8", True),
    ]  # fmt: skip
    assert set(content["claims"][0]) == {"id", "claim", "measured", "goal", "ok"}
    assert "Proof of export and calibration" in (tmp_path / "proof.html").read_text()
    assert "FAILED  vit-l-16-int8" in capsys.readouterr().out


def test_an_export_that_fails_fails_the_claim_and_not_the_run(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap = {"seconds": 1.0, "memory_over_size": 2.0, "flips": 0}
    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof._Proof, "_export_one", lambda *_: cheap)
    command = ["--out", str(tmp_path), "--only", "export", "--families", "resnet18"]
    assert proof.main(command) == 0
    monkeypatch.undo()
    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof, "PATIENTS", {})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert proof.main(command) == 8
    content = json.loads((tmp_path / "proof.json").read_text())
    assert content["claims"][0]["measured"]["resnet18"] == {"error": "no word"}
