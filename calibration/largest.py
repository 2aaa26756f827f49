"""The largest value of many tensors: found inside the network, so that only two numbers a tensor come out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from calibration.layers import Graph
from edge_app.core.errors import ExportError
from edge_app.core.types import FloatArray
from export.onnx_file import split_weights

__all__ = ["largest_values"]

_MOVES = {
    "Concat", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Relu", "Reshape", "Slice", "Split",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Their values are those of their inputs."""


def largest_values(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    slices: Iterable[FloatArray],
    *,
    on_slice: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return the largest absolute value of each tensor over slices (3, 224, 224); weights are left out.

    Raises
    ------
    ExportError
        If the FP32 network computes NaN or infinity.
    """
    graph = Graph(model)
    asked = [name for name in dict.fromkeys(tensors) if name in graph.producer or name in graph.inputs]
    made = [n for n in asked if n in graph.producer and graph.producer[n].op_type not in _MOVES]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = []
    for name in (*graph.inputs, *made):
        for kind in ("ReduceMax", "ReduceMin"):
            watched.graph.node.append(helper.make_node(kind, [name], [f"{name}/{kind}"], keepdims=0))
            outputs.append(f"{name}/{kind}")
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    found = dict.fromkeys((*graph.inputs, *made), 0.0)
    with tempfile.TemporaryDirectory(prefix="msu-largest-") as folder:
        path = split_weights(watched, Path(folder), "watched.onnx")
        del watched
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for image in slices:
            for name, value in zip(outputs, session.run(outputs, {"image": image[None]}), strict=True):
                tensor = name.rpartition("/")[0]
                if not np.isfinite(value):  # before `max`, which would drop a NaN
                    raise ExportError(f"'{tensor}' is NaN or infinite in FP32", remedy="Look at the network's weights.")
                found[tensor] = max(found[tensor], abs(float(value)))
            on_slice()
        del session
    for node in model.graph.node:  # in order, so that inputs are known
        if node.op_type in _MOVES:
            value = max((found.get(name, 0.0) for name in node.input), default=0.0)
            found |= dict.fromkeys(node.output, value)
    return found
