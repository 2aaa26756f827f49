"""ONNX Runtime on the CPU: the embedded default, needs nothing but its wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_app.core.errors import BackendError
from edge_app.inference.backend import Array, TensorSpec, check_arrays

__all__ = ["OnnxBackend"]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
}

# ONNX Runtime's exceptions share no base of their own, only Exception.
_RUNTIME_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in (
        "EPFail",
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "ModelLoaded",
        "NoModel",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    if hasattr(ort_errors, name)
)


class OnnxBackend:
    """One ONNX network on the CPU (see `edge_app.inference.backend.Backend`).

    Parameters
    ----------
    model
        The ONNX file, or its bytes.
    threads
        Threads that compute one call; 0 leaves it to the machine. Results are bit-equal for the same number.

    Raises
    ------
    BackendError
        If ONNX Runtime cannot load the network.
    """

    def __init__(self, model: bytes | Path, *, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        # Spinning threads would take the cores from the receiver, which promises durability on the same machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except _RUNTIME_ERRORS as error:
            what = "the network" if isinstance(model, bytes) else model.name
            raise BackendError(
                f"ONNX Runtime {ort.__version__} cannot load {what}: {error}",
                remedy="Export the network again for this version, or install the version the bundle names.",
            ) from error
        self._inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self._outputs = tuple(_spec(node) for node in self._session.get_outputs())

    @property
    def name(self) -> str:
        """Return the backend's name and version."""
        return f"onnxruntime-cpu {ort.__version__}"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Return the network's inputs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Return the network's outputs."""
        return self._outputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once; see `Backend.run`."""
        if self._session is None:
            raise BackendError("the network was closed", remedy="Run it inside its `with` block.")
        check_arrays(self._inputs, inputs)
        try:
            results = self._session.run(None, {name: np.ascontiguousarray(a) for name, a in inputs.items()})
        except _RUNTIME_ERRORS as error:
            raise BackendError(
                f"ONNX Runtime failed while running a network: {error}",
                remedy="If it happens again with other images, make the bundle again.",
            ) from error
        # An output that is passed through may share the memory of an input: hand out copies only.
        return {spec.name: np.array(value) for spec, value in zip(self._outputs, results, strict=True)}

    def __enter__(self) -> OnnxBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None


def _spec(node: ort.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES:
        raise BackendError(f"'{node.name}' has type {node.type}", remedy="Export the network with plain tensors.")
    shape = tuple(d if isinstance(d, int) else d or f"{node.name}[{i}]" for i, d in enumerate(node.shape))
    return TensorSpec(node.name, _DTYPES[node.type], shape)
