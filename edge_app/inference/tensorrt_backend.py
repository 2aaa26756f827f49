"""TensorRT on an NVIDIA GPU, driven with pycuda; both are imported only when a plan is opened.

One thread opens, runs and closes a network: the device's primary context is pushed for the time of each call and
popped after it, so that nothing else in the process ever sees it. Buffers are allocated once. No `pycuda.autoinit`,
which would take a context of its own for the whole process.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any

import numpy as np

from edge_app.core.errors import BackendError
from edge_app.inference.backend import Array, TensorSpec, check_arrays
from edge_app.inference.tensorrt_compat import check_version, dtype_name
from edge_app.inference.tensorrt_errors import make_logger, make_recorder
from edge_app.inference.tensorrt_slots import Slot, Streams

__all__ = ["TensorRtBackend", "tensorrt_version"]

SLOTS = 2
PROFILE = 0
"""The plans of this program have one optimisation profile."""

_REMEDY = "Build the engine again on this device: `msu engine build`."


def tensorrt_version() -> str | None:
    """Return the version of the bindings, or None where TensorRT or pycuda is not installed.

    Raises
    ------
    BackendError
        If it is too old.
    """
    try:
        trt = importlib.import_module("tensorrt")
        importlib.import_module("pycuda.driver")
    except (ImportError, OSError):
        return None
    check_version(trt)
    return str(trt.__version__)


class TensorRtBackend:
    """One TensorRT plan on the first GPU (see `edge_app.inference.backend.Backend`).

    Parameters
    ----------
    plan
        The serialised engine, whose passport was checked.
    inputs, outputs
        What the ONNX network calls its borders: a plan forgets the names of free dimensions. All have the batch, of
        one name, as their first dimension.
    label
        What the name says beside TensorRT's version, e.g. ``int8``.

    Raises
    ------
    BackendError
        If TensorRT or the GPU is missing, memory does not suffice, or the plan is not that network's.
    """

    def __init__(
        self, plan: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, label: str = ""
    ) -> None:
        self._trt, self._cuda = _load()
        self.name = f"tensorrt {self._trt.__version__} {label}".rstrip()
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._thread = threading.get_ident()
        self._recorder = make_recorder(self._trt)
        self._logger = make_logger(self._trt)
        self._resources = ExitStack()
        self._open = True
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._streams: Streams | None = None
        self._slots: list[Slot] = []
        with self._translated("be opened"):
            self._cuda.init()
            self._primary = self._cuda.Device(0).retain_primary_context()
        try:
            with self._translated("be opened"), self._current():
                self._prepare(plan)
        except BaseException:
            self._close()
            raise

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once; see `Backend.run`."""
        streams = self._streams
        if streams is None:
            raise BackendError("the network was closed", remedy="Run it inside its `with` block.")
        self._check_thread()
        check_arrays(self.inputs, inputs)
        self._check_profile(inputs)
        with self._translated("run"), self._current():
            try:
                return self._run_parts(inputs, streams)
            except BaseException:
                # Copies may still be under way in buffers that the next call would fill.
                with suppress(self._cuda.Error):
                    streams.synchronise()
                raise

    def __enter__(self) -> TensorRtBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._check_thread()
            self._close()

    def _prepare(self, plan: bytes) -> None:
        runtime = self._trt.Runtime(self._logger)
        runtime.error_recorder = self._recorder
        engine = self._some(runtime.deserialize_cuda_engine(plan), "the plan is not one of this TensorRT and GPU")
        self._check_borders(engine)
        context = self._some(engine.create_execution_context(), "no execution context (device memory?)")
        context.error_recorder = self._recorder
        self._context, self._engine, self._runtime = context, engine, runtime
        self._ranges = {
            spec.name: tuple(tuple(shape) for shape in engine.get_tensor_profile_shape(spec.name, PROFILE))
            for spec in self.inputs
        }
        _, best, largest = next(iter(self._ranges.values()))
        self._part = max(best[0], largest[0] // SLOTS)
        tensors = {
            name: ((min(self._part, shape[0]), *shape[1:]), self._dtypes[name])
            for name, (_, _, shape) in self._ranges.items()
        }
        answers = self._shape({name: shape for name, (shape, _) in tensors.items()})
        tensors |= {name: (shape, self._dtypes[name]) for name, shape in answers.items()}
        self._streams = Streams(self._cuda)
        self._slots = [Slot(self._cuda, tensors, self._resources) for _ in range(SLOTS)]

    def _run_parts(self, inputs: Mapping[str, Array], streams: Streams) -> dict[str, Array]:
        count = len(next(iter(inputs.values())))
        waiting: list[tuple[Slot, dict[str, tuple[int, ...]]]] = []
        answers: list[dict[str, Array]] = []
        for number, first in enumerate(range(0, count, self._part)):
            if len(waiting) == SLOTS:
                slot, shapes = waiting.pop(0)
                answers.append(slot.take(shapes))
            part = {name: array[first : first + self._part] for name, array in inputs.items()}
            slot = self._slots[number % SLOTS]
            shapes = self._shape({name: array.shape for name, array in part.items()})
            slot.upload(part, streams)
            for spec in (*self.inputs, *self.outputs):
                self._done(self._context.set_tensor_address(spec.name, slot.address(spec.name)), "set_tensor_address")
            self._done(self._context.execute_async_v3(streams.compute.handle), "execute_async_v3")
            slot.download({name: int(np.prod(shape)) for name, shape in shapes.items()}, streams)
            waiting.append((slot, shapes))
        answers += [slot.take(shapes) for slot, shapes in waiting]
        if len(answers) == 1:
            return answers[0]
        return {spec.name: np.concatenate([answer[spec.name] for answer in answers]) for spec in self.outputs}

    def _shape(self, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Tell TensorRT the shapes of a call and return those of its answers."""
        for name, shape in inputs.items():
            self._done(self._context.set_input_shape(name, shape), f"set_input_shape {name} {shape}")
        shapes = {spec.name: tuple(self._context.get_tensor_shape(spec.name)) for spec in self.outputs}
        for name, shape in shapes.items():
            if min(shape) < 0:
                raise BackendError(f"the size of output '{name}' {shape} depends on the data", remedy=_REMEDY)
        return shapes

    def _check_borders(self, engine: Any) -> None:
        batches = {spec.shape[0] for spec in (*self.inputs, *self.outputs)}
        if len(batches) != 1 or not isinstance(next(iter(batches)), str):
            raise BackendError("the network's first dimension is not one batch everywhere", remedy=_REMEDY)
        found = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            mode = engine.get_tensor_mode(name)
            shape = tuple(engine.get_tensor_shape(name))
            found[name] = (mode == self._trt.TensorIOMode.INPUT, dtype_name(self._trt, engine.get_tensor_dtype(name)))
            spec = next((spec for spec in (*self.inputs, *self.outputs) if spec.name == name), None)
            if spec is not None and not _fits(shape, spec.shape):
                raise BackendError(f"the plan's '{name}' has shape {shape}, the network's {spec}", remedy=_REMEDY)
        wanted = {spec.name: (True, spec.dtype) for spec in self.inputs}
        wanted |= {spec.name: (False, spec.dtype) for spec in self.outputs}
        if found != wanted:
            raise BackendError(f"the plan's borders {found} are not the network's {wanted}", remedy=_REMEDY)
        self._dtypes = {name: dtype for name, (_, dtype) in found.items()}

    def _check_profile(self, inputs: Mapping[str, Array]) -> None:
        for name, array in inputs.items():
            smallest, _, largest = self._ranges[name]
            # The batch may be longer than the profile's: it is run in parts.
            inner = zip(smallest[1:], array.shape[1:], largest[1:], strict=True)
            if not all(low <= size <= high for low, size, high in inner):
                raise BackendError(
                    f"input '{name}' has shape {array.shape}, the plan takes {smallest} to {largest}",
                    remedy="Build the engine again with a larger profile.",
                )

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise BackendError(
                "a TensorRT network was used from another thread than the one that opened it",
                remedy="This is an error in the program: please report it.",
            )

    def _some(self, value: Any, what: str) -> Any:
        """Return what TensorRT gave, unless it is None, which is how it says that it failed."""
        if value is None:
            raise BackendError(f"{what}{self._why()}", remedy=_REMEDY)
        return value

    def _done(self, done: bool, what: str) -> None:
        if not done:
            raise BackendError(f"TensorRT refused {what}{self._why()}", remedy=_REMEDY)

    def _why(self) -> str:
        said = self._recorder.take() or "; ".join(self._logger.lines)
        return f": {said}" if said else ""

    @contextmanager
    def _current(self) -> Iterator[None]:
        self._primary.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except self._cuda.Error as error:
            raise BackendError(
                f"the TensorRT network cannot {verb}: CUDA: {error}{self._why()}",
                remedy="Free memory on the GPU, or restart the worker; it falls back to the CPU.",
            ) from error
        except TypeError as error:
            # pybind11's words for a factory that gave nothing: no GPU, no driver, or libraries of another version.
            if "nullptr" not in str(error):
                raise
            raise BackendError(
                f"TensorRT {self._trt.__version__} cannot use this machine: {error}{self._why()}",
                remedy="Check the GPU driver and that libnvinfer has the version of its Python bindings.",
            ) from error

    def _close(self) -> None:
        """Free everything now, under the context; the context itself last."""
        self._open = False
        try:
            # After a fault of the GPU nothing can be waited for or freed; the driver then does it at the process's end.
            with suppress(self._cuda.Error), self._current():
                if self._streams is not None:
                    self._streams.synchronise()
                self._resources.close()
                self._slots, self._streams = [], None
                self._context = self._engine = self._runtime = None
        finally:
            self._primary.detach()


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        have == -1 if isinstance(want, str) else have == want for have, want in zip(shape, wanted, strict=True)
    )


def _load() -> tuple[Any, Any]:
    try:
        trt, cuda = importlib.import_module("tensorrt"), importlib.import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        raise BackendError(
            f"TensorRT cannot be used: {error}",
            remedy="Install TensorRT and pycuda (deploy/new-device.md), or run on the CPU.",
        ) from error
    check_version(trt)
    return trt, cuda
