"""FP16 written into the graph: every tensor has the type it is computed in, inputs and outputs stay FP32.

LayerNormalization, Softmax and what sums, squares or divides stay FP32, and so does every operation that was seen to
make or read values near FP16's limit. Works on a Q/DQ graph as well: what is not INT8 then is FP16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_app.core.errors import ExportError

__all__ = ["HALF_OPERATIONS", "LARGEST_SAFE", "HalfReport", "float_tensors", "to_half"]

LARGEST_SAFE = 4096.0
"""Values beyond it stay FP32: a sixteenth of FP16's largest, where its steps are 4 wide."""

HALF_OPERATIONS = frozenset({
    "Add", "Clip", "Concat", "Conv", "DequantizeLinear", "Expand", "Flatten", "Gather", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "MatMul", "MaxPool", "Mul", "Pad", "QuantizeLinear", "Relu", "Reshape", "Sigmoid", "Slice",
    "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
"""Everything else stays FP32: LayerNormalization, Softmax, reductions, powers, roots, quotients."""

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@dataclass(frozen=True, slots=True)
class HalfReport:
    """How many operations became FP16; which could have but stayed FP32, by output, with the largest value seen."""

    halved: int
    kept: dict[str, float]


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """Return what operations that could become FP16 read and make: the ranges that `to_half` wants to know."""
    types = _types(model)
    return [
        name
        for node in model.graph.node
        if node.op_type in HALF_OPERATIONS
        for name in (*node.input, *node.output)
        if types.get(name) == _FLOAT
    ]


def to_half(
    model: onnx.ModelProto, largest: Mapping[str, float], *, operations: frozenset[str] = HALF_OPERATIONS
) -> tuple[onnx.ModelProto, HalfReport]:
    """Return a network in FP16 with FP32 inputs and outputs.

    Parameters
    ----------
    model
        FP32, not changed.
    largest
        Largest value seen in a tensor; one that was not seen counts as small.
    operations
        What may become FP16.

    Raises
    ------
    ExportError
        If the result is not typed consistently, which is an error in this program.
    """
    types = _types(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept: dict[str, float] = {}
    halves: set[int] = set()
    for number, node in enumerate(model.graph.node):
        floats = [name for name in (*node.input, *node.output) if types.get(name) == _FLOAT]
        if node.op_type not in operations or not floats:
            continue
        worst = max((_largest(name, largest, weights) for name in floats), default=0.0)
        if worst > LARGEST_SAFE:
            kept[node.output[0]] = worst
        else:
            halves.add(number)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes = _cast_nodes(graph, halves, types, weights)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(copies)
    _cast_weights(graph, copies)
    typed = onnx.shape_inference.infer_shapes(_light(result), strict_mode=True, data_prop=True)
    if any(value.type.tensor_type.elem_type != _FLOAT for value in typed.graph.output):
        raise ExportError("FP16 reached an output", remedy="This is an error in the program: please report it.")
    return result, HalfReport(len(halves), kept)


def _cast_nodes(
    graph: onnx.GraphProto, halves: set[int], types: Mapping[str, int], weights: Mapping[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """Rename what FP16 operations read and make, with a Cast wherever the two types meet."""
    in_half: dict[str, str] = {}
    """FP32 name → name of its FP16 copy."""
    born_half = {name for number in halves for name in graph.node[number].output if types.get(name) == _FLOAT}
    nodes: list[onnx.NodeProto] = []
    back: set[str] = set()
    outputs = {value.name for value in graph.output}
    wanted_float = outputs | {
        name for number, node in enumerate(graph.node) if number not in halves for name in node.input
    }
    for number, node in enumerate(graph.node):
        if number in halves:
            for index, name in enumerate(node.input):
                if types.get(name) != _FLOAT:
                    continue
                if name not in in_half:
                    in_half[name] = f"{name}/half"
                    if name not in weights:
                        nodes.append(helper.make_node("Cast", [name], [in_half[name]], to=_HALF))
                node.input[index] = in_half[name]
            for index, name in enumerate(node.output):
                if name in born_half:
                    in_half[name] = node.output[index] = f"{name}/half"
            nodes.append(node)
            for name in list(node.output):
                plain = name.removesuffix("/half")
                if plain in born_half and plain in wanted_float and plain not in back:
                    back.add(plain)
                    nodes.append(helper.make_node("Cast", [name], [plain], to=_FLOAT))
        else:
            nodes.append(node)
    return nodes


def _cast_weights(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    read = defaultdict(bool)
    for node in nodes:
        for name in node.input:
            read[name] = True
    kept = []
    for tensor in graph.initializer:
        if read[f"{tensor.name}/half"]:
            array = numpy_helper.to_array(tensor)
            limit = np.finfo(np.float16).max
            kept.append(
                numpy_helper.from_array(np.clip(array, -limit, limit).astype(np.float16), f"{tensor.name}/half")
            )
        if read[tensor.name]:
            kept.append(onnx.TensorProto.FromString(tensor.SerializeToString()))
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    typed = onnx.shape_inference.infer_shapes(_light(model), data_prop=True)
    values = (*typed.graph.value_info, *typed.graph.input, *typed.graph.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def _largest(name: str, seen: Mapping[str, float], weights: Mapping[str, onnx.TensorProto]) -> float:
    if name in weights:
        return float(np.abs(numpy_helper.to_array(weights[name])).max(initial=0.0))
    return seen.get(name, 0.0)


def _light(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without large weights, of which inference only needs the shapes."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        kept = light.graph.initializer.add()
        if tensor.ByteSize() < 1 << 12:
            kept.CopyFrom(tensor)
        else:
            kept.name, kept.data_type, kept.data_location = tensor.name, tensor.data_type, TensorProto.EXTERNAL
            kept.dims.extend(tensor.dims)
            kept.external_data.add(key="location", value="elsewhere")
    return light
