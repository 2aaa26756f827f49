"""INT8 written into the graph: Q/DQ pairs in front of weighted layers, and weights as INT8 behind a DQ.

Rules (TensorRT's guide, "Explicit quantization", and what was measured of vision transformers): only layers with
weights; symmetric, zero point 0; weights per output channel, activations per tensor; inputs of layers and not their
outputs; in convolutional networks also the residual input of Add. Attention products, LayerNormalization, softmax,
GELU, residuals of transformers and heads stay float.

ONNX Runtime's kernels for CPUs ask for more: it fuses a convolution only if its output is quantised too, removes a
ReLU only in front of UINT8 with zero point 0, and computes in FP32 where two layers read one INT8, but not one UINT8.
Target ``cpu`` adds that; TensorRT would refuse such a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.layers import Graph, Layer

__all__ = ["Placement", "Target", "observable", "place", "quantise", "weight_scales"]

Target = Literal["tensorrt", "cpu"]

LEAST_SCALE = 1e-6
"""A channel of zeros has no scale of its own; FP16 can still hold this one."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where Q/DQ pairs go: `tensors` for all who read them, `residuals` only for one Add each (by its output)."""

    layers: tuple[Layer, ...]
    tensors: tuple[str, ...]
    residuals: dict[str, str]
    target: Target

    @property
    def observed(self) -> tuple[str, ...]:
        """Return every tensor whose range must be known."""
        return tuple(dict.fromkeys((*self.tensors, *self.residuals.values())))


def place(graph: Graph, layers: Sequence[Layer], target: Target) -> Placement:
    """Return where the Q/DQ pairs of `layers` go."""
    tensors = [layer.activation for layer in layers]
    residuals = graph.residuals(list(layers))
    if target == "cpu":
        ready = {*tensors, *residuals.values()}
        for layer in layers:
            if layer.kind == "Conv" and not _absorbed(graph, layer.output, ready):
                tensors.append(layer.output)
    return Placement(tuple(layers), tuple(dict.fromkeys(tensors)), residuals, target)


def observable(graph: Graph, layers: Sequence[Layer], target: Target) -> tuple[str, ...]:
    """Return every tensor whose range must be known to place any part of `layers`.

    Left-out layers move pairs: of an Add both branches may be the residual, and a convolution's output is no longer
    quantised behind what followed it.
    """
    wanted = [layer.activation for layer in layers]
    if target == "cpu":
        wanted += [layer.output for layer in layers if layer.kind == "Conv"]
    for layer in layers:
        wanted += graph.residuals([layer]).values()
    return tuple(dict.fromkeys(wanted))


def quantise(
    model: onnx.ModelProto, placement: Placement, limits: Mapping[str, float]
) -> tuple[onnx.ModelProto, dict[str, float]]:
    """Return a network with Q/DQ pairs, and the scale of every quantised activation.

    Parameters
    ----------
    model
        Not changed; FP32, after `calibration.layers.plain_products`.
    placement
        From `place`.
    limits
        Largest value that each of `placement.observed` shall hold.
    """
    graph = Graph(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    kept = {tensor.name: tensor for tensor in result.graph.initializer}
    pairs: dict[str, list[onnx.NodeProto]] = {}
    added: list[onnx.TensorProto] = []
    scales: dict[str, float] = {}
    weight_nodes: dict[str, list[onnx.NodeProto]] = {}
    for tensor in placement.observed:
        scale, zero = _activation(graph, placement.target, tensor, limits[tensor])
        scales[tensor] = float(scale)
        names = (tensor, f"{tensor}/scale", f"{tensor}/zero")
        added += [numpy_helper.from_array(scale, names[1]), numpy_helper.from_array(zero, names[2])]
        pairs[tensor] = [
            helper.make_node("QuantizeLinear", names, [f"{tensor}/q"], name=f"{tensor}/QuantizeLinear"),
            helper.make_node(
                "DequantizeLinear", [f"{tensor}/q", *names[1:]], [f"{tensor}/dq"], name=f"{tensor}/DequantizeLinear"
            ),
        ]
    for layer in placement.layers:
        if layer.weight not in weight_nodes:
            tensors, node = _weight(graph, layer)
            added += tensors
            weight_nodes[layer.weight] = [node]
    of_output = {layer.output: layer for layer in placement.layers}
    shared = set(placement.tensors)
    outputs = graph.outputs
    nodes: list[onnx.NodeProto] = []
    for name in graph.inputs & set(placement.observed):
        nodes += pairs[name]
    for node in result.graph.node:
        layer = of_output.get(node.output[0])
        if layer is not None:
            nodes += weight_nodes.pop(layer.weight, [])
            node.input[1] = f"{layer.weight}/dq"
        for index, name in enumerate(node.input):
            if _reads_quantised(graph, placement, node, name, layer, shared):
                node.input[index] = f"{name}/dq"
        nodes.append(node)
        for name in node.output:
            nodes += pairs.get(name, [])
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del result.graph.node[:]
    result.graph.node.extend(copies)
    del result.graph.value_info[:]
    read = {name for node in copies for name in node.input} | outputs
    remaining = [tensor for name, tensor in kept.items() if name in read]
    everything = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in (*remaining, *added)]
    del result.graph.initializer[:]
    result.graph.initializer.extend(everything)
    return result, scales


def weight_scales(weight: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return one scale per output channel; FP16 holds each exactly, so that an FP16 graph has the same INT8 weights."""
    largest = np.abs(weight).max(axis=tuple(i for i in range(weight.ndim) if i != axis))
    return _in_half(np.maximum(largest / 127, LEAST_SCALE))


def _in_half(scale: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return scales rounded up to FP16, as rounded down they would cut off the largest value; FP16's limit is theirs.

    A tensor of such values stays FP32 in an FP16 graph (`calibration.half`).
    """
    exact = np.asarray(scale, np.float32)
    half = np.minimum(exact, np.finfo(np.float16).max).astype(np.float16)
    with np.errstate(over="ignore"):  # the next one after FP16's largest is infinity
        up = np.where(half.astype(np.float32) < exact, np.nextafter(half, np.float16(np.inf)), half).astype(np.float32)
    return np.asarray(np.where(np.isfinite(up), up, exact), np.float32)


def _weight(graph: Graph, layer: Layer) -> tuple[list[onnx.TensorProto], onnx.NodeProto]:
    weight = graph.weight(layer)
    scale = weight_scales(weight, layer.axis)
    shape = [1] * weight.ndim
    shape[layer.axis] = -1
    whole = np.clip(np.rint(weight / scale.reshape(shape)), -127, 127).astype(np.int8)
    names = [f"{layer.weight}/int8", f"{layer.weight}/scale", f"{layer.weight}/zero"]
    tensors = [
        numpy_helper.from_array(value, name)
        for value, name in zip((whole, scale, np.zeros(len(scale), np.int8)), names, strict=True)
    ]
    name = f"{layer.weight}/DequantizeLinear"
    return tensors, helper.make_node("DequantizeLinear", names, [f"{layer.weight}/dq"], name=name, axis=layer.axis)


def _activation(
    graph: Graph, target: Target, tensor: str, limit: float
) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    if target == "cpu":
        if graph.not_negative(tensor):
            return _in_half(np.array(max(limit / 255, LEAST_SCALE))), np.array(0, np.uint8)
        return _in_half(np.array(max(limit / 127, LEAST_SCALE))), np.array(128, np.uint8)
    return _in_half(np.array(max(limit / 127, LEAST_SCALE))), np.array(0, np.int8)


def _absorbed(graph: Graph, output: str, ready: set[str]) -> bool:
    """Return whether a convolution's output is quantised as it is, or behind nothing but a ReLU."""
    if output in ready:
        return True
    readers = graph.consumers[output]
    return len(readers) == 1 and readers[0].op_type == "Relu" and readers[0].output[0] in ready


def _reads_quantised(
    graph: Graph, placement: Placement, node: onnx.NodeProto, name: str, layer: Layer | None, shared: set[str]
) -> bool:
    if name in graph.weights or name not in placement.observed:
        return False
    if layer is not None:
        return name == layer.activation
    if placement.residuals.get(node.output[0] if node.output else "") == name:
        return True
    # For CPUs a convolution's own output is quantised for whoever reads it; else only layers read INT8.
    made_here = placement.target == "cpu" and any(one.output == name for one in placement.layers)
    return made_here and name in shared
