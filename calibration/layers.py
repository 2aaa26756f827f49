"""Which parts of a network can be quantised: the layers with weights, and what feeds them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from edge_app.core.errors import ExportError
from edge_app.core.types import CLASSES

__all__ = ["Graph", "Layer", "plain_products"]

_HEAD_OUTPUTS = len(CLASSES)
_NOT_NEGATIVE = {"Relu", "Sigmoid", "Softmax", "HardSigmoid"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A Conv, or a MatMul with a weight: `axis` is the output channel's in the weight."""

    name: str
    kind: str
    activation: str
    weight: str
    output: str
    axis: int


class Graph:
    """A network with what is asked of it again and again.

    Parameters
    ----------
    model
        Not changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producer = {name: node for node in model.graph.node for name in node.output if name}
        self.consumers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.consumers[name].append(node)
        self.inputs = {value.name for value in model.graph.input}
        self.outputs = {value.name for value in model.graph.output}

    @property
    def is_transformer(self) -> bool:
        """Return whether the network normalises layers: its residuals then stay float, and its patches too."""
        return any(node.op_type == "LayerNormalization" for node in self.model.graph.node)

    def layers(self) -> list[Layer]:
        """Return the layers that may be quantised, in order.

        Attention products have no weight, the heads (and the maps made of their weights) have as many outputs as there
        are classes, and the patch embedding is a small part of a vision transformer: they stay float.
        """
        found = []
        for node in self.model.graph.node:
            if node.op_type not in ("Conv", "MatMul") or node.input[1] not in self.weights:
                continue
            if node.input[0] in self.weights or (node.op_type == "Conv" and self.is_transformer):
                continue
            dims = self.weights[node.input[1]].dims
            axis = 0 if node.op_type == "Conv" else 1
            if len(dims) >= 2 and dims[axis] > _HEAD_OUTPUTS and (node.op_type == "Conv" or len(dims) == 2):
                found.append(Layer(node.output[0], node.op_type, node.input[0], node.input[1], node.output[0], axis))
        return found

    def residuals(self, layers: list[Layer]) -> dict[str, str]:
        """Return, for each Add of a convolutional network, the input that does not come from its last convolution.

        Quantised as well, it lets TensorRT run convolution and Add as one INT8 kernel.
        """
        if self.is_transformer:
            return {}
        made = {layer.output for layer in layers}
        found = {}
        for node in self.model.graph.node:
            if node.op_type == "Add" and not set(node.input) & set(self.weights):
                left, right = node.input
                if left in made:
                    found[node.output[0]] = right
                elif right in made:
                    found[node.output[0]] = left
        return found

    def not_negative(self, tensor: str) -> bool:
        """Return whether a tensor cannot hold negative values."""
        if tensor in self.inputs:
            return True  # slices are prepared to [0, 1]
        node = self.producer.get(tensor)
        if node is None:
            return False
        if node.op_type in ("MaxPool", "AveragePool", "Reshape", "Transpose", "Identity", "ReduceMean"):
            return self.not_negative(node.input[0])
        return node.op_type in _NOT_NEGATIVE

    def weight(self, layer: Layer) -> np.ndarray:
        """Return a layer's weight as float32."""
        return numpy_helper.to_array(self.weights[layer.weight]).astype(np.float32)


def plain_products(model: onnx.ModelProto) -> None:
    """Turn every Gemm with a weight into MatMul and Add, in place: runtimes quantise that form without conditions.

    Raises
    ------
    ExportError
        If the network has a batch normalisation left, which must be folded before it is quantised.
    """
    graph = model.graph
    if any(node.op_type == "BatchNormalization" for node in graph.node):
        raise ExportError("the network holds BatchNormalization", remedy="Export it with `msu export`, which folds it.")
    weights = {tensor.name: tensor for tensor in graph.initializer}
    turned: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        known = {attribute.name: helper_value(attribute) for attribute in node.attribute}
        scaled = known.get("alpha", 1.0) != 1.0 or known.get("beta", 1.0) != 1.0 or known.get("transA", 0)
        if node.op_type != "Gemm" or node.input[1] not in weights or scaled:
            nodes.append(node)
            continue
        weight = node.input[1]
        if known.get("transB", 0):
            if weight not in turned:
                turned[weight] = f"{weight}/turned"
                array = np.ascontiguousarray(numpy_helper.to_array(weights[weight]).T)
                graph.initializer.append(numpy_helper.from_array(array, turned[weight]))
            weight = turned[weight]
        biased = len(node.input) > 2 and node.input[2]
        product = f"{node.output[0]}/product" if biased else node.output[0]
        nodes.append(onnx.helper.make_node("MatMul", [node.input[0], weight], [product], name=node.name))
        if biased:
            nodes.append(onnx.helper.make_node("Add", [product, node.input[2]], [node.output[0]]))
    if len(nodes) != len(graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
    _drop(graph, set(turned))


def helper_value(attribute: onnx.AttributeProto) -> object:
    """Return an attribute's value."""
    return onnx.helper.get_attribute_value(attribute)


def _drop(graph: onnx.GraphProto, names: set[str]) -> None:
    read = {name for node in graph.node for name in node.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in names - read:
            del graph.initializer[index]
