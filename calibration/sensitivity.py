"""How much each layer alone changes the answer when it is quantised.

One network holds every layer twice, in FP32 and in INT8, behind a switch; it runs once with all switches off and once
for each layer. So the whole network is loaded once, and a scan costs one FP32 run per layer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from calibration.layers import Graph, Layer
from calibration.quantise import place, quantise
from edge_app.core.types import FloatArray
from edge_app.inference.manifest import Labels
from edge_app.inference.predict import class_probabilities
from export.onnx_file import split_weights

__all__ = ["LayerEffect", "scan_layers"]


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """A layer quantised alone: relative error of the logits, and largest change of a slice's probability."""

    layer: str
    kind: str
    logit_error: float
    probability_change: float


def scan_layers(
    model: onnx.ModelProto,
    layers: list[Layer],
    limits: Mapping[str, float],
    images: FloatArray,
    *,
    labels: Labels = "softmax",
    on_layer: Callable[[], None] = lambda: None,
) -> list[LayerEffect]:
    """Return the effect of each layer, in the order of the network.

    Parameters
    ----------
    model
        FP32, after `calibration.layers.plain_products`.
    limits
        Largest value that each layer's input shall hold in INT8.
    images
        (N, 3, 224, 224), a few slices.
    labels
        How the network's logits are read.
    """
    switches = [f"on/{number}" for number in range(len(layers))]
    with tempfile.TemporaryDirectory(prefix="msu-scan-") as folder:
        path = split_weights(_switched(model, layers, limits, switches), Path(folder), "scan.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def answer(switch: str) -> FloatArray:
            states = {name: np.array(name == switch) for name in switches}
            parts = [session.run(["logits"], {"image": image[None], **states})[0] for image in images]
            return np.concatenate(parts)

        reference = answer("")
        chances = class_probabilities(reference, labels)
        effects = []
        for layer, switch in zip(layers, switches, strict=True):
            logits = answer(switch)
            effects.append(
                LayerEffect(
                    layer.name,
                    layer.kind,
                    float(np.linalg.norm(logits - reference) / max(float(np.linalg.norm(reference)), 1e-12)),
                    float(np.abs(class_probabilities(logits, labels) - chances).max()),
                )
            )
            on_layer()
    return effects


def _switched(
    model: onnx.ModelProto, layers: list[Layer], limits: Mapping[str, float], switches: list[str]
) -> onnx.ModelProto:
    placement = place(Graph(model), layers, "tensorrt")
    quantised, _ = quantise(model, placement, limits | {name: 1.0 for name in placement.observed if name not in limits})
    pairs = {node.output[0]: node for node in quantised.graph.node if node.op_type.endswith("eLinear")}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    own = {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(tensor for tensor in quantised.graph.initializer if tensor.name not in own)
    of_output = {layer.output: (layer, switch) for layer, switch in zip(layers, switches, strict=True)}
    nodes = []
    for number, node in enumerate(graph.node):
        if node.output[0] not in of_output:
            nodes.append(node)
            continue
        layer, switch = of_output[node.output[0]]
        inside = [pairs[f"{layer.weight}/dq"], pairs[f"{layer.activation}/q"], pairs[f"{layer.activation}/dq"]]
        exact, coarse = _branch(node, number, "exact", []), _branch(node, number, "coarse", inside)
        nodes.append(helper.make_node("If", [switch], [node.output[0]], then_branch=coarse, else_branch=exact))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(copies)
    graph.input.extend(helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in switches)
    return result


def _branch(node: onnx.NodeProto, number: int, kind: str, before: list[onnx.NodeProto]) -> onnx.GraphProto:
    mark = f"@{number}/{kind}"
    inner = {name for one in before for name in one.output}
    copies = []
    for one in (*before, node):
        copied = onnx.NodeProto()
        copied.CopyFrom(one)
        copied.name = ""
        for index, name in enumerate(copied.input):
            if one is node and before and index < 2:
                copied.input[index] = f"{name}/dq{mark}"
            elif name in inner:
                copied.input[index] = name + mark
        for index, name in enumerate(copied.output):
            copied.output[index] = name + mark
        copies.append(copied)
    output = onnx.ValueInfoProto(name=node.output[0] + mark)
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_graph(copies, kind, [], [output])
