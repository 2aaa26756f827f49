"""The whole way of `msu engine build`, over the fakes: ladder, gate, passport, installation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_app.core.errors import BackendError, EngineError
from edge_app.core.types import CLASSES
from edge_app.inference.backend import Backend
from edge_app.inference.passport import Latency, ProfileRange, engines_folder, passport_path, read_passport, read_plan
from edge_app.inference.select import open_bundle_network
from export.engine import make
from export.engine.failures import failure
from export.engine.make import Built, MakeOptions, build_engines
from export.engine.process import LOG_FILE
from export.engine.request import BuildReport, BuildRequest
from tests.bundles import image_network
from tests.engines import SCALE, engine_bundle, golden_set, machine
from tests.fake_pycuda import FakeGpu
from tests.fake_tensorrt import Script

pytestmark = pytest.mark.usefixtures("gpu", "builds_here")

GOOD = image_network(scale=SCALE * 1.001)
BROKEN = image_network(scale=-SCALE)


@pytest.fixture(autouse=True)
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Give each precision a speed; real ones would differ from run to run."""
    p50_ms = {"int8": 4.0, "fp16": 5.0, "fp32": 9.0}

    def measure(backend: Backend, profile: dict[str, ProfileRange], batch: int | None = None) -> Latency:
        time_ms = p50_ms[backend.name.split()[-1]]
        return Latency(batch=batch or 1, runs=50, p50_ms=time_ms, p95_ms=time_ms * 1.2)

    monkeypatch.setattr(make, "measure", measure)
    return p50_ms


def outcomes(built: Built) -> dict[str, str]:
    return {one.precision: one.outcome for one in built.tried}


def test_the_fastest_rung_that_passes_is_kept_and_runs_in_the_vehicle(tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "bundle", fp16=GOOD, int8=GOOD)
    image, patient = build_engines(bundle, machine(), MakeOptions())
    assert outcomes(image) == {"int8": "passed", "fp16": "passed", "fp32": "not tried"}
    assert image.passport is not None and image.passport.precision == "int8"
    assert [rung.outcome for rung in image.passport.ladder] == ["chosen", "slower", "not tried"]
    assert patient.passport is not None and patient.passport.precision == "fp32"
    for network in ("image", "patient"):
        choice = open_bundle_network(bundle, network, fingerprint=lambda version: machine(version).fingerprint)  # type: ignore[arg-type]
        with choice.backend as backend:
            assert (choice.fallback, backend.name.split()[0]) == ("", "tensorrt")


def test_int8_that_gains_too_little_gives_way_to_fp16(tmp_path: Path, speeds: dict[str, float]) -> None:
    speeds["int8"] = 4.6
    image, _ = build_engines(engine_bundle(tmp_path / "b", fp16=GOOD, int8=GOOD), machine(), MakeOptions())
    assert image.passport is not None and image.passport.precision == "fp16"


def test_a_rung_that_the_gate_refuses_is_told_and_the_next_one_is_tried(tmp_path: Path) -> None:
    image, _ = build_engines(engine_bundle(tmp_path / "b", fp16=BROKEN, int8=BROKEN), machine(), MakeOptions())
    assert outcomes(image) == {"int8": "gate refused", "fp16": "gate refused", "fp32": "passed"}
    assert "left haemorrhage" in image.tried[0].detail
    assert image.passport is not None and image.passport.precision == "fp32"


def test_an_engine_that_answers_with_nan_is_refused(tmp_path: Path, script: Script) -> None:
    script.spoil = lambda answer: {name: value * float("nan") for name, value in answer.items()}
    image, patient = build_engines(engine_bundle(tmp_path / "bundle"), machine(), MakeOptions())
    assert image.passport is None and patient.passport is None
    assert "NaN or infinity" in image.tried[0].detail


def test_a_rung_that_does_not_build_is_told_apart_from_one_that_is_refused(tmp_path: Path, script: Script) -> None:
    script.build_fails = True
    script.build_log = ["Cuda Runtime (out of memory)"]
    image, _ = build_engines(engine_bundle(tmp_path / "bundle", fp16=GOOD), machine(), MakeOptions())
    assert outcomes(image) == {"fp16": "did not build", "fp32": "did not build"}
    assert "out of memory" in image.tried[0].detail and image.passport is None


def test_an_engine_that_runs_stays_until_a_new_one_passed(tmp_path: Path, script: Script) -> None:
    bundle = engine_bundle(tmp_path / "bundle")
    build_engines(bundle, machine(), MakeOptions())
    folder = engines_folder(bundle.path, bundle.sha256)
    before = read_passport(passport_path(folder, "image"))
    script.build_fails = True
    build_engines(bundle, machine(), MakeOptions())
    assert read_passport(passport_path(folder, "image")) == before
    assert (folder / before.plan_file).exists()


def test_the_log_of_a_build_that_failed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: BuildRequest, folder: Path, **_: Any) -> BuildReport:
        (folder / LOG_FILE).write_text(f"words of {request.network}")
        raise failure("build", "it was not built")

    monkeypatch.setattr(make, "run_build", fail)
    bundle = engine_bundle(tmp_path / "bundle")
    build_engines(bundle, machine(), MakeOptions())
    folder = engines_folder(bundle.path, bundle.sha256)
    assert (folder / "image-fp32.log").read_text() == "words of image"
    assert (folder / "patient-fp32.log").read_text() == "words of patient"


def test_a_plan_that_changed_after_it_was_judged_is_not_what_its_passport_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests_seen: list[BuildRequest]
) -> None:
    real = make.choose

    def spoil_and_choose(tried: Any) -> Any:
        plan = Path(requests_seen[-1].plan)
        plan.write_bytes(plan.read_bytes()[:-1] + b"?")
        return real(tried)

    monkeypatch.setattr(make, "choose", spoil_and_choose)
    bundle = engine_bundle(tmp_path / "bundle")
    image, _ = build_engines(bundle, machine(), MakeOptions())
    assert image.passport is not None
    with pytest.raises(BackendError, match="is not the plan that its passport describes"):
        read_plan(engines_folder(bundle.path, bundle.sha256), image.passport)


def test_nothing_but_plans_passports_and_timings_is_left(tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "bundle", fp16=GOOD)
    folder = engines_folder(bundle.path, bundle.sha256)
    (folder / ".building-of-one-that-was-killed").mkdir(parents=True)
    for _ in range(2):
        build_engines(bundle, machine(), MakeOptions())
    left = sorted(path.name.split("-")[0] for path in folder.iterdir())
    assert left == [".lock", "image", "image.passport.json", "patient", "patient.passport.json", "timing"]


def test_no_two_networks_share_a_timing_cache(tmp_path: Path, requests_seen: list[BuildRequest]) -> None:
    build_engines(engine_bundle(tmp_path / "b", fp16=GOOD, int8=BROKEN), machine(), MakeOptions())
    caches = {request.timing_cache for request in requests_seen}
    assert len(caches) == len({request.onnx_sha256 for request in requests_seen}) == 3


def test_the_passport_says_what_how_and_where(tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "bundle", int8=GOOD)
    image, _ = build_engines(bundle, machine(), MakeOptions(precision="int8"))
    passport = image.passport
    assert passport is not None and passport.whole
    assert passport.onnx_sha256 == bundle.manifest.files["image.int8.onnx"]
    assert passport.calibration_sha256 == bundle.manifest.files["calibration.json"]
    assert passport.gate.golden_sha256 == bundle.manifest.files["golden.npz"]
    assert passport.gate.measured["patients"] == len(CLASSES)
    assert passport.fingerprint.tensorrt == "10.3.0" and passport.power_mode == "0003"
    assert passport.profile["image"].largest == (16, 3, 224, 224)
    assert [latency.batch for latency in passport.latencies] == [1, 8]


def test_the_patient_engine_takes_one_to_eighty_slices(tmp_path: Path) -> None:
    _, patient = build_engines(engine_bundle(tmp_path / "bundle"), machine(), MakeOptions())
    assert patient.passport is not None
    assert patient.passport.profile["mask"] == ProfileRange(smallest=(1, 1), best=(1, 40), largest=(1, 80))


def test_a_cancelled_build_is_an_error_and_not_a_rung(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cancelled"):
        build_engines(engine_bundle(tmp_path / "bundle", fp16=GOOD), machine(), MakeOptions(cancelled=lambda: True))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (lambda folder: MakeOptions(precision="fp16"), "holds no image.fp16.onnx"),
        (lambda folder: MakeOptions(golden=folder / "nowhere"), "nowhere cannot be read"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, options: Callable[[Path], MakeOptions], named: str) -> None:
    with pytest.raises(EngineError, match=named):
        build_engines(engine_bundle(tmp_path / "bundle"), machine(), options(tmp_path))


def test_without_a_golden_set_no_engine_is_built_unless_one_is_named(tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "bundle", with_golden=False)
    with pytest.raises(EngineError, match="no golden set"):
        build_engines(bundle, machine(), MakeOptions())
    (tmp_path / "golden.npz").write_bytes(golden_set().to_bytes())
    image, _ = build_engines(bundle, machine(), MakeOptions(golden=tmp_path / "golden.npz"))
    assert image.passport is not None


def test_a_board_without_free_memory_is_told_before_the_build(tmp_path: Path, gpu: FakeGpu) -> None:
    small = machine()
    object.__setattr__(small, "available_mib", 900)
    image, _ = build_engines(engine_bundle(tmp_path / "bundle"), small, MakeOptions())
    assert "900 MiB of memory are free" in image.tried[0].detail
