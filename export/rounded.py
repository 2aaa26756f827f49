"""FP16 networks with FP16's numbers, on a CPU.

ONNX Runtime computes FP16 operations in FP32 on most CPUs and leaves out the rounding in between, so that a network
that overflows on a GPU looks well. Here every FP16 value is rounded to FP16 where it is made, and LayerNormalization
in FP16 is taken apart, since TensorRT 11 computes it in the type of its input: its squares then overflow as they would
there. What is not modelled is the order of sums, which each kernel chooses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_app.inference.backend import Backend
from edge_app.inference.onnx_backend import OnnxBackend
from export.onnx_file import read_graph

__all__ = ["has_half", "open_faithful", "rounded_fp32"]

_HALF, _FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
_MOVES = {
    "Concat", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Relu", "Reshape", "Slice", "Split",
    "Squeeze", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operations that make no new numbers of what is already rounded."""


def open_faithful(model: bytes | Path, *, threads: int = 0) -> Backend:
    """Open a network in ONNX Runtime so that its FP16 parts answer as FP16 does.

    Raises
    ------
    BackendError
        If it cannot be loaded.
    """
    network = onnx.load_from_string(model) if isinstance(model, bytes) else read_graph(model)
    if not has_half(network):
        return OnnxBackend(model, threads=threads)
    return OnnxBackend(rounded_fp32(network).SerializeToString(), threads=threads)


def has_half(model: onnx.ModelProto) -> bool:
    """Return whether any part of a network is FP16."""
    return any(tensor.data_type == _HALF for tensor in model.graph.initializer) or any(
        attribute.name == "to" and attribute.i == _HALF
        for node in model.graph.node
        if node.op_type == "Cast"
        for attribute in node.attribute
    )


def rounded_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network in FP32 that rounds to FP16 wherever `model` is FP16."""
    typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    halves = _half_tensors(typed)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.value_info[:]
    for tensor in graph.initializer:
        if tensor.data_type == _HALF:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        nodes += _plain(copied, halves)
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _half_tensors(model: onnx.ModelProto) -> set[str]:
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    found = {value.name for value in values if value.type.tensor_type.elem_type == _HALF}
    return found | {tensor.name for tensor in model.graph.initializer if tensor.data_type == _HALF}


def _plain(node: onnx.NodeProto, halves: set[str]) -> list[onnx.NodeProto]:
    if node.op_type == "Cast":
        if node.output[0] in halves:
            return _rounding([node.input[0]], [node.output[0]])
        if node.input[0] in halves and _target(node) == _FLOAT:
            return [helper.make_node("Identity", node.input, node.output)]
        return [node]
    made = [name for name in node.output if name in halves]
    if not made or node.op_type in _MOVES:
        return [node]
    if node.op_type == "LayerNormalization":
        return _taken_apart(node)
    inner = {name: f"{name}/exact" for name in made}
    outputs = [inner.get(name, name) for name in node.output]
    del node.output[:]
    node.output.extend(outputs)
    return [node, *_rounding(list(inner.values()), list(inner))]


def _taken_apart(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return LayerNormalization over the last axis, each step rounded."""
    known = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    out, x = node.output[0], node.input[0]
    steps = [
        helper.make_node("ReduceMean", [x, f"{out}/axis"], [f"{out}/mean"], keepdims=1),
        helper.make_node("Sub", [x, f"{out}/mean"], [f"{out}/centred"]),
        helper.make_node("Mul", [f"{out}/centred", f"{out}/centred"], [f"{out}/square"]),
        helper.make_node("ReduceMean", [f"{out}/square", f"{out}/axis"], [f"{out}/variance"], keepdims=1),
        helper.make_node("Add", [f"{out}/variance", f"{out}/epsilon"], [f"{out}/safe"]),
        helper.make_node("Sqrt", [f"{out}/safe"], [f"{out}/deviation"]),
        helper.make_node("Div", [f"{out}/centred", f"{out}/deviation"], [f"{out}/normal"]),
        helper.make_node("Mul", [f"{out}/normal", node.input[1]], [f"{out}/scaled"]),
    ]
    if len(node.input) > 2 and node.input[2]:
        steps.append(helper.make_node("Add", [f"{out}/scaled", node.input[2]], [f"{out}/shifted"]))
    nodes = [
        _constant(f"{out}/axis", np.array([known.get("axis", -1)], np.int64)),
        _constant(f"{out}/epsilon", np.array(known.get("epsilon", 1e-5), np.float32)),
    ]
    for step in steps:
        name = step.output[0]
        step.output[0] = f"{name}/exact"
        nodes += [step, *_rounding([f"{name}/exact"], [out if step is steps[-1] else name])]
    return nodes


def _constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def _rounding(sources: list[str], targets: list[str]) -> list[onnx.NodeProto]:
    nodes = []
    for source, target in zip(sources, targets, strict=True):
        nodes.append(helper.make_node("Cast", [source], [f"{target}/half"], to=_HALF))
        nodes.append(helper.make_node("Cast", [f"{target}/half"], [target], to=_FLOAT))
    return nodes


def _target(node: onnx.NodeProto) -> int:
    return next(attribute.i for attribute in node.attribute if attribute.name == "to")
