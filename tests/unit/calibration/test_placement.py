"""The rules of placement, read back from the graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from calibration.half import float_tensors, to_half
from calibration.largest import largest_values
from calibration.layers import Graph, plain_products
from calibration.quantise import LEAST_SCALE, Placement, Target, observable, place, quantise, weight_scales
from calibration.ranges import observe
from calibration.sensitivity import scan_layers
from edge_app.inference.bundle import demo_bundle_path
from edge_app.inference.onnx_backend import OnnxBackend
from export.onnx_export import export_image_model
from export.onnx_file import read_graph
from tests.tiny_networks import tiny_classifier

FLOAT_ONLY = {"LayerNormalization", "Softmax", "Gelu", "ReduceMean", "Reshape", "Transpose", "Mul"}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, 224, 224), dtype=np.float32)


@pytest.fixture(scope="module")
def convolutional() -> onnx.ModelProto:
    model = read_graph(demo_bundle_path() / "image.onnx")
    plain_products(model)
    return model


@pytest.fixture(scope="module")
def transformer(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    with pytest.MonkeyPatch.context() as patch:
        classifier = tiny_classifier(patch, "vit_b_32")
    model = read_graph(export_image_model(classifier, images, tmp_path_factory.mktemp("vit") / "image.onnx").path)
    plain_products(model)
    return model


def quantised(model: onnx.ModelProto, images: np.ndarray, target: str) -> tuple[onnx.ModelProto, Placement]:
    graph = Graph(model)
    placement = place(graph, graph.layers(), target)
    histograms = observe(model, placement.observed, images)
    made, _ = quantise(model, placement, {name: h.limit("minmax") for name, h in histograms.items()})
    onnx.checker.check_model(made, full_check=True)
    return made, placement


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
@given(kept=st.sets(st.integers(0, 60)))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_layers_are_left_out_no_tensor_is_missing_that_was_not_observed(
    convolutional: onnx.ModelProto, target: Target, kept: set[int]
) -> None:
    graph = Graph(convolutional)
    layers = graph.layers()
    assert graph.residuals(layers), "without residuals nothing moves"
    some = [layer for number, layer in enumerate(layers) if number in kept]
    assert set(place(graph, some, target).observed) <= set(observable(graph, layers, target))


def check_tensorrt_rules(model: onnx.ModelProto) -> None:
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
            axis = {a.name: a.i for a in node.attribute}.get("axis")
            assert (weights[node.input[1]].ndim == 1) == (node.input[0] in weights) == (axis is not None)


def answers(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    with OnnxBackend(model.SerializeToString()) as backend:
        return np.concatenate([backend.run({"image": images[i : i + 1]})["features"] for i in range(len(images))])


def error(model: onnx.ModelProto, exact: onnx.ModelProto, images: np.ndarray) -> float:
    wanted = answers(exact, images)
    return float(np.linalg.norm(answers(model, images) - wanted) / np.linalg.norm(wanted))


def test_a_convolutional_network_is_quantised_by_tensorrts_rules(
    convolutional: onnx.ModelProto, images: np.ndarray
) -> None:
    model, placement = quantised(convolutional, images, "tensorrt")
    check_tensorrt_rules(model)
    assert len(placement.layers) == sum(n.op_type == "Conv" for n in convolutional.graph.node) - 1  # not the map's
    for node in model.graph.node:
        if node.op_type == "Add" and not set(node.input) & {t.name for t in model.graph.initializer}:
            assert sum(name.endswith("/dq") for name in node.input) == 1, "the residual input, and only it"
        if node.op_type in ("Relu", "ReduceMean", "MaxPool"):
            assert not node.input[0].endswith("/dq"), "outputs of layers stay float"
    assert error(model, convolutional, images) < 0.1


def test_for_cpus_convolutions_are_int8_in_and_out(convolutional: onnx.ModelProto, images: np.ndarray) -> None:
    model, placement = quantised(convolutional, images, "cpu")
    readers = Graph(model).consumers
    for layer in placement.layers:
        after = readers[layer.output]
        if after[0].op_type == "Relu":
            after = readers[after[0].output[0]]
        assert "QuantizeLinear" in {node.op_type for node in after}
    zeros = {int(numpy_helper.to_array(t)) for t in model.graph.initializer if t.data_type == onnx.TensorProto.UINT8}
    assert zeros == {0, 128}
    assert error(model, convolutional, images) < 0.1


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_in_a_transformer_only_layers_with_weights_are_int8(
    transformer: onnx.ModelProto, images: np.ndarray, target: str
) -> None:
    model, placement = quantised(transformer, images, target)
    if target == "tensorrt":
        check_tensorrt_rules(model)
    assert Counter(layer.kind for layer in placement.layers) == {"MatMul": 9}  # 4 a block, and the map's own in_proj
    for node in model.graph.node:
        from_int8 = any(name.endswith("/dq") for name in node.input)
        assert from_int8 == (node.op_type == "MatMul" and node.input[1].endswith("/dq")) or node.op_type.endswith(
            "Linear"
        )
    assert error(model, transformer, images) < 0.15


def test_no_layer_of_a_transformer_falls_back_to_float_in_onnx_runtime(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be computed in FP32, from INT8 weights, where a product is joined with its bias or two read one INT8."""
    classifier = tiny_classifier(monkeypatch, "vit_b_32")
    with torch.no_grad():
        for name, parameter in classifier.named_parameters():
            if name.endswith("bias"):  # torchvision's are zero, and would not be exported
                parameter.normal_(std=0.05)
    exact = read_graph(export_image_model(classifier, images, tmp_path / "image.onnx").path)
    plain_products(exact)
    model, _ = quantised(exact, images, "cpu")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert made["MatMulIntegerToFloat"] == 9 and "DequantizeLinear" not in made  # 4 a block, and the map's own


def test_int8_and_fp16_share_a_graph_with_fp32_at_its_borders(transformer: onnx.ModelProto, images: np.ndarray) -> None:
    model, _ = quantised(transformer, images, "tensorrt")
    largest = largest_values(transformer, float_tensors(transformer), images)
    mixed, report = to_half(model, largest)
    onnx.checker.check_model(mixed, full_check=True)
    check_tensorrt_rules(mixed)
    typed = onnx.shape_inference.infer_shapes(mixed)
    kinds = {v.name: v.type.tensor_type.elem_type for v in typed.graph.value_info} | {
        t.name: t.data_type for t in mixed.graph.initializer
    }
    for node in mixed.graph.node:
        if node.op_type in ("LayerNormalization", "Softmax"):
            assert all(kinds[name] == onnx.TensorProto.FLOAT for name in (*node.input, *node.output))
        if node.op_type == "MatMul":
            assert kinds[node.output[0]] == onnx.TensorProto.FLOAT16
    borders = (*mixed.graph.input, *mixed.graph.output)
    assert {value.type.tensor_type.elem_type for value in borders} == {onnx.TensorProto.FLOAT}
    assert report.halved > 20 and not report.kept
    _, report = to_half(transformer, largest | {transformer.graph.node[-1].output[0]: 5000.0, "image": 9000.0})
    assert max(report.kept.values()) == 9000.0


def test_a_channel_of_zeros_has_a_scale_that_fp16_holds() -> None:
    weight = np.array([[0.0, 0.3], [0.0, -0.5]], np.float32)
    scale = weight_scales(weight, 1)
    assert scale[0] >= LEAST_SCALE and scale[1] * 127 >= 0.5
    assert np.array_equal(scale, scale.astype(np.float16).astype(np.float32))
    assert np.isfinite(weight_scales(weight * 1e9, 1)).all()  # beyond FP16 it stays FP32


def test_the_layer_that_spoils_the_answer_is_found(transformer: onnx.ModelProto, images: np.ndarray) -> None:
    layers = Graph(transformer).layers()
    limits = dict.fromkeys((layer.activation for layer in layers), 8.0)
    victim = layers[3]
    effects = scan_layers(transformer, layers, limits | {victim.activation: 0.05}, images)
    assert [effect.layer for effect in effects] == [layer.name for layer in layers]
    assert max(effects, key=lambda effect: effect.logit_error).layer == victim.name
    assert all(effect.logit_error < 0.5 for effect in effects if effect.layer != victim.name)


def test_gemm_becomes_a_product_that_any_runtime_quantises(convolutional: onnx.ModelProto, images: np.ndarray) -> None:
    original = read_graph(demo_bundle_path() / "image.onnx")
    assert any(node.op_type == "Gemm" for node in original.graph.node)
    assert not any(node.op_type == "Gemm" for node in convolutional.graph.node)
    with OnnxBackend(original.SerializeToString()) as one, OnnxBackend(convolutional.SerializeToString()) as other:
        wanted, got = (b.run({"image": images})["logits"] for b in (one, other))
    assert np.allclose(wanted, got, atol=1e-5)
