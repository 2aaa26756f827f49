"""What differs between the versions of TensorRT for the builder; the only file that names such attributes.

Precision lives in the ONNX graph (typed FP16, explicit Q/DQ), so from 10.3 to 11 one strongly typed build does. Only
on 10.3, where strong typing was young, weak typing is a recorded way out when the strongly typed build fails.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from edge_app.core.errors import BackendError, EngineError
from edge_app.inference.passport import Precision
from edge_app.inference.tensorrt_compat import check_version

__all__ = ["REMOVED_IN", "network_flags", "set_weak_precision", "supported_version", "weak_typing_allowed"]

REMOVED_IN = {"BuilderFlag.FP16": (11,), "BuilderFlag.INT8": (11,)}
"""Names used here that a supported version lacks, and the first version without them.

`tests/unit/export/engine/test_api_conformance.py` holds this against the recorded bindings.
"""


def supported_version(tensorrt: ModuleType) -> tuple[int, ...]:
    """Return the version, or refuse it.

    Raises
    ------
    EngineError
        If it is too old.
    """
    try:
        return check_version(tensorrt)
    except BackendError as error:
        raise EngineError(error.message, remedy=error.remedy) from error


def network_flags(trt: Any, *, strong: bool) -> int:
    """Return the flags of a network definition: explicit batch is the only kind from 10 on and needs none."""
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if strong else 0


def weak_typing_allowed(version: tuple[int, ...]) -> bool:
    """Return whether a failed strongly typed build may be tried again weakly typed."""
    return version[:2] == (10, 3)


def set_weak_precision(trt: Any, config: Any, version: tuple[int, ...], precision: Precision) -> list[str]:
    """Allow the precisions of the graph in a weakly typed build and return the flags set.

    Raises
    ------
    EngineError
        If this version has no weak typing, or is not to use it.
    """
    if not weak_typing_allowed(version):
        raise EngineError(
            f"weak typing is not for TensorRT {'.'.join(map(str, version))}", remedy="Build strongly typed."
        )
    if precision == "fp32":
        return []
    config.set_flag(trt.BuilderFlag.FP16)
    if precision == "fp16":
        return ["FP16"]
    config.set_flag(trt.BuilderFlag.INT8)
    return ["FP16", "INT8"]
