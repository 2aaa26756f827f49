"""One ONNX file to one TensorRT plan, with every refusal checked: TensorRT fails by returning None or False.

Takes TensorRT as an argument; runs in a process of its own (`export.engine.worker`), which may run out of memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_app.core.clock import monotonic_s
from edge_app.inference.tensorrt_errors import make_logger
from export.engine.compat import network_flags, set_weak_precision, supported_version, weak_typing_allowed
from export.engine.failures import failure, kind_of
from export.engine.request import BuildReport, BuildRequest

__all__ = ["build_plan"]

_MIB = 1 << 20

Monitor = Callable[[Any], Any]
"""Makes an ``IProgressMonitor``, given TensorRT."""


def build_plan(trt: Any, request: BuildRequest, make_monitor: Monitor, cancelled: Callable[[], bool]) -> BuildReport:
    """Build a plan and write it to the place that the request names.

    Parameters
    ----------
    trt
        The ``tensorrt`` module.
    make_monitor
        Makes the progress monitor.
    cancelled
        Whether the build was cancelled: TensorRT then returns None as for any failure.

    Raises
    ------
    EngineError
        Saying what failed: parser errors (all of them), memory, a cancelled build, or TensorRT's own words.
    """
    version = supported_version(trt)
    content = Path(request.onnx).read_bytes()
    if hashlib.sha256(content).hexdigest() != request.onnx_sha256:
        raise failure("refused", f"{Path(request.onnx).name} is not the file that was asked for")
    del content
    started_s = monotonic_s()
    logger = make_logger(trt)
    plan, flags, cache = _build_once(trt, request, logger, make_monitor, version, strong=True)
    reason = ""
    # "No implementation for node" may be want of memory; a node says so as well that has none in the type it must have.
    maybe_typing = kind_of(logger.lines) in ("build", "probably memory")
    if plan is None and not cancelled() and maybe_typing and weak_typing_allowed(version):
        reason = f"the strongly typed build failed: {'; '.join(logger.lines) or 'TensorRT gave no reason'}"
        logger.lines.clear()
        plan, flags, cache = _build_once(trt, request, logger, make_monitor, version, strong=False)
    if cancelled():
        raise failure("cancelled", "the build was cancelled")
    if plan is None:
        said = "; ".join(logger.lines) or "TensorRT gave no reason"
        raise failure(
            kind_of(logger.lines), f"the {request.network} engine ({request.precision}) was not built: {said}"
        )
    _write(Path(request.plan), plan)
    _write(Path(request.timing_cache), cache)
    return BuildReport(
        typing="weak" if reason else "strong",
        typing_reason=reason,
        flags=tuple(flags),
        timing_cache_sha256=hashlib.sha256(cache).hexdigest(),
        build_s=monotonic_s() - started_s,
        warnings=tuple(logger.lines),
    )


def _build_once(
    trt: Any, request: BuildRequest, logger: Any, make_monitor: Monitor, version: tuple[int, ...], *, strong: bool
) -> tuple[Any, list[str], Any]:
    """Return the serialised plan (None if TensorRT gave none), the flags changed and the timing cache."""
    try:
        builder = trt.Builder(logger)
    except TypeError as error:
        # pybind11's words for a factory that gave nothing; the logger has TensorRT's own.
        said = "; ".join(logger.lines) or str(error)
        raise failure("gpu", f"TensorRT {trt.__version__} cannot use this machine: {said}") from error
    network = builder.create_network(network_flags(trt, strong=strong))
    _parse(trt, network, logger, request)
    config = builder.create_builder_config()
    # TensorFloat-32 would round the FP32 network's products to 10 bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    flags = ["-TF32"]
    if not strong:
        flags += set_weak_precision(trt, config, version, request.precision)
    config.builder_optimization_level = request.optimisation_level
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.pools.workspace_mib * _MIB)
    config.set_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM, request.pools.tactic_dram_mib * _MIB)
    _add_profile(builder, network, config, request)
    _set_cache(config, Path(request.timing_cache))
    monitor = make_monitor(trt)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return None, flags, b""
    cache = config.get_timing_cache()
    return plan, flags, bytes(cache.serialize()) if cache is not None else b""


def _parse(trt: Any, network: Any, logger: Any, request: BuildRequest) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(request.onnx):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    lines = [_parser_line(parser_error) for parser_error in errors]
    raise failure(
        "parser", f"TensorRT {trt.__version__} cannot read the network: {'; '.join(lines) or 'no reason given'}"
    )


def _parser_line(parser_error: Any) -> str:
    where = f"node {parser_error.node()} '{parser_error.node_name()}' ({parser_error.node_operator()})"
    return f"{where}: {parser_error.desc()}"


def _add_profile(builder: Any, network: Any, config: Any, request: BuildRequest) -> None:
    found = {network.get_input(index).name for index in range(network.num_inputs)}
    if found != set(request.profile):
        raise failure("refused", f"the network's inputs {sorted(found)} are not {sorted(request.profile)}")
    profile = builder.create_optimization_profile()
    for name, shapes in request.profile.items():
        profile.set_shape(name, min=shapes.smallest, opt=shapes.best, max=shapes.largest)
    if config.add_optimization_profile(profile) < 0:
        raise failure("build", f"TensorRT refused the shapes {request.profile}")


def _set_cache(config: Any, path: Path) -> None:
    content = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # A cache of another device or version, or a damaged one: begin a new one rather than believe its timings.
        path.unlink(missing_ok=True)
        if not config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False):
            raise failure("build", "TensorRT refused an empty timing cache")


def _write(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
