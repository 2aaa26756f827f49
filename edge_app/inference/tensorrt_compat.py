"""Which TensorRT this program runs on, and what its version changes for the runtime.

From 10.3 to 11 the runtime calls are the same (`tests/unit/export/engine/test_api_conformance.py` holds them against
the recorded bindings); what differs is which versions are accepted, and how they are named. The builder's differences
are in `export.engine.compat`. Takes the module as an argument, so that nothing is imported here.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from edge_app.core.errors import BackendError

__all__ = ["OLDEST", "check_version", "dtype_name", "parse_version"]

OLDEST = (10, 3)
"""JetPack 6.1. TensorRT 8 neither types networks strongly nor takes INT8 weights: it would need graphs of its own."""


def parse_version(text: str) -> tuple[int, ...]:
    """Return a version as numbers: ``10.13.3.9.post1`` is (10, 13, 3, 9)."""
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def check_version(tensorrt: ModuleType) -> tuple[int, ...]:
    """Return the version of the bindings.

    Raises
    ------
    BackendError
        If it is older than `OLDEST`.
    """
    version = parse_version(tensorrt.__version__)
    if version < OLDEST:
        raise BackendError(
            f"TensorRT {tensorrt.__version__} is too old, {OLDEST[0]}.{OLDEST[1]} is the oldest that runs",
            remedy="Upgrade JetPack to 6.1 or newer; until then networks run on the CPU.",
        )
    return version


def dtype_name(trt: Any, dtype: Any) -> str:
    """Return NumPy's name of a TensorRT type; TensorRT's own `nptype` fails with newer versions of NumPy.

    Raises
    ------
    BackendError
        If networks of this program cannot have it at their borders.
    """
    names = {
        trt.DataType.FLOAT: "float32",
        trt.DataType.HALF: "float16",
        trt.DataType.INT32: "int32",
        trt.DataType.INT64: "int64",
        trt.DataType.BOOL: "bool",
    }
    if dtype not in names:
        raise BackendError(f"a network's border has type {dtype}", remedy="Export the network with float32 borders.")
    return names[dtype]
