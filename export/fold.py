"""Compute now what does not depend on the input: position bias tables, masks, transposed weights.

Exporters leave such work in the graph (Swin's tables are a small network of their own). A device would do it for every
slice, and a quantiser would take it for layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_app.core.errors import ExportError
from export.onnx_file import tensor_array

__all__ = ["fold_constants"]


def fold_constants(model: onnx.ModelProto, folder: Path) -> int:
    """Replace every value that follows from weights alone by the value itself; return how many nodes went.

    Parameters
    ----------
    model
        Changed in place.
    folder
        Where its external weights lie.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    fixed, nodes = set(weights), []
    for node in graph.node:
        inner = any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)
        named = [name for name in node.input if name]
        alone = not named and node.op_type != "Constant"
        if not inner and not alone and all(name in fixed for name in named):
            fixed.update(node.output)
            nodes.append(node)
    if nodes:
        made = {name for node in nodes for name in node.output if name}
        gone = {id(node) for node in nodes}
        rest = [node for node in graph.node if id(node) not in gone]
        wanted = made & ({name for node in rest for name in node.input} | {value.name for value in graph.output})
        for name, value in _compute(model, nodes, weights, sorted(wanted), folder).items():
            graph.initializer.append(numpy_helper.from_array(value, name))
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rest]
        del graph.node[:]
        graph.node.extend(kept)
    _drop_unused(graph)
    return len(nodes)


def _compute(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    weights: dict[str, onnx.TensorProto],
    wanted: list[str],
    folder: Path,
) -> dict[str, NDArray[Any]]:
    used = {name for node in nodes for name in node.input} & set(weights)
    constants = [numpy_helper.from_array(tensor_array(weights[name], folder), name) for name in sorted(used)]
    outputs = [onnx.ValueInfoProto(name=name) for name in wanted]
    small = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "constants", [], outputs, constants), opset_imports=model.opset_import
    )
    small.ir_version = model.ir_version
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(small.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(wanted, session.run(wanted, {}), strict=True))
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        raise ExportError(
            f"constants of the network cannot be computed: {error}", remedy="Use another version of torch."
        ) from error


def _drop_unused(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                read.update(name for one in inner.node for name in one.input)
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)
