"""The proof of export and calibration, on networks and studies of a size that proves nothing but that it runs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.models.vision_transformer import VisionTransformer

from calibration.proof import __main__ as proof
from calibration.proof import export_one, int8, networks
from calibration.proof.int8 import PLAIN, Int8Sizes, prove_int8
from calibration.proof.kept import Kept
from calibration.proof.reading import read_lesions
from edge_app.core.errors import ExportError
from tests.unit.training.conftest import random_study
from training.features import FeatureSet
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
    monkeypatch.setattr(networks, "RECIPE", PatientRecipe(epochs=2))
    monkeypatch.setattr(networks.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(int8, "JUDGED", 1)
    kept: dict[str, dict[str, Any]] = {}

    def once(name: str, make: Any) -> dict[str, Any]:
        kept[name] = kept.get(name) or make()
        return kept[name]

    sizes = Int8Sizes(calibration_slices=4, runs=2, threads=1, once=once)
    measured = prove_int8(DEMO_ARCHITECTURE, studies, studies, tmp_path, sizes)
    assert (measured["golden"]["patients"], measured["golden"]["slices"]) == (6, 24)
    assert set(measured["latency"]) == {"plain settings", "the vehicle's settings, 1 thread"}
    assert all(one["times_faster"] > 0 for one in measured["latency"].values())
    assert all(
        spent["all"] > 0 and "Conv" in " ".join(spent) for spent in measured["milliseconds_by_operation"].values()
    )
    assert measured["fp32_on_golden"]["least_margin"] >= 0 and measured["int8_feature_error"] > 0
    assert measured["layers"]["int8"] + measured["layers"]["left_out"] == 9
    assert (tmp_path / f"{DEMO_ARCHITECTURE}.int8.onnx").exists()
    json.dumps(measured)
    monkeypatch.setattr(int8, "teach", None)
    again = prove_int8(DEMO_ARCHITECTURE, studies, studies, tmp_path, sizes)
    assert again["gate"] == measured["gate"]


def test_the_patient_network_learns_from_what_the_taught_network_says(
    studies: StudySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FeatureSet] = []
    monkeypatch.setattr(networks, "train_patient", lambda _, known, __, ___: seen.append(known))
    monkeypatch.setattr(networks.torch.cuda, "is_available", lambda: False)
    taught = networks.teach(DEMO_ARCHITECTURE, networks.pick(studies, np.array([1, 4])), epochs=0)
    (known,) = seen
    assert [record.seed for record in known.records] == [1, 4]
    images = networks.unit_slices(studies, np.flatnonzero(studies.study_of_slice == 4))
    with networks.torch.no_grad():
        said = networks.torch.cat(taught.image.scores(networks.torch.from_numpy(images)), dim=1).numpy()
    np.testing.assert_allclose(known.features[1], said, rtol=1e-3, atol=1e-4)


def test_studies_are_thinned_with_all_that_is_known_of_their_slices(
    studies: StudySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "SLICES", 2)
    part = networks.pick(studies, np.array([0, 4, 5]))
    assert part.slices.tolist() == [0, 3, 16, 19, 20, 23]
    whole = studies.records[4]
    assert part.records[1].positions_mm == (whole.positions_mm[0], whole.positions_mm[3])
    assert part.records[1].slice_labels == tuple(part.labels[2:4])
    golden = networks.golden_from(part)
    assert golden.patients == 3 and golden.position_mm.tolist()[2:4] == list(part.records[1].positions_mm)


def test_of_each_class_the_studies_with_the_largest_lesions_are_taken(tmp_path: Path) -> None:
    made = [random_study(i, i % 3, slices=1) for i in range(9)]
    made = [replace(one, record=replace(one.record, volume_ml=float(i))) for i, one in enumerate(made)]
    write_shard(tmp_path, 0, made)
    found = networks.with_large_lesions(StudySet(tmp_path), 2)
    assert [part.tolist() for part in found] == [[3, 6], [4, 7], [5, 8]]


def test_a_random_transformer_is_taught_to_look_for_lesions() -> None:
    torch = networks.torch
    torch.manual_seed(0)
    net = VisionTransformer(32, 8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=3).eval()
    rng = np.random.default_rng(0)
    images = rng.random((40, 3, 32, 32), dtype=np.float32) * 0.2
    masks = np.zeros((40, 2, 4, 4), np.float32)
    places = rng.integers(0, 4, (40, 2))
    for image, mask, (row, column) in zip(images[:20], masks[:20], places, strict=False):
        image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 0.6
        mask[0, row, column] = 1.0
    rows = read_lesions(net, np.arange(40), lambda part: images[part], masks)
    with torch.no_grad():
        tokens = net.encoder.layers[0](_tokens(net, torch.from_numpy(images)))
        block = net.encoder.layers[1]
        np.testing.assert_allclose(rows, net.encoder.ln(block(tokens))[:, 0].numpy(), rtol=1e-4, atol=1e-5)
        x = block.ln_1(tokens)
        _, weight = block.self_attention(x, x, x, average_attn_weights=False)
    seen = weight[:20, 1, 0, 1:].argmax(dim=1).numpy()
    assert (seen == places[:20, 0] * 4 + places[:20, 1]).mean() > 0.9


def _tokens(net: VisionTransformer, images: Any) -> Any:
    x = net._process_input(images)
    return networks.torch.cat([net.class_token.expand(len(x), -1, -1), x], dim=1) + net.encoder.pos_embedding


def test_one_export_says_what_it_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "slices.npy", np.random.default_rng(0).random((2, 3, 224, 224), dtype=np.float32))
    export_one.main("patient-gru", tmp_path / "slices.npy", tmp_path / "patient.onnx")
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["flips"] == 0 and said["memory_mib"] > 0 and said["file_mib"] > 1


def fake_int8(*_: Any) -> dict[str, Any]:
    golden = {"hemorrhage_by_fp32": 1}
    return {
        "latency": {PLAIN: {"times_faster": 2.0}},
        "patient_flips": 0,
        "gate": {"left_hemorrhage": 0.0},
        "golden": golden,
    }


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
        ("resnet152-int8", True), ("vit-l-16-int8", False),
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


def test_a_stopped_run_goes_on_and_a_finished_one_starts_anew(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measure(architecture: str, *_: Any) -> dict[str, Any]:
        asked.append(architecture)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return fake_int8()

    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof, "prove_int8", measure)
    monkeypatch.setattr(proof._Proof, "_threads", lambda _: 1)
    command = ["--out", str(tmp_path), "--only", "resnet152-int8", "vit-l-16-int8"]
    with pytest.raises(KeyboardInterrupt):
        proof.main(command)
    proof.main(command)
    assert asked == ["resnet152", "vit_l_16", "vit_l_16"]
    assert len(json.loads((tmp_path / "proof.json").read_text())["claims"]) == 2
    proof.main(command)
    assert asked[3:] == ["resnet152", "vit_l_16"]


def test_a_network_that_cannot_be_quantised_fails_its_claim_and_not_the_next(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(architecture: str, *_: Any) -> dict[str, Any]:
        if architecture == "resnet152":
            raise ExportError("no part of the network keeps the budget", remedy="Leave it.")
        return fake_int8()

    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof, "prove_int8", measure)
    monkeypatch.setattr(proof, "_has_vnni", lambda: True)
    monkeypatch.setattr(proof, "LEAST_SPEEDUP", 2.0)
    threads = proof.torch.get_num_threads()
    command = ["--out", str(tmp_path), "--threads", "1", "--only", "resnet152-int8", "vit-l-16-int8"]
    assert proof.main(command) == 8
    proof.torch.set_num_threads(threads)
    first, second = json.loads((tmp_path / "proof.json").read_text())["claims"]
    assert not first["ok"] and "keeps the budget" in first["measured"]["error"]
    assert second["ok"]


def test_no_patient_flips_where_no_haemorrhage_is_found_proves_nothing(
    studies: StudySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "make_split", lambda *_, **__: studies)
    monkeypatch.setattr(proof, "prove_int8", lambda *_: {**fake_int8(), "golden": {"hemorrhage_by_fp32": 0}})
    monkeypatch.setattr(proof, "_has_vnni", lambda: True)
    monkeypatch.setattr(proof, "LEAST_SPEEDUP", 2.0)
    monkeypatch.setattr(proof._Proof, "_threads", lambda _: 1)
    assert proof.main(["--out", str(tmp_path), "--only", "vit-l-16-int8"]) == 8


def test_what_was_kept_for_other_sizes_is_forgotten_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    kept = Kept(file, {"studies": (1, 2)})
    assert kept.once("speed", lambda: {"ms": 1}) == {"ms": 1}
    assert kept.once("export", lambda: {"error": "no memory"}) == {"error": "no memory"}
    again = Kept(file, {"studies": (1, 2)})
    assert again.once("speed", lambda: {"ms": 2}) == {"ms": 1}
    assert again.once("export", lambda: {"mib": 3}) == {"mib": 3}
    assert Kept(file, {"studies": (1, 3)}).once("speed", lambda: {"ms": 4}) == {"ms": 4}
    file.write_text("torn")
    assert Kept(file, {}).once("speed", lambda: {"ms": 5}) == {"ms": 5}
