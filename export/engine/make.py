"""Build, judge and install a bundle's engines on this device: the whole way of `msu engine build` on one page.

An engine that runs now stays until a new one has passed the gate and lies whole on the disk.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import BackendError, EngineError
from edge_app.inference.backend import Backend, TensorSpec
from edge_app.inference.bundle import Bundle
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import (
    CALIBRATION_FILE,
    GOLDEN_FILE,
    PRECISIONS,
    GateResult,
    IoTensor,
    Latency,
    Network,
    Passport,
    Precision,
    engines_folder,
    onnx_file,
)
from edge_app.inference.tensorrt_backend import TensorRtBackend
from edge_app.store.lock import hold_alone
from export.engine.failures import failure
from export.engine.install import clear_leftovers, install
from export.engine.ladder import Tried, choose, rungs_for, to_rungs
from export.engine.machine import Machine
from export.engine.measure import measure
from export.engine.process import LOG_FILE, OnEvent, run_build
from export.engine.request import BuildReport, BuildRequest, plan_pools, profile_for
from export.gate import GateLimits, GateReport, GoldenScores, judge, score_patients, score_slices
from export.golden import GoldenSet, read_golden

__all__ = ["Built", "MakeOptions", "build_engines", "golden_of"]


@dataclass(frozen=True, slots=True)
class MakeOptions:
    """What the caller of a build decides."""

    precision: Precision | Literal["auto"] = "auto"
    engines: Path | None = None
    golden: Path | None = None
    """A golden set in place of the bundle's own."""
    limits: GateLimits = field(default_factory=GateLimits)
    cancelled: Callable[[], bool] = lambda: False
    on_event: OnEvent | None = None
    on_step: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, eq=False, slots=True)
class Built:
    """What became of one network; `passport` is None if no engine passed, and the CPU goes on."""

    network: Network
    passport: Passport | None
    tried: tuple[Tried, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Candidate:
    """A plan that was built and judged."""

    request: BuildRequest
    report: BuildReport
    gate: GateReport
    latencies: tuple[Latency, ...]
    plan_sha256: str
    plan_bytes: int
    """Of what was judged: a file that is another one by the time it is installed is refused when it is loaded."""


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    """What all builds of one call share."""

    bundle: Bundle
    machine: Machine
    options: MakeOptions
    folder: Path
    work: Path
    golden: GoldenSet
    golden_sha256: str
    reference: GoldenScores
    reference_name: str


def build_engines(bundle: Bundle, machine: Machine, options: MakeOptions) -> list[Built]:
    """Build, judge and install the engines of both networks.

    Raises
    ------
    EngineError
        If a build cannot begin or was cancelled, or the golden set is missing. An engine that does not build or does
        not pass the gate is no error: it is reported.
    BundleError
        If the bundle has changed.
    """
    golden, golden_sha256 = golden_of(bundle, options.golden)
    folder = engines_folder(bundle.path, bundle.sha256, options.engines)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(hold_alone(folder / ".lock"))
        clear_leftovers(folder)
        work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
        stack.callback(shutil.rmtree, work)
        options.on_step("reference: FP32 in ONNX Runtime")
        with OnnxBackend(bundle.read(onnx_file("image", "fp32"))) as image:
            slices = score_slices(golden, image, bundle.manifest)
        patient = stack.enter_context(OnnxBackend(bundle.read(onnx_file("patient", "fp32"))))
        reference = score_patients(golden, slices, patient, bundle.manifest)
        job = _Job(bundle, machine, options, folder, work, golden, golden_sha256, reference, patient.name)
        available = [p for p in PRECISIONS if onnx_file("image", p) in bundle.manifest.files]
        if options.precision != "auto" and options.precision not in available:
            raise EngineError(
                f"the bundle holds no {onnx_file('image', options.precision)}",
                remedy=f"Choose one of {', '.join(available)}, or make it with `msu calibrate`.",
            )

        def image_answer(backend: Backend) -> GoldenScores:
            return score_patients(golden, score_slices(golden, backend, bundle.manifest), patient, bundle.manifest)

        def patient_answer(backend: Backend) -> GoldenScores:
            return score_patients(golden, slices, backend, bundle.manifest)

        return [
            _make(job, "image", rungs_for(options.precision, available), image_answer),
            _make(job, "patient", ("fp32",), patient_answer),
        ]


def _make(job: _Job, network: Network, rungs: Sequence[Precision], answer: Callable[[Backend], GoldenScores]) -> Built:
    """Climb the ladder of one network and install what it ends with."""
    tried: list[Tried] = []
    candidates: dict[Precision, _Candidate] = {}
    for precision in rungs:
        if precision == "fp32" and any(one.outcome == "passed" for one in tried):
            tried.append(Tried("fp32", "not tried", "a lower precision passed"))
            continue
        job.options.on_step(f"{network} engine, {precision}: build")
        try:
            candidate = _build(job, network, precision, answer)
        except EngineError as error:
            if job.options.cancelled():
                raise
            _keep_log(job, f"{network}-{precision}.log")
            tried.append(Tried(precision, "did not build", error.message))
            continue
        candidates[precision] = candidate
        tried.append(
            Tried(
                precision,
                "passed" if candidate.gate.passed else "gate refused",
                "; ".join(candidate.gate.failures),
                candidate.latencies[0].p50_ms if candidate.latencies else None,
            )
        )
    chosen = choose(tried)
    if chosen is None:
        return Built(network, None, tuple(tried))
    passport = _passport(job, candidates[chosen], tried)
    install(job.folder, passport, Path(candidates[chosen].request.plan))
    return Built(network, passport, tuple(tried))


def _build(job: _Job, network: Network, precision: Precision, answer: Callable[[Backend], GoldenScores]) -> _Candidate:
    (job.work / LOG_FILE).unlink(missing_ok=True)  # of the build before
    name = onnx_file(network, precision)
    content = job.bundle.read(name)
    source = job.work / name
    source.write_bytes(content)
    inputs, outputs = _borders(content)
    onnx_sha256 = job.bundle.manifest.files[name]
    request = BuildRequest(
        network=network,
        precision=precision,
        onnx=str(source),
        onnx_sha256=onnx_sha256,
        plan=str(job.work / f"{network}.{precision}.plan"),
        timing_cache=str(_timing_cache(job, onnx_sha256)),
        profile=profile_for(
            network, {spec.name: spec.shape for spec in inputs}, job.bundle.manifest.patient.max_slices
        ),
        pools=plan_pools(job.machine.available_mib, job.machine.fingerprint.memory_mib, len(content) >> 20),
    )
    del content  # the build needs the memory
    report = run_build(request, job.work, on_event=job.options.on_event, cancelled=job.options.cancelled)
    job.options.on_step(f"{network} engine, {precision}: accuracy gate and latency")
    plan = Path(request.plan).read_bytes()
    plan_sha256, plan_bytes = hashlib.sha256(plan).hexdigest(), len(plan)
    try:
        with TensorRtBackend(plan, inputs, outputs, label=precision) as engine:
            del plan  # the GPU of a Jetson needs the memory
            gate = judge(job.reference, lambda: answer(engine), job.options.limits)
            batches = (None, 8) if network == "image" else (None,)
            latencies = tuple(measure(engine, request.profile, batch) for batch in batches) if gate.passed else ()
    except BackendError as error:
        raise failure("build", f"the {precision} engine was built but does not run: {error.message}") from error
    return _Candidate(request, report, gate, latencies, plan_sha256, plan_bytes)


def _keep_log(job: _Job, name: str) -> None:
    """Keep the log of a build that failed, until one of the same network and precision fails again."""
    with suppress(FileNotFoundError):  # the build did not even begin
        (job.work / LOG_FILE).replace(job.folder / name)


def _passport(job: _Job, candidate: _Candidate, tried: Sequence[Tried]) -> Passport:
    request, report, gate = candidate.request, candidate.report, candidate.gate
    manifest = job.bundle.manifest
    inputs, outputs = _borders(Path(request.onnx).read_bytes())
    return Passport(
        app_version=importlib.metadata.version("msu-triage"),
        created_utc=utc_iso(utc_now()),
        network=request.network,
        bundle_sha256=job.bundle.sha256,
        precision=request.precision,
        onnx_file=onnx_file(request.network, request.precision),
        onnx_sha256=request.onnx_sha256,
        calibration_sha256=manifest.files.get(CALIBRATION_FILE, "") if request.precision == "int8" else "",
        preprocessing_sha256=manifest.preprocessing.sha256,
        fingerprint=job.machine.fingerprint,
        power_mode=job.machine.power_mode,
        typing=report.typing,
        typing_reason=report.typing_reason,
        flags=report.flags,
        optimisation_level=request.optimisation_level,
        pools_mib={"workspace": request.pools.workspace_mib, "tactic_dram": request.pools.tactic_dram_mib},
        timing_cache_sha256=report.timing_cache_sha256,
        build_s=report.build_s,
        inputs=tuple(IoTensor(name=s.name, dtype=s.dtype, shape=s.shape) for s in inputs),
        outputs=tuple(IoTensor(name=s.name, dtype=s.dtype, shape=s.shape) for s in outputs),
        profile=request.profile,
        gate=GateResult(
            passed=gate.passed,
            golden_sha256=job.golden_sha256,
            limits=gate.limits,
            measured=gate.measured,
            failures=gate.failures,
            against=job.reference_name,
        ),
        latencies=candidate.latencies,
        ladder=to_rungs(tried, request.precision),
        plan_file=f"{request.network}-{candidate.plan_sha256[:12]}.plan",
        plan_sha256=candidate.plan_sha256,
        plan_bytes=candidate.plan_bytes,
    ).sealed()


def _borders(content: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    with OnnxBackend(content) as network:
        return network.inputs, network.outputs


def _timing_cache(job: _Job, onnx_sha256: str) -> Path:
    """Return the cache of this network on this device: no other network ever writes or reads it."""
    key = hashlib.sha256(f"{job.machine.fingerprint.model_dump_json()} {onnx_sha256}".encode()).hexdigest()
    folder = job.folder / "timing"
    folder.mkdir(exist_ok=True)
    return folder / f"{key[:24]}.cache"


def golden_of(bundle: Bundle, instead: Path | None = None) -> tuple[GoldenSet, str]:
    """Return the bundle's golden set with its hash, or the one in the file `instead`.

    Raises
    ------
    ExportError
        If there is none, or it cannot judge anything.
    """
    if instead is not None:
        try:
            return read_golden(instead.read_bytes())
        except OSError as error:
            raise EngineError(f"{instead} cannot be read: {error}", remedy="Check --golden.") from error
    if GOLDEN_FILE not in bundle.manifest.files:
        raise EngineError(
            f"the bundle holds no golden set ({GOLDEN_FILE}): no engine can be judged",
            remedy="Make the bundle again with one, or name one with --golden.",
        )
    return read_golden(bundle.read(GOLDEN_FILE))
