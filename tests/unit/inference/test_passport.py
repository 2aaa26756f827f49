"""Every field of a passport is checked: whatever does not fit refuses the plan, and the CPU runs instead."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import BackendError
from edge_app.inference import select
from edge_app.inference.bundle import Bundle
from edge_app.inference.passport import (
    Latency,
    Passport,
    check_passport,
    engines_folder,
    passport_path,
    read_passport,
    read_plan,
)
from edge_app.inference.select import Choice, open_bundle_network
from edge_app.worker.models import load_models
from export.engine import make
from export.engine.make import MakeOptions, build_engines
from tests.bundles import image_network
from tests.engines import SCALE, engine_bundle, machine
from tests.fake_pycuda import FakeGpu, fake_pycuda
from tests.fake_tensorrt import Script, fake_tensorrt
from tests.unit.export.engine.conftest import builds_here, requests_seen

__all__ = ["builds_here", "requests_seen"]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, script: Script) -> Iterator[FakeGpu]:
    gpu = FakeGpu()
    for name, module in fake_pycuda(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", gpu, script))
    yield gpu
    assert gpu.clean


@pytest.fixture
def bundle(tmp_path: Path, gpu: FakeGpu, builds_here: None, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Return a bundle whose engines were built on this (fake) Orin Nano."""
    monkeypatch.setattr(make, "measure", lambda *_: Latency(batch=1, runs=50, p50_ms=4.0, p95_ms=5.0))
    bundle = engine_bundle(tmp_path / "bundle", int8=image_network(scale=SCALE))
    build_engines(bundle, machine(), MakeOptions(precision="int8"))
    return bundle


def open_image(bundle: Bundle, **changes: object) -> Choice:
    return open_bundle_network(bundle, "image", threads=1, fingerprint=lambda v: machine(v, **changes).fingerprint)


def image_passport(bundle: Bundle) -> tuple[Path, Passport]:
    path = passport_path(engines_folder(bundle.path, bundle.sha256), "image")
    return path, read_passport(path)


def falls_back(choice: Choice) -> str:
    with choice.backend as backend:
        assert backend.name.startswith("onnxruntime-cpu")
        assert len(backend.run({"image": np.zeros((1, 3, 224, 224), np.float32)})["logits"]) == 1
    return choice.fallback


def test_an_engine_that_fits_runs(bundle: Bundle) -> None:
    choice = open_image(bundle)
    with choice.backend as backend:
        assert (backend.name, choice.fallback) == ("tensorrt 10.3.0 int8", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gpu", "NVIDIA H200"),
        ("compute_capability", "9.0"),
        ("sm_count", 16),
        ("memory_mib", 15360),
        ("tensorrt", "10.3.0.30"),
        ("cuda", "13.0"),
        ("driver", "550.1"),
        ("l4t", "36.4.4"),
        ("jetpack", "7.2"),
        ("module", "NVIDIA Jetson AGX Orin Developer Kit"),
    ],
)
def test_an_engine_of_another_machine_is_refused_by_name_of_the_difference(
    bundle: Bundle, field: str, value: object
) -> None:
    reason = falls_back(open_image(bundle, **{field: value}))
    assert f"{field} is " in reason and repr(value) in reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.update(network="patient"), "made for the patient network"),
        (lambda b: b.update(bundle_sha256="0" * 64), "another bundle"),
        (lambda b: b.update(onnx_sha256="0" * 64), "another ONNX file"),
        (lambda b: b.update(onnx_file="image.onnx"), "another ONNX file"),
        (lambda b: b.update(calibration_sha256="0" * 64), "another calibration"),
        (lambda b: b.update(preprocessing_sha256="0" * 64), "another preprocessing"),
        (lambda b: b.update(typing="weak"), "weakly typed without a reason"),
        (lambda b: b["gate"].update(passed=False), "not accepted by the accuracy gate"),
        (lambda b: b["gate"].update(failures=["1 of 3 patients left haemorrhage"]), "not accepted"),
        (lambda b: b["gate"].update(golden_sha256="0" * 64), "another golden set"),
        (lambda b: b.update(profile={}), "without a profile"),
        (lambda b: b.update(flags=[]), "TF32"),
        (lambda b: b.update(plan_sha256="0" * 64), "named after another plan"),
    ],
)
def test_a_passport_that_does_not_fit_the_bundle_is_refused_though_whole(
    bundle: Bundle, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    path, passport = image_passport(bundle)
    body = passport.model_dump(mode="json")
    change(body)
    path.write_bytes(Passport.model_validate(body).sealed().to_bytes())
    assert said in falls_back(open_image(bundle))


def test_every_single_field_is_under_the_seal(bundle: Bundle) -> None:
    path, passport = image_passport(bundle)
    body = passport.model_dump(mode="json")
    for name, value in body.items():
        if name in ("schema_version", "seal"):
            continue
        other = {str: "x", int: 5, float: 1.5, list: [], dict: {}}[type(value)]
        changed = {**body, name: "other" if value == other else other}
        path.write_text(json.dumps(changed))
        with pytest.raises(BackendError, match=r"passport\.json"):
            read_passport(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{}", "field 'app_version'"), ("no json", "Invalid JSON"), ('{"extra": 1}', "field")],
)
def test_a_passport_that_cannot_be_read_is_refused(bundle: Bundle, content: str, said: str) -> None:
    path, _ = image_passport(bundle)
    path.write_text(content)
    assert said in falls_back(open_image(bundle))


def test_one_changed_byte_in_the_plan_refuses_it(bundle: Bundle) -> None:
    path, passport = image_passport(bundle)
    plan = path.parent / passport.plan_file
    content = bytearray(plan.read_bytes())
    content[-1] ^= 1
    plan.write_bytes(content)
    assert "is not the plan that its passport describes" in falls_back(open_image(bundle))
    plan.unlink()
    assert "cannot be read" in falls_back(open_image(bundle))


def test_an_engine_that_is_replaced_while_it_is_read_is_read_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = image_passport(bundle)
    gone = {"plan_file": "image-000000000000.plan", "plan_sha256": "0" * 64}
    path.write_bytes(new.model_copy(update=gone).sealed().to_bytes())

    def install_and_read(folder: Path, passport: Passport) -> bytes:
        path.write_bytes(new.to_bytes())
        return read_plan(folder, passport)

    monkeypatch.setattr(select, "read_plan", install_and_read)
    choice = open_image(bundle)
    with choice.backend as backend:
        assert (choice.fallback, backend.name.split()[0]) == ("", "tensorrt")


def test_a_plan_that_tensorrt_itself_refuses_falls_back(bundle: Bundle, script: Script) -> None:
    script.deserialise_fails = True
    assert "Version tag does not match" in falls_back(open_image(bundle))


def test_an_engine_that_cannot_run_is_found_before_the_first_patient(bundle: Bundle, script: Script) -> None:
    script.execute_fails = True
    assert "enqueueV3 failed" in falls_back(open_image(bundle))


def test_tensorrt_8_and_a_missing_tensorrt_fall_back_with_the_reason(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "8.6.2")
    assert "8.6.2 is too old" in falls_back(open_image(bundle))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "not installed" in falls_back(open_image(bundle))


def test_a_machine_with_tensorrt_but_without_an_engine_says_so_and_one_without_both_is_silent(
    tmp_path: Path, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = engine_bundle(tmp_path / "bundle")
    assert "no image engine was built" in falls_back(open_image(bundle))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert falls_back(open_image(bundle)) == ""


def test_the_reason_stands_with_every_result_of_the_worker(bundle: Bundle) -> None:
    # This test's machine has no GPU that could be asked, so the engines of the fake Orin are refused.
    settings = AnalysisSettings(bundle=str(bundle.path), threads=1)
    with load_models(settings) as models:
        assert models.backend_name.startswith("onnxruntime-cpu")
        assert len(models.remarks) == 1
        assert "not on a TensorRT engine" in models.remarks[0] and "msu engine build" in models.remarks[0]


def test_a_passport_that_fits_has_no_problems_and_the_folder_is_the_bundles_own(bundle: Bundle, tmp_path: Path) -> None:
    _, passport = image_passport(bundle)
    assert check_passport(passport, "image", bundle, machine().fingerprint) == []
    short = passport.model_copy(update={"network": "patient"})
    assert any("fewer slices" in problem for problem in check_passport(short, "patient", bundle, machine().fingerprint))
    assert engines_folder(bundle.path, bundle.sha256).parent == bundle.path.with_name("bundle.engines")
    assert engines_folder(bundle.path, bundle.sha256, tmp_path).parent == tmp_path
