"""What the calls of the fake TensorRT do (`tests.fake_tensorrt`): build is a header, run is ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.core.errors import BackendError
from edge_app.inference.onnx_backend import OnnxBackend

MAGIC = b"FAKEPLAN"
OPEN_CLASSES = frozenset({"ILogger", "IErrorRecorder", "IProgressMonitor"})
DTYPES = {"float32": "FLOAT", "float16": "HALF", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}


def _make(trt: Any, name: str, **state: Any) -> Any:
    made = getattr(trt, name)(_made=True)
    for key, value in state.items():
        object.__setattr__(made, f"_{key}", value)
    return made


def _no_gpu(self: Any, *_: Any) -> None:
    if self._trt.fake_script.no_gpu:
        raise TypeError("pybind11::init(): factory function returned nullptr")


def _needs_context(self: Any) -> None:
    assert self._trt.fake_gpu.stack, "TensorRT was called without a current CUDA context"


class HostMemory(bytes):
    """IHostMemory: a buffer."""

    @property
    def nbytes(self) -> int:
        return len(self)


# Building


def builder(self: Any, logger: Any) -> None:
    _no_gpu(self)
    object.__setattr__(self, "_logger", logger)


def create_network(self: Any, flags: int = 0) -> Any:
    return _make(self._trt, "INetworkDefinition", flags=flags, onnx=b"", backend=None)


def create_config(self: Any) -> Any:
    config = _make(self._trt, "IBuilderConfig", profiles=[], pools={}, progress_monitor=None, cache=None)
    object.__setattr__(config, "_set", {self._trt.BuilderFlag.TF32})  # TensorRT's default
    return config


def parser(self: Any, network: Any, logger: Any) -> None:
    object.__setattr__(self, "_network", network)


def parse_from_file(self: Any, path: str) -> bool:
    if self._trt.fake_script.parser_errors:
        return False
    content = Path(path).read_bytes()
    try:
        backend = OnnxBackend(content, threads=1)
    except BackendError as error:
        self._trt.fake_script.parser_errors.append(str(error))
        return False
    object.__setattr__(self._network, "_onnx", content)
    object.__setattr__(self._network, "_backend", backend)
    return True


def get_error(self: Any, index: int) -> Any:
    return _make(self._trt, "ParserError", text=self._trt.fake_script.parser_errors[index], index=index)


def get_input(self: Any, index: int) -> Any:
    spec = self._backend.inputs[index]
    tensor = _make(self._trt, "ITensor", shape=tuple(-1 if isinstance(d, str) else d for d in spec.shape))
    object.__setattr__(tensor, "_name", spec.name)
    return tensor


def set_shape(self: Any, name: str, smallest: Any, best: Any, largest: Any) -> None:
    self._shapes[name] = [list(smallest), list(best), list(largest)]


def build(self: Any, network: Any, config: Any) -> Any:
    script, flag = self._trt.fake_script, self._trt.NetworkDefinitionCreationFlag
    strong = self._trt.__version__.startswith("11") or bool(network._flags & (1 << flag.STRONGLY_TYPED.value))
    monitor = config._progress_monitor
    if monitor is not None:
        monitor.phase_start("Building", None, script.steps)
        monitor.phase_start("Tactics", "Building", 1)
        monitor.step_complete("Tactics", 0)
        monitor.phase_finish("Tactics")
        for step in range(script.steps):
            if not monitor.step_complete("Building", step):
                monitor.phase_finish("Building")
                return None
        monitor.phase_finish("Building")
    for line in script.build_log:
        self._logger.log(self._trt.ILogger.ERROR, line)
    if script.build_fails or (strong and script.strong_build_fails):
        return None
    if config._cache is not None:
        object.__setattr__(config._cache, "_content", b"cache of " + network._onnx[:8])
    header = {
        "version": self._trt.__version__,
        "strong": strong,
        "flags": sorted(one.name for one in config._set),
        "pools": {pool.name: size for pool, size in config._pools.items()},
        "profile": config._profiles[0]._shapes,
        "level": config._builder_optimization_level,
    }
    return HostMemory(MAGIC + json.dumps(header).encode() + b"\n" + network._onnx)


def add_profile(self: Any, profile: Any) -> int:
    self._profiles.append(profile)
    return len(self._profiles) - 1


def create_cache(self: Any, content: Any) -> Any:
    if self._trt.fake_script.cache_damaged and content:
        return None
    return _make(self._trt, "ITimingCache", content=bytes(content))


def set_cache(self: Any, cache: Any, ignore_mismatch: bool) -> bool:
    if self._trt.fake_script.cache_refused and cache._content:
        return False
    object.__setattr__(self, "_cache", cache)
    return True


# Running


def runtime(self: Any, logger: Any) -> None:
    _no_gpu(self)
    object.__setattr__(self, "_logger", logger)


def deserialise(self: Any, plan: Any) -> Any:
    _needs_context(self)
    head, _, onnx = bytes(plan).partition(b"\n")
    header = json.loads(head[len(MAGIC) :]) if head.startswith(MAGIC) else {}
    if self._trt.fake_script.deserialise_fails or header.get("version") != self._trt.__version__:
        self._error_recorder.report_error(self._trt.ErrorCodeTRT.FAILED_INITIALIZATION, "Version tag does not match")
        return None
    backend = OnnxBackend(onnx, threads=1)
    return _make(self._trt, "ICudaEngine", header=header, backend=backend, error_recorder=self._error_recorder)


def _spec(self: Any, name: str) -> Any:
    backend = self._backend if hasattr(self, "_backend") else self._engine._backend
    return next(spec for spec in (*backend.inputs, *backend.outputs) if spec.name == name)


def create_context(self: Any, *_: Any) -> Any:
    _needs_context(self)
    if self._trt.fake_script.context_fails:
        self._error_recorder.report_error(self._trt.ErrorCodeTRT.FAILED_ALLOCATION, "Requested amount of GPU memory")
        return None
    return _make(self._trt, "IExecutionContext", engine=self, shapes={}, addresses={})


def tensor_mode(self: Any, name: str) -> Any:
    mode = self._trt.TensorIOMode
    return mode.INPUT if any(spec.name == name for spec in self._backend.inputs) else mode.OUTPUT


def set_input_shape(self: Any, name: str, shape: Any) -> bool:
    smallest, _, largest = self._engine._header["profile"][name]
    inside = all(low <= size <= high for low, size, high in zip(smallest, shape, largest, strict=True))
    if not inside or self._trt.fake_script.shape_fails:
        self._error_recorder.report_error(self._trt.ErrorCodeTRT.INVALID_ARGUMENT, f"{name} outside the profile")
        return False
    self._shapes[name] = tuple(shape)
    return True


def context_shape(self: Any, name: str) -> tuple[int, ...]:
    spec = _spec(self, name)
    if name in self._shapes:
        return self._shapes[name]
    sizes = {
        dimension: size
        for wanted in self._engine._backend.inputs
        for dimension, size in zip(wanted.shape, self._shapes.get(wanted.name, ()), strict=False)
        if isinstance(dimension, str)
    }
    return tuple(sizes.get(d, -1) if isinstance(d, str) else d for d in spec.shape)


def set_address(self: Any, name: str, memory: int) -> bool:
    self._addresses[name] = memory
    return True


def execute(self: Any, handle: int) -> bool:
    _needs_context(self)
    script, gpu, backend = self._trt.fake_script, self._trt.fake_gpu, self._engine._backend
    names = {spec.name for spec in (*backend.inputs, *backend.outputs)}
    if script.execute_fails or set(self._addresses) != names:
        self._error_recorder.report_error(self._trt.ErrorCodeTRT.FAILED_EXECUTION, "enqueueV3 failed")
        return False
    shapes, addresses = dict(self._shapes), dict(self._addresses)

    def compute() -> None:
        inputs = {}
        for spec in backend.inputs:
            raw = gpu.memory[addresses[spec.name]]
            count = int(np.prod(shapes[spec.name]))
            inputs[spec.name] = raw[: count * np.dtype(spec.dtype).itemsize].view(spec.dtype).reshape(shapes[spec.name])
        answer = backend.run(inputs)
        for name, value in (script.spoil(answer) if script.spoil else answer).items():
            raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            gpu.memory[addresses[name]][: raw.size] = raw

    gpu.streams[handle].ops.append(compute)
    return True


def plan_of(onnx: bytes, version: str, profile: dict[str, list[tuple[int, ...]]]) -> bytes:
    """Return a plan as the fake builder would make it."""
    return MAGIC + json.dumps({"version": version, "profile": profile}).encode() + b"\n" + onnx


BEHAVIOUR: dict[str, Any] = {
    "Builder": builder,
    "Builder.create_network": create_network,
    "Builder.create_builder_config": create_config,
    "Builder.create_optimization_profile": lambda self: _make(self._trt, "IOptimizationProfile", shapes={}),
    "Builder.build_serialized_network": build,
    "OnnxParser": parser,
    "OnnxParser.parse_from_file": parse_from_file,
    "OnnxParser.num_errors": lambda self: len(self._trt.fake_script.parser_errors),
    "OnnxParser.get_error": get_error,
    "ParserError.desc": lambda self: self._text,
    "ParserError.node": lambda self: self._index,
    "ParserError.node_name": lambda self: f"/node{self._index}",
    "ParserError.node_operator": lambda self: "Gelu",
    "INetworkDefinition.num_inputs": lambda self: len(self._backend.inputs),
    "INetworkDefinition.get_input": get_input,
    "ITensor.name": lambda self: self._name,
    "IOptimizationProfile.set_shape": set_shape,
    "IBuilderConfig.add_optimization_profile": add_profile,
    "IBuilderConfig.set_flag": lambda self, flag: self._set.add(flag),
    "IBuilderConfig.clear_flag": lambda self, flag: self._set.discard(flag),
    "IBuilderConfig.set_memory_pool_limit": lambda self, pool, size: self._pools.update({pool: size}),
    "IBuilderConfig.create_timing_cache": create_cache,
    "IBuilderConfig.set_timing_cache": set_cache,
    "IBuilderConfig.get_timing_cache": lambda self: self._cache,
    "ITimingCache.serialize": lambda self: HostMemory(self._content),
    "Runtime": runtime,
    "Runtime.deserialize_cuda_engine": deserialise,
    "ICudaEngine.num_io_tensors": lambda self: len(self._backend.inputs) + len(self._backend.outputs),
    "ICudaEngine.get_tensor_name": lambda self, index: (*self._backend.inputs, *self._backend.outputs)[index].name,
    "ICudaEngine.get_tensor_mode": tensor_mode,
    "ICudaEngine.get_tensor_dtype": lambda self, name: self._trt.DataType[DTYPES[_spec(self, name).dtype]],
    "ICudaEngine.get_tensor_shape": lambda self, name: tuple(
        -1 if isinstance(d, str) else d for d in _spec(self, name).shape
    ),
    "ICudaEngine.get_tensor_profile_shape": lambda self, name, index: self._header["profile"][name],
    "ICudaEngine.create_execution_context": create_context,
    "IExecutionContext.set_input_shape": set_input_shape,
    "IExecutionContext.get_tensor_shape": context_shape,
    "IExecutionContext.set_tensor_address": set_address,
    "IExecutionContext.execute_async_v3": execute,
}
