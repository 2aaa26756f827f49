"""Real engines on this GPU: built, judged, installed, loaded, refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_app.core.errors import BackendError, EngineError
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import NETWORKS, Network, engines_folder, onnx_file, passport_path, read_passport
from edge_app.inference.select import open_bundle_network
from edge_app.inference.tensorrt_backend import TensorRtBackend
from export.engine.machine import Machine
from export.engine.make import Built, MakeOptions, build_engines, golden_of
from export.engine.status import bench, verify
from export.gate import GateLimits
from tests.bundles import image_network
from tests.engines import SCALE, engine_bundle, golden_set


@pytest.fixture(scope="module", params=["tiny", "MSU_DEVICE_BUNDLE"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    if request.param == "tiny":
        return engine_bundle(tmp_path_factory.mktemp("device") / "bundle")
    if not (path := os.environ.get(request.param)):
        pytest.skip(f"{request.param} names no bundle")
    return load_bundle(Path(path))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def built(bundle: Bundle, here: Machine, engines: Path) -> list[Built]:
    return build_engines(bundle, here, MakeOptions(engines=engines))


def test_both_networks_build_pass_the_gate_and_get_a_passport(built: list[Built]) -> None:
    for one in built:
        assert one.passport is not None, one.tried
        assert one.passport.gate.passed and one.passport.whole


@pytest.mark.parametrize("network", NETWORKS)
def test_the_vehicle_runs_the_engine(bundle: Bundle, built: list[Built], engines: Path, network: Network) -> None:
    choice = open_bundle_network(bundle, network, engines=engines)
    with choice.backend as backend:
        assert choice.fallback == ""
        assert backend.name.startswith("tensorrt")


def test_the_gate_passes_again_and_the_engines_are_timed(
    bundle: Bundle, built: list[Built], here: Machine, engines: Path
) -> None:
    golden, _ = golden_of(bundle)
    assert all(gate and gate.passed for _, gate in verify(bundle, engines, here.fingerprint, golden, GateLimits()))
    assert bench(bundle, engines, here.fingerprint, runs=5)


@pytest.mark.parametrize("count", [1, 2, 8, 16, 40])
def test_every_length_of_batch_is_answered_as_by_onnx_runtime_and_with_the_same_bits(
    bundle: Bundle, built: list[Built], engines: Path, count: int
) -> None:
    images = np.random.default_rng(count).random((count, *bundle.manifest.image.input_size), np.float32)
    with open_bundle_network(bundle, "image", engines=engines).backend as backend:
        first, second = backend.run({"image": images}), backend.run({"image": images})
    with OnnxBackend(bundle.read(onnx_file("image", "fp32"))) as reference:
        wanted = reference.run({"image": images})
    for name, value in wanted.items():
        assert first[name].tobytes() == second[name].tobytes()
        assert first[name].shape == value.shape and np.isfinite(first[name]).all()


def test_memory_comes_back_when_an_engine_closes(
    bundle: Bundle, built: list[Built], engines: Path, cuda: Any, context: Any
) -> None:
    with open_bundle_network(bundle, "image", engines=engines).backend:
        pass
    free_before, _ = cuda.mem_get_info()
    for _ in range(3):
        with open_bundle_network(bundle, "image", engines=engines).backend:
            pass
    free_after, _ = cuda.mem_get_info()
    assert free_before - free_after < 64 << 20


def test_a_damaged_plan_is_refused_by_its_hash_and_by_tensorrt_itself(
    bundle: Bundle, built: list[Built], engines: Path
) -> None:
    folder = engines_folder(bundle.path, bundle.sha256, engines)
    passport = read_passport(passport_path(folder, "image"))
    path = folder / passport.plan_file
    whole = path.read_bytes()
    damaged = whole[: len(whole) // 2]
    path.write_bytes(damaged)
    try:
        choice = open_bundle_network(bundle, "image", engines=engines)
        with choice.backend as backend:
            assert backend.name.startswith("onnxruntime") and "not the plan" in choice.fallback
    finally:
        path.write_bytes(whole)
    network = OnnxBackend(bundle.read(onnx_file("image", "fp32")))
    with pytest.raises(BackendError, match="E-103"):
        TensorRtBackend(damaged, network.inputs, network.outputs)


def test_a_network_that_answers_otherwise_is_refused_by_the_gate(here: Machine, tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "bundle", fp16=image_network(scale=-SCALE), golden=golden_set().to_bytes())
    image, _ = build_engines(bundle, here, MakeOptions(precision="fp16", engines=tmp_path / "engines"))
    assert image.passport is None and image.tried[0].outcome == "gate refused"


def test_a_build_can_be_cancelled(bundle: Bundle, here: Machine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cancelled"):
        build_engines(bundle, here, MakeOptions(engines=tmp_path, cancelled=lambda: True))
