"""Every name and argument of TensorRT that the program uses, held against the real bindings of every version.

The recordings show names, not behaviour: what is green here has not run on a GPU.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.inference.tensorrt_compat import parse_version
from export.engine.api.surface import load_surface, parse_signature, recorded_versions
from export.engine.compat import REMOVED_IN
from tests.trt_scan import HOLDS, find_uses

ROOT = Path(__file__).parents[4]

FILES = (
    "edge_app/inference/tensorrt_backend.py",
    "edge_app/inference/tensorrt_compat.py",
    "edge_app/inference/tensorrt_errors.py",
    "export/engine/builder.py",
    "export/engine/compat.py",
    "export/engine/worker.py",
)
GATED_FILE = "export/engine/compat.py"


def problems_of(source: str, version: str, *, gated: bool = False) -> list[str]:
    """Return what of a source a version lacks, less the names that it is declared to lack."""
    lacks = {name for name, first in REMOVED_IN.items() if gated and parse_version(version) >= first}
    uses = find_uses(source, load_surface(version))
    return [f"line {line}: {path} {problem}" for line, path, problem in uses if problem and path not in lacks]


@pytest.mark.parametrize("version", recorded_versions())
@pytest.mark.parametrize("name", FILES)
def test_a_file_uses_only_what_a_version_offers(name: str, version: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    assert problems_of(source, version, gated=name == GATED_FILE) == []


def test_the_scan_sees_the_uses_and_is_not_green_for_want_of_them() -> None:
    surface = load_surface("10.3.0")
    uses = {path for name in FILES for _, path, _ in find_uses((ROOT / name).read_text(encoding="utf-8"), surface)}
    assert {
        "Builder",
        "Builder.build_serialized_network",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "BuilderFlag.TF32",
        "BuilderFlag.INT8",
        "IBuilderConfig.set_memory_pool_limit",
        "IBuilderConfig.progress_monitor",
        "IOptimizationProfile.set_shape",
        "OnnxParser.get_error",
        "ParserError.node_operator",
        "ITensor.name",
        "ITimingCache.serialize",
        "IProgressMonitor.step_complete",
        "IErrorRecorder.report_error",
        "ICudaEngine.get_tensor_profile_shape",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.error_recorder",
        "Runtime.deserialize_cuda_engine",
    } <= uses


@pytest.mark.parametrize("version", recorded_versions())
def test_what_is_declared_as_removed_is_there_before_and_not_after(version: str) -> None:
    for name, first in REMOVED_IN.items():
        assert load_surface(version).has(name) is (parse_version(version) < first), name


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16 not there"),
        ("config.int8_calibrator = x", "IBuilderConfig.int8_calibrator not there"),
        ("context.execute_async_v2(bindings, handle)", "IExecutionContext.execute_async_v2 not there"),
        ("engine.device_memory_size", "ICudaEngine.device_memory_size not there"),
        ("builder.platform_has_fast_int8", "Builder.platform_has_fast_int8 not there"),
        ("trt.IInt8EntropyCalibrator2()", "IInt8EntropyCalibrator2 not there"),
        ("trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "EXPLICIT_BATCH not there"),
        ("config.set_timing_cache(cache, ignore=True)", "takes other arguments"),
        ("config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)", "takes other arguments"),
        ("engine.num_io_tensors = 3", "read-only"),
        ("self._context.set_binding_shape(0, s)", "IExecutionContext.set_binding_shape not there"),
        ("network.get_input(0).dynamic_range", "ITensor.dynamic_range not there"),
        ("engine = builder.create_network(0)", "held as a ICudaEngine"),
        ("class R(trt.IErrorRecorder):\n    def num_errors(self): ...", "IErrorRecorder.report_error not overridden"),
        ("self._trt.Runtime.serialize_engine", "Runtime.serialize_engine not there"),
    ],
)
def test_a_call_that_tensorrt_11_lacks_is_found(code: str, problem: str) -> None:
    assert any(problem in found for found in problems_of(code, "11.4.0.106"))


def test_a_removed_name_is_found_outside_the_file_that_may_use_it() -> None:
    source = (ROOT / GATED_FILE).read_text(encoding="utf-8")
    assert problems_of(source, "11.0.0.114") and not problems_of(source, "10.16.1.11")


def imported(tree: ast.AST) -> Iterator[str]:
    """Return the packages that a file imports, by statement or by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value).partition(".")[0]


def test_imports_are_seen_however_they_are_written() -> None:
    code = "import tensorrt as t\nfrom pycuda import driver\nimportlib.import_module('numpy.linalg')\n__import__('os')"
    assert list(imported(ast.parse(code))) == ["tensorrt", "pycuda", "numpy", "os"]
    engine = (ROOT / "edge_app/inference/tensorrt_backend.py").read_text(encoding="utf-8")
    assert {"tensorrt", "pycuda"} <= set(imported(ast.parse(engine)))


def test_no_other_file_touches_tensorrt() -> None:
    others = [
        path
        for package in ("edge_app", "export", "calibration", "training")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in FILES and "export/engine/api" not in path.as_posix()
    ]
    for path in others:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "trt" not in names and not {"tensorrt", "pycuda"} & set(imported(tree)), path
    assert set(HOLDS.values()) <= set(load_surface("10.3.0").classes)


def test_signatures_are_read_with_defaults_brackets_and_arrows() -> None:
    found = parse_signature("(self, a: Tuple[int, List[int]], b: E = <E.X: 0>, c: str = None) -> Dict[str, int]")
    assert [(argument.name, argument.required) for argument in found] == [("a", True), ("b", False), ("c", False)]
    assert parse_signature("(self) -> None") == ()
