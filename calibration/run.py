"""`msu calibrate`: a bundle's FP32 image network to FP16 or INT8, judged before it is written; the flow on one page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx
from tqdm import tqdm

from calibration.choose import BUDGET, Chosen8, choose_int8
from calibration.half import HalfReport, float_tensors, to_half
from calibration.largest import largest_values
from calibration.latency import Speed, race
from calibration.layers import Graph, plain_products
from calibration.quantise import Target, observable
from calibration.ranges import Calibrator, observe
from calibration.report import write_report
from calibration.slices import CalibrationSlices, choose_slices
from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import ExportError
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE, Labels
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import CALIBRATION_FILE, GOLDEN_FILE, onnx_file
from export.facts import network_facts
from export.gate import GateLimits, GateReport, GoldenScores, judge, score_patients, score_slices
from export.golden import GoldenSet, read_golden
from export.onnx_file import facts_of, write_facts
from export.rounded import open_faithful
from training.commit import producer_commit
from training.data.atomic import replacing
from training.data.prepared import open_prepared
from training.experiment import prepared_facts, write_description

__all__ = ["CalibrateOptions", "Calibrated", "calibrate"]

HALF_SLICES = 32
"""Slices on which the largest values are sought; they differ far less than FP16's limit lies away."""

SCAN_SLICES = 4
LATENCY_RUNS = 20


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What to do, with what."""

    bundle: Path | None
    data: Path
    out: Path
    precision: Literal["fp16", "int8"]
    target: Target = "tensorrt"
    calibrator: Calibrator | Literal["auto"] = "auto"
    slices: int = 512
    judged_per_class: int = 4
    golden: Path | None = None
    seed: int = 2023
    threads: int = 0
    say: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True, eq=False, slots=True)
class Calibrated:
    """What became of it; `network` is None if the gate refused it."""

    network: Path | None
    record: dict[str, Any]
    gate: GateReport


def calibrate(options: CalibrateOptions) -> Calibrated:
    """Make a network of lower precision, judge it, and write it with its record and report.

    Raises
    ------
    BundleError, TrainingError, LeakageError
        If bundle or data cannot be used.
    ExportError
        If they do not belong together, the slices are refused, or nothing keeps the accuracy budget.
    """
    bundle = load_bundle(options.bundle)
    golden, golden_sha256 = _golden(bundle, options)
    preparation = prepared_facts(options.data)
    if preparation["profile_sha256"] != bundle.manifest.preprocessing.sha256:
        raise ExportError(
            f"{options.data} was prepared otherwise than the bundle's '{bundle.manifest.preprocessing.profile}'",
            remedy="Run `msu data preprocess` with the bundle's own profile.",
        )
    known = choose_slices(
        open_prepared(options.data),
        options.slices,
        judged_per_class=options.judged_per_class,
        golden=golden,
        seed=options.seed,
    )
    options.say(
        f"{len(known.images)} slices of {known.patients} patients, {known.judged.patients} patients to judge on"
    )
    content = bundle.read(IMAGE_FILE)
    model = onnx.load_from_string(content)
    plain_products(model)
    with OnnxBackend(bundle.read(PATIENT_FILE), threads=options.threads) as patient:
        bench = _Bench(bundle, patient, options.threads)
        found: Chosen8 | None = None
        if options.precision == "int8":
            options.say("FP32 answers for the patients to judge on")
            wanted = bench.answers(known.judged, content)
            found = _int8(
                model,
                known,
                options,
                bundle.manifest.image.labels,
                lambda one: bench.judge(known.judged, wanted, one, BUDGET),
            )
        made, halves = _finish(model, known, options, found)
        _say_what_it_is(made, bundle, options)
        onnx.checker.check_model(made)
        options.say(f"accuracy gate, golden set of {golden.patients} patients")
        reference = bench.answers(golden, content)
        candidate: list[GoldenScores] = []
        gate = bench.judge(golden, reference, made, GateLimits(), candidate)
    result = made.SerializeToString()
    options.say("latency against FP32, in turns")
    speeds = _speeds(content, result, known, options)
    record = _record(options, known, golden_sha256, content, result, found, halves, gate, speeds)
    name = onnx_file("image", options.precision)
    options.out.mkdir(parents=True, exist_ok=True)
    write_report(options.out, name, record, reference, candidate[0] if candidate else None)
    write_description(options.out / (CALIBRATION_FILE if options.precision == "int8" else "fp16.json"), record)
    if not gate.passed:
        (options.out / name).unlink(missing_ok=True)  # of an earlier run: it must not pass for this one's
        return Calibrated(None, record, gate)
    with replacing(options.out / name) as file:
        file.write(result)
    return Calibrated(options.out / name, record, gate)


@dataclass(frozen=True, eq=False, slots=True)
class _Bench:
    """Answers of image networks behind one patient network."""

    bundle: Bundle
    patient: OnnxBackend
    threads: int

    def answers(self, golden: GoldenSet, content: bytes) -> GoldenScores:
        with open_faithful(content, threads=self.threads) as image, tqdm(total=len(golden.images), unit="slice") as bar:
            scores = score_slices(
                golden, image, self.bundle.manifest, on_slice=lambda done, _: bar.update(done - bar.n)
            )
            return score_patients(golden, scores, self.patient, self.bundle.manifest)

    def judge(
        self,
        golden: GoldenSet,
        reference: GoldenScores,
        model: onnx.ModelProto,
        limits: GateLimits,
        keep: list[GoldenScores] | None = None,
    ) -> GateReport:
        def answer() -> GoldenScores:
            scores = self.answers(golden, model.SerializeToString())
            if keep is not None:
                keep.append(scores)
            return scores

        return judge(reference, answer, limits)


def _golden(bundle: Bundle, options: CalibrateOptions) -> tuple[GoldenSet, str]:
    if options.golden is None and GOLDEN_FILE not in bundle.manifest.files:
        raise ExportError(
            "the bundle holds no golden set: nothing could be judged",
            remedy="Make one with `msu export golden`, and name it: --golden FILE.",
        )
    try:
        return read_golden(options.golden.read_bytes() if options.golden else bundle.read(GOLDEN_FILE))
    except OSError as error:
        raise ExportError(f"{options.golden} cannot be read: {error}", remedy="Check the path.") from error


def _int8(
    model: onnx.ModelProto,
    known: CalibrationSlices,
    options: CalibrateOptions,
    labels: Labels,
    judge_one: Callable[[onnx.ModelProto], GateReport],
) -> Chosen8:
    graph = Graph(model)
    layers = graph.layers()
    wanted = observable(graph, layers, options.target)
    with tqdm(total=len(known.images), desc="ranges", unit="slice") as bar:
        histograms = observe(model, wanted, known.images, on_slice=lambda: bar.update())
    few = known.images[:: max(1, len(known.images) // SCAN_SLICES)][:SCAN_SLICES]
    with tqdm(total=len(layers), desc="layers", unit="layer") as bar:
        return choose_int8(
            model, histograms, few, judge_one, target=options.target, calibrator=options.calibrator,
            labels=labels, say=options.say, on_layer=lambda: bar.update(),
        )  # fmt: skip


def _finish(
    model: onnx.ModelProto, known: CalibrationSlices, options: CalibrateOptions, found: Chosen8 | None
) -> tuple[onnx.ModelProto, HalfReport | None]:
    """Turn into FP16 what is not INT8; a network for CPUs stays FP32, since they have no FP16 kernels."""
    if found is not None and options.target == "cpu":
        return found.model, None
    few = known.images[:: max(1, len(known.images) // HALF_SLICES)][:HALF_SLICES]
    with tqdm(total=len(few), desc="largest values", unit="slice") as bar:
        largest = largest_values(model, float_tensors(model), few, on_slice=lambda: bar.update())
    if found is None:
        return to_half(model, largest)
    return to_half(found.model, largest | {f"{name}/dq": value for name, value in largest.items()})


def _say_what_it_is(model: onnx.ModelProto, bundle: Bundle, options: CalibrateOptions) -> None:
    manifest = bundle.manifest
    own = network_facts(
        manifest.preprocessing.profile,
        commit=manifest.producer_commit,
        synthetic=manifest.synthetic,
        labels=manifest.image.labels,
        architecture=manifest.image.architecture,
    )
    made = {"precision": options.precision, "target": options.target, "fp32_sha256": manifest.files[IMAGE_FILE]}
    write_facts(model, own | facts_of(model) | made)


def _speeds(content: bytes, result: bytes, known: CalibrationSlices, options: CalibrateOptions) -> dict[str, Speed]:
    with (
        OnnxBackend(content, threads=options.threads) as exact,
        OnnxBackend(result, threads=options.threads) as made,
    ):
        backends = {"fp32": exact, options.precision: made}
        with tqdm(total=LATENCY_RUNS * len(backends), desc="latency", unit="run") as bar:
            return race(backends, known.images[:1], runs=LATENCY_RUNS, on_run=lambda: bar.update())


def _record(
    options: CalibrateOptions,
    known: CalibrationSlices,
    golden_sha256: str,
    content: bytes,
    result: bytes,
    found: Chosen8 | None,
    halves: HalfReport | None,
    gate: GateReport,
    speeds: dict[str, Speed],
) -> dict[str, Any]:
    int8: dict[str, Any] = {}
    if found is not None:
        int8 = {
            "calibrator": found.calibrator,
            "calibrators_tried": found.tried,
            "scales": found.scales,
            "layers_quantised": [layer.name for layer in found.placement.layers],
            "layers_left_out": list(found.excluded),
            "layer_effects": [asdict(effect) for effect in found.effects],
            "judged": {"patients": known.judged.patients, "slices": len(known.judged.images), **found.judged.measured},
            "budget": found.judged.limits,
        }
    return {
        "schema_version": 1,
        "made_utc": utc_iso(utc_now()),
        "commit": producer_commit(),
        "precision": options.precision,
        "target": options.target,
        "seed": options.seed,
        "fp32_sha256": hashlib.sha256(content).hexdigest(),
        "sha256": hashlib.sha256(result).hexdigest(),
        "golden_sha256": golden_sha256,
        "bytes": {"fp32": len(content), options.precision: len(result)},
        "latency": {name: asdict(speed) for name, speed in speeds.items()},
        "gate": {
            "passed": gate.passed,
            "failures": list(gate.failures),
            "measured": gate.measured,
            "limits": gate.limits,
        },
        **({"int8": int8} if found else {}),
        **({"fp16": {"operations": halves.halved, "kept_fp32_for_range": halves.kept}} if halves else {}),
        "patients": known.patients,
        "slices": [asdict(one) for one in known.chosen],
    }
