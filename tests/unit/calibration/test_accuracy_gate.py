"""What must never be accepted: an FP16 transformer that overflows, and INT8 calibrated on noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from calibration.half import HALF_OPERATIONS, float_tensors, to_half
from calibration.largest import largest_values
from calibration.layers import Graph, plain_products
from calibration.quantise import place, quantise
from calibration.ranges import observe
from edge_app.inference.onnx_backend import OnnxBackend
from export.onnx_export import export_image_model
from export.onnx_file import read_graph
from export.rounded import open_faithful, rounded_fp32
from tests.engines import golden_set
from tests.tiny_networks import tiny_classifier
from tests.unit.calibration.networks import detector, gate, manifest_with, teach


@pytest.fixture(scope="module")
def loud_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a vision transformer whose residuals reach some 2000: no trouble for FP16, but their squares are."""
    images = np.stack([golden_set().images[i] for i in (0, 2, 4)])
    with pytest.MonkeyPatch.context() as patch:
        model = tiny_classifier(patch, "vit_b_32")
    with torch.no_grad():
        model.net.conv_proj.weight.mul_(400)
        model.net.encoder.pos_embedding.normal_(std=300.0)
    teach(model, images)
    return export_image_model(model, images, tmp_path_factory.mktemp("vit") / "image.onnx").path


def to_fp16(path: Path, operations: frozenset[str] = HALF_OPERATIONS) -> bytes:
    model = read_graph(path)
    largest = largest_values(model, float_tensors(model), golden_set().images[::2])
    assert 500 < largest["image"] + max(largest.values()) < 4096
    made, _ = to_half(model, largest, operations=operations)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def test_an_fp16_transformer_with_layer_normalisation_in_fp32_passes(loud_vit: Path, tmp_path: Path) -> None:
    half = to_fp16(loud_vit)
    assert len(half) < 0.62 * loud_vit.stat().st_size
    report = gate(manifest_with(tmp_path, 32), loud_vit.read_bytes(), half)
    assert report.passed, report.failures


def test_an_fp16_transformer_with_layer_normalisation_in_fp16_overflows_and_is_refused(
    loud_vit: Path, tmp_path: Path
) -> None:
    broken = to_fp16(loud_vit, HALF_OPERATIONS | {"LayerNormalization"})
    report = gate(manifest_with(tmp_path, 32), loud_vit.read_bytes(), broken)
    assert not report.passed
    assert any("left haemorrhage" in failure or "NaN" in failure for failure in report.failures)


def test_fp16_is_rounded_as_numpy_rounds_it(loud_vit: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    half = to_fp16(loud_vit)
    image = golden_set().images[2:3]
    with open_faithful(half) as faithful:
        ours = faithful.run({"image": image})
    exact = ReferenceEvaluator(read_graph(loud_vit)).run(["logits"], {"image": image})[0]
    theirs = ReferenceEvaluator(onnx.load_from_string(half)).run(["logits"], {"image": image})[0]
    error = np.abs(theirs - exact).max()
    assert 0 < error < 1.5 and 0.2 * error < np.abs(ours["logits"] - exact).max() < 5 * error


def test_rounding_reaches_infinity_where_fp16_does() -> None:
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
        onnx.helper.make_node("Mul", ["h", "h"], ["square"]),
        onnx.helper.make_node("Cast", ["square"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    border = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3]) for name in "xy"]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "square", border[:1], border[1:]),
        opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10,
    )  # fmt: skip
    with OnnxBackend(rounded_fp32(model).SerializeToString()) as backend:
        got = backend.run({"x": np.array([300.0, 1.0001, 100.05], np.float32)})["y"]
    assert got[0] == np.inf and got[1] == 1.0
    assert got[2] == np.float32(np.float16(100.05) * np.float16(100.05))


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
@pytest.mark.parametrize("calibrator", ["minmax", "entropy", "percentile"])
def test_int8_calibrated_on_noise_is_refused_and_on_bright_slices_accepted(
    tmp_path: Path, target: str, calibrator: str
) -> None:
    model = onnx.load_from_string(detector())
    plain_products(model)
    graph = Graph(model)
    placement = place(graph, graph.layers(), target)
    rng = np.random.default_rng(0)
    noise = rng.random((12, 3, 224, 224), dtype=np.float32)
    bright = np.clip(golden_set().images + 0.05 * noise[:6], 0, 1)
    for images, passes in ((noise, False), (bright, True)):
        histograms = observe(model, placement.observed, images)
        made, _ = quantise(model, placement, {n: h.limit(calibrator) for n, h in histograms.items()})
        report = gate(manifest_with(tmp_path / str(passes), 4), detector(), made.SerializeToString())
        assert report.passed is passes, report.failures
        assert passes or "1 of 3 patients left haemorrhage" in report.failures
