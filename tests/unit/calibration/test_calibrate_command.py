"""`msu calibrate`, from a bundle and prepared slices to a network that goes into the next bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration import run, slices
from edge_app.cli import main
from edge_app.inference.bundle import load_bundle
from export.onnx_file import facts_of, read_graph
from tests.engines import golden_set
from tests.unit.calibration.networks import detector_bundle


@pytest.fixture
def command(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(slices, "LEAST", 12)
    monkeypatch.setattr(run, "LATENCY_RUNS", 2)
    detector_bundle(tmp_path / "bundle")
    (tmp_path / "golden.npz").write_bytes(golden_set().to_bytes())
    where = f"--bundle {tmp_path}/bundle --data {prepared} --out {tmp_path}/out --golden {tmp_path}/golden.npz"
    return f"calibrate {where} --slices 15 --judge 1 --threads 1"


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_int8_is_made_judged_and_reported(
    command: str, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"{command} --precision int8 --target {target}".split()) == 0
    assert "gate passed" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"image.int8.onnx", "calibration.json", "image.int8.report.html", "image.int8.report.png"}
    record = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert record["gate"]["passed"] and record["gate"]["measured"]["left_hemorrhage"] == 0
    assert len(record["slices"]) == 15 and all(len(one["sha"]) == 32 for one in record["slices"])
    assert set(record["int8"]["calibrators_tried"]) == {"minmax", "entropy", "percentile"}
    assert len(record["int8"]["layer_effects"]) == 3
    assert record["flips"]["patients"]["hemorrhage"] == {"answers": 1, "flips": 0, "to_negative": 0, "to_ischemic": 0}
    assert sum(record["probability_shift"]["slices"]) == 6
    assert record["latency"]["int8"]["p50_ms"] > 0 and record["latency"]["fp32"]["runs"] == 2
    facts = facts_of(read_graph(tmp_path / "out" / "image.int8.onnx"))
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert facts["target"] == target and facts["fp32_sha256"] == manifest.files["image.onnx"] == record["fp32_sha256"]
    page = (tmp_path / "out" / "image.int8.report.html").read_text()
    assert "accepted" in page and "data:image/png;base64" in page


def test_fp16_is_made_and_goes_into_the_next_bundle(command: str, tmp_path: Path) -> None:
    assert main(f"{command} --precision fp16".split()) == 0
    assert (tmp_path / "out" / "fp16.json").is_file()
    (tmp_path / "changes.json").write_text('{"evaluation": {}}')
    make = f"bundle make --from {tmp_path}/bundle --out {tmp_path}/next --image-fp16 {tmp_path}/out/image.fp16.onnx"
    make += f" --golden {tmp_path}/golden.npz --description {tmp_path}/changes.json"
    assert main(make.split()) == 0
    assert "image.fp16.onnx" in load_bundle(tmp_path / "next").manifest.files


@pytest.mark.parametrize("option", ["--target cpu", "--calibrator entropy"])
def test_what_only_int8_knows_is_refused_for_fp16(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"calibrate --precision fp16 {option} --data nowhere --out nowhere".split()) == 78
    assert "are of INT8" in capsys.readouterr().err


def test_what_the_gate_refuses_is_reported_and_not_kept(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = golden_set()
    dim = golden.images * 0.0
    (tmp_path / "golden.npz").write_bytes(
        type(golden)(dim.astype(np.float32), golden.patient, golden.position_mm, golden.labels).to_bytes()
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image.fp16.onnx").write_bytes(b"of an earlier run")
    bundle = tmp_path / "bundle"
    from tests.bundles import patient_network, write_tiny_bundle
    from tests.unit.calibration.networks import detector

    write_tiny_bundle(bundle, image=detector(), patient=patient_network(features=4), features=4)
    assert main(f"{command} --precision fp16".split()) == 8
    assert "proves nothing" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "fp16.json", "image.fp16.report.html", "image.fp16.report.png",
    }  # fmt: skip


def test_a_bundle_without_golden_set_cannot_be_calibrated(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = command.replace(f"--golden {tmp_path}/golden.npz", "")
    assert main(f"{without} --precision int8".split()) == 8
    assert "msu export golden" in capsys.readouterr().err
