"""ONNX files of any size up to protobuf's limit, written without ever holding all weights in memory.

While a network is worked on, its large weights stay in a file beside a light graph (ONNX external data). The result is
one file again: one file has one hash, and can be handed to a runtime as bytes. A protobuf message is the concatenation
of its fields, so the graph is written first and its weights are copied behind it, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import external_data_helper, numpy_helper

from edge_app.core.errors import ExportError
from edge_app.store.paths import fsync_folder

__all__ = [
    "INLINE_BYTES",
    "facts_of",
    "forget_origin",
    "join_weights",
    "read_graph",
    "split_weights",
    "tensor_array",
    "write_facts",
]

INLINE_BYTES = 1 << 12
"""Smaller tensors stay in the graph: shape inference reads shapes and axes from them."""

MAX_BYTES = (1 << 31) - 1
"""Protobuf's limit for one message."""

WEIGHTS_FILE = "weights.bin"
_CHUNK = 1 << 22
_FACT = "msu."


def join_weights(model: onnx.ModelProto, folder: Path, path: Path) -> None:
    """Write a network and the weights it has in files of `folder` to one file, whole or not at all.

    Raises
    ------
    ExportError
        If the file would be larger than protobuf allows.
    """
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    del graph.initializer[:]
    shell = onnx.ModelProto()
    shell.CopyFrom(model)
    shell.ClearField("graph")
    tensors = [_message(tensor) for tensor in model.graph.initializer]
    head = graph.SerializeToString()
    inside = len(head) + sum(1 + len(_varint(size)) + size for _, size in tensors)
    if inside > MAX_BYTES:
        raise ExportError(
            f"{path.name} would hold {inside / 1e9:.1f} GB, one ONNX file holds at most 2.1 GB",
            remedy="Take a smaller architecture.",
        )
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with beside.open("wb") as file:
            file.write(shell.SerializeToString())
            file.write(_key(onnx.ModelProto, "graph") + _varint(inside) + head)
            for tensor, (prefix, size) in zip(model.graph.initializer, tensors, strict=True):
                file.write(_key(onnx.GraphProto, "initializer") + _varint(size) + prefix)
                _copy(tensor, folder, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def split_weights(model: onnx.ModelProto, folder: Path, name: str) -> Path:
    """Write a network to `folder`, its large weights beside it, and return the graph's file.

    A runtime maps such weights into memory instead of copying them.
    """
    light = _without_weights(model)
    folder.mkdir(parents=True, exist_ok=True)
    weights = f"{Path(name).stem}.{WEIGHTS_FILE}"
    with (folder / weights).open("wb") as file:
        for tensor in model.graph.initializer:
            kept = light.graph.initializer.add()
            if tensor.ByteSize() <= INLINE_BYTES:
                kept.CopyFrom(tensor)
                continue
            raw = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
            file.write(b"\0" * (-file.tell() % 64))
            kept.name, kept.data_type = tensor.name, tensor.data_type
            kept.dims.extend(tensor.dims)
            kept.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", weights), ("offset", file.tell()), ("length", len(raw))):
                kept.external_data.add(key=key, value=str(value))
            file.write(raw)
    (folder / name).write_bytes(light.SerializeToString())
    return folder / name


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a network with its weights.

    Raises
    ------
    ExportError
        If it is no ONNX file.
    """
    try:
        model = onnx.load(path)
    except (OSError, ValueError, DecodeError) as error:
        raise ExportError(f"{path} is no ONNX file: {error}", remedy="Export it again: `msu export`.") from error
    if not model.graph.node:
        raise ExportError(f"{path} holds no network", remedy="Export it again: `msu export`.")
    return model


def tensor_array(tensor: onnx.TensorProto, folder: Path) -> NDArray[np.generic]:
    """Return a tensor's values, read from a file of `folder` if they lie outside the graph."""
    return numpy_helper.to_array(tensor, base_dir=str(folder))


def write_facts(model: onnx.ModelProto, facts: Mapping[str, str]) -> None:
    """Put what is known of a network into its metadata, beside what is there."""
    known = {entry.key: entry.value for entry in model.metadata_props} | {_FACT + k: v for k, v in facts.items()}
    onnx.helper.set_model_props(model, known)


def forget_origin(graph: onnx.GraphProto) -> None:
    """Take out what the exporter notes beside each operation and value: stack traces, with this machine's paths."""
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    forget_origin(inner)


def facts_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return what `write_facts` put into a network."""
    return {p.key.removeprefix(_FACT): p.value for p in model.metadata_props if p.key.startswith(_FACT)}


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    light = onnx.ModelProto(
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        opset_import=model.opset_import,
        metadata_props=model.metadata_props,
        functions=model.functions,
    )
    graph = model.graph
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.input.extend(graph.input)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    return light


def _message(tensor: onnx.TensorProto) -> tuple[bytes, int]:
    """Return the beginning of a tensor's message, up to its raw data, and the size of the whole."""
    if not external_data_helper.uses_external_data(tensor):
        content = tensor.SerializeToString()
        return content, len(content)
    light = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    length = int(_external(tensor)["length"])
    prefix = light.SerializeToString() + _key(onnx.TensorProto, "raw_data") + _varint(length)
    return prefix, len(prefix) + length


def _copy(tensor: onnx.TensorProto, folder: Path, target: BinaryIO) -> None:
    if not external_data_helper.uses_external_data(tensor):
        return
    place = _external(tensor)
    left = int(place["length"])
    with (folder / place["location"]).open("rb") as source:
        source.seek(int(place.get("offset", "0")))
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise ExportError(f"weights of {tensor.name} end too early", remedy="Export the network again.")
            target.write(chunk)
            left -= len(chunk)


def _external(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _key(message: type, field: str) -> bytes:
    """Return the key of a length-delimited field."""
    number = message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]
    return _varint(number << 3 | 2)


def _varint(value: int) -> bytes:
    return bytes(_septets(value))


def _septets(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
