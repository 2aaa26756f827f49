"""Claims: a big network in INT8 is faster than in FP32 on a CPU, and no patient's answer changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.choose import Chosen8, choose_int8
from calibration.latency import Runner, by_operation, race
from calibration.layers import Graph, plain_products
from calibration.proof.networks import golden_from, pick, teach, unit_slices, with_large_lesions
from calibration.quantise import observable
from calibration.ranges import observe
from edge_app.core.clock import utc_now
from edge_app.core.types import CLASSES
from edge_app.inference.backend import Array
from edge_app.inference.manifest import Calibration, ImageModel, Manifest, OperatingPoint, PatientModel
from edge_app.inference.onnx_backend import OnnxBackend
from export.bundle import describe_bundle
from export.gate import GateLimits, GateReport, GoldenScores, compare, judge, score_patients, score_slices
from export.golden import GoldenSet
from export.onnx_export import export_image_model, export_patient_model
from export.onnx_file import read_graph
from training.shards import StudySet
from training.synthetic import PROFILE

__all__ = ["PLAIN", "Int8Sizes", "prove_int8"]

PLAIN = "plain settings"
"""By this latency the claims are judged: the goal was set by what plain settings gave."""

TAUGHT, JUDGED, GOLDEN, SCANNED = 14, 2, 4, 2
"""Patients of each class that are taught on, judged on for the budget, and golden; slices for the scan of layers."""

BUDGET = GateLimits(max_patient_change=0.10)
"""What is claimed is of patients; slices of a network taught for minutes lie close to the border of two classes, and
are measured but not judged."""


@dataclass(frozen=True, slots=True)
class Int8Sizes:
    """How much is computed."""

    calibration_slices: int = 128
    runs: int = 20
    epochs: int = 12
    threads: int = 2
    say: Callable[[str], None] = lambda _: None
    once: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]] = lambda _, make: make()
    """Makes what is not kept from a run that was stopped."""


def prove_int8(
    architecture: str, train: StudySet, golden_studies: StudySet, work: Path, sizes: Int8Sizes
) -> dict[str, Any]:
    """Teach, export, quantise, judge and time one network; return what was measured."""
    kept = with_large_lesions(train, JUDGED + TAUGHT)
    judged = golden_from(pick(train, np.concatenate([part[:JUDGED] for part in kept])))
    known = pick(train, np.concatenate([part[JUDGED:] for part in kept]))
    golden_part = pick(golden_studies, np.concatenate(with_large_lesions(golden_studies, GOLDEN)))
    golden = golden_from(golden_part)
    image_path, patient_path = work / f"{architecture}.onnx", work / f"{architecture}.patient.onnx"

    def make() -> dict[str, Any]:
        sizes.say(f"{architecture}: teaching on {len(known.records)} patients, {len(known.slices)} slices")
        taught = teach(architecture, known, epochs=sizes.epochs)
        features = taught.image.features
        sizes.say(f"{architecture}: export")
        export_image_model(taught.image, unit_slices(golden_studies, golden_part.slices[:2]), image_path)
        export_patient_model(taught.patient, features + 3, patient_path)
        return {"how": taught.how, "features": features}

    made = sizes.once(f"{architecture} taught and exported", make)
    manifest = _manifest(architecture, made["features"])
    chosen = np.linspace(0, len(known.slices) - 1, sizes.calibration_slices).round().astype(np.int64)
    images = unit_slices(train, known.slices[chosen])
    with OnnxBackend(patient_path.read_bytes(), threads=sizes.threads) as patient:

        def answers(content: bytes, data: GoldenSet) -> GoldenScores:
            with OnnxBackend(content) as image, tqdm(total=len(data.images), desc="slices", unit="slice") as bar:
                scores = score_slices(data, image, manifest, on_slice=lambda done, _: bar.update(done - bar.n))
                return score_patients(data, scores, patient, manifest)

        exact = image_path.read_bytes()
        expected = answers(exact, judged)

        def judge_one(model: onnx.ModelProto) -> GateReport:
            report = judge(expected, lambda: answers(model.SerializeToString(), judged), BUDGET)
            return replace(report, failures=tuple(filter(_of_patients, report.failures)))

        found = _quantise(image_path, images, judge_one, sizes)
        result = found.model.SerializeToString()
        (work / f"{architecture}.int8.onnx").write_bytes(result)
        sizes.say(f"{architecture}: golden set of {golden.patients} patients, {len(golden.images)} slices")
        reference, candidate = answers(exact, golden), answers(result, golden)
    gate = compare(reference, candidate, GateLimits())
    sizes.say(f"{architecture}: latency")
    right = float((reference.patients.argmax(axis=1) == golden.labels).mean())
    return {
        "network": f"{architecture}, {made['how']}; FP32 is right on {right:.0%} of the golden patients (SYNTHETIC)",
        "latency": _latency(exact, result, images[:1], sizes),
        "milliseconds_by_operation": {
            name: by_operation(content, images[:1], runs=max(1, sizes.runs // 4))
            for name, content in (("fp32", exact), ("int8", result))
        },
        "file_mb": {"fp32": round(len(exact) / 1e6, 1), "int8": round(len(result) / 1e6, 1)},
        "golden": {
            "patients": golden.patients,
            "slices": len(golden.images),
            "hemorrhage_by_fp32": int((reference.patients.argmax(axis=1) == CLASSES.index("hemorrhage")).sum()),
        },
        "patient_flips": round(gate.measured["patient_flip_fraction"] * golden.patients),
        "gate_passed": gate.passed,
        "gate_failures": list(gate.failures),
        "gate": {name: round(value, 6) for name, value in gate.measured.items()},
        "fp32_on_golden": {
            "patients_right": round(right, 3),
            "least_margin": round(float(np.diff(np.sort(reference.patients, axis=1)[:, 1:], axis=1).min()), 4),
        },
        "int8_feature_error": round(_relative(reference.features, candidate.features), 4),
        "kept_budget": found.judged.passed,
        "calibrator": found.calibrator,
        "layers": {"int8": len(found.placement.layers), "left_out": len(found.excluded)},
    }


def _relative(reference: NDArray[np.float64], candidate: NDArray[np.float64]) -> float:
    """Return the error as a share of how much the features differ between slices, which is what answers rest on."""
    return float(np.linalg.norm(candidate - reference) / np.linalg.norm(reference - reference.mean(axis=0)))


def _of_patients(failure: str) -> bool:
    return "slice" not in failure and "proves nothing" not in failure


def _quantise(
    path: Path, images: np.ndarray, judge_one: Callable[[onnx.ModelProto], GateReport], sizes: Int8Sizes
) -> Chosen8:
    model = read_graph(path)
    plain_products(model)
    graph = Graph(model)
    layers = graph.layers()
    with tqdm(total=len(images), desc="ranges", unit="slice") as bar:
        histograms = observe(model, observable(graph, layers, "cpu"), images, on_slice=lambda: bar.update())
    few = images[:: max(1, len(images) // SCANNED)][:SCANNED]
    with tqdm(total=len(layers), desc="layers", unit="layer") as bar:
        return choose_int8(
            model,
            histograms,
            few,
            judge_one,
            target="cpu",
            scan_always=False,
            whole_at_least=True,
            say=sizes.say,
            on_layer=lambda: bar.update(),
        )


class _Plain:
    """ONNX Runtime as it comes: its threads spin between operations, which the vehicle does not let them."""

    def __init__(self, content: bytes, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, Array]) -> object:
        return self._session.run(None, dict(inputs))


def _latency(exact: bytes, result: bytes, image: np.ndarray, sizes: Int8Sizes) -> dict[str, Any]:
    """Time both as ONNX Runtime comes, and as the vehicle runs it."""
    threads = sizes.threads
    measured = {PLAIN: _times(_Plain(exact, threads), _Plain(result, threads), image, sizes.runs)}
    for threads in dict.fromkeys((sizes.threads, 1)):
        with OnnxBackend(exact, threads=threads) as fp32, OnnxBackend(result, threads=threads) as int8:
            name = f"the vehicle's settings, {threads} thread{'s' if threads > 1 else ''}"
            measured[name] = _times(fp32, int8, image, sizes.runs)
    return measured


def _times(fp32: Runner, int8: Runner, image: np.ndarray, runs: int) -> dict[str, float]:
    speeds = race({"fp32": fp32, "int8": int8}, image, runs=runs)
    return {
        "fp32_ms": round(speeds["fp32"].p50_ms, 2),
        "int8_ms": round(speeds["int8"].p50_ms, 2),
        "times_faster": round(speeds["fp32"].p50_ms / speeds["int8"].p50_ms, 2),
        "times_faster_by_fastest_call": round(speeds["fp32"].least_ms / speeds["int8"].least_ms, 2),
    }


def _manifest(architecture: str, features: int) -> Manifest:
    point = OperatingPoint(t_lo=0.3, t_hi=0.5)
    return describe_bundle(
        name="proof",
        version="0",
        created=utc_now(),
        synthetic=True,
        profile=PROFILE,
        image=ImageModel(architecture=architecture, features=features),
        patient=PatientModel(architecture="bidirectional GRU", max_slices=80, distance_threshold=1e9),
        operating_points={"hemorrhage": point, "ischemic": point},
        calibration=Calibration(temperature=1.0),
        training={},
        evaluation={},
    )
