"""Fold the batch normalisation behind the sum of two convolutions into both of them.

Exporters fold one that stands behind a single convolution. What would be left behind a sum costs a pass over the map on
every device, and keeps a quantiser out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.onnx_file import tensor_array

__all__ = ["fold_sum_norms"]

_CHANNELS = {"Conv": 0, "ConvTranspose": 1}
"""Axis of the output channels in the weights of a convolution that has one group."""


def fold_sum_norms(model: onnx.ModelProto, folder: Path) -> int:
    """Fold every such normalisation, and return how many.

    Parameters
    ----------
    model
        Changed in place.
    folder
        Where its external weights lie.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, int] = {}
    for name in [name for node in graph.node for name in node.input] + [value.name for value in graph.output]:
        readers[name] = readers.get(name, 0) + 1
    weights = {tensor.name: tensor for tensor in graph.initializer}
    gone = []
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        add = makers.get(norm.input[0])
        if add is None or add.op_type != "Add" or readers[add.output[0]] != 1:
            continue
        parts = [makers.get(name) for name in add.input]
        if not all(part is not None and _foldable(part, weights, readers) for part in parts):
            continue
        scale, shift, mean, variance = (tensor_array(weights[name], folder) for name in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance.astype(np.float64) + epsilon)
        for part, offset in zip(parts, (shift - mean * factor, np.zeros_like(factor)), strict=True):
            assert part is not None  # checked above
            _scale(graph, part, factor, offset, weights, folder)
        add.output[0] = norm.output[0]
        gone.append(norm)
    for norm in gone:
        graph.node.remove(norm)
    return len(gone)


def _foldable(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto], readers: dict[str, int]) -> bool:
    grouped = any(a.name == "group" and a.i != 1 for a in node.attribute)
    alone = all(name in weights and readers[name] == 1 for name in node.input[1:])
    return node.op_type in _CHANNELS and not grouped and alone and readers[node.output[0]] == 1


def _scale(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    weights: dict[str, onnx.TensorProto],
    folder: Path,
) -> None:
    """Multiply a convolution's output by `factor` and add `offset`, by its weights and bias."""
    old = tensor_array(weights[node.input[1]], folder)
    shape = [1] * old.ndim
    shape[_CHANNELS[node.op_type]] = -1
    bias = offset
    if len(node.input) > 2:
        bias = tensor_array(weights[node.input[2]], folder) * factor + offset
    for index, value in ((1, old * factor.reshape(shape)), (2, bias)):
        name = f"{node.output[0]}/folded_{index}"
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        if index < len(node.input):
            node.input[index] = name
        else:
            node.input.append(name)
