"""What a failed build means: TensorRT's words to a kind and a way out.

Running out of memory has many faces; on an 8 GB board "no implementation for node" is usually one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from edge_app.core.errors import EngineError

__all__ = ["FailureKind", "failure", "kind_of"]

FailureKind = Literal["parser", "memory", "probably memory", "cancelled", "gpu", "refused", "build"]

_MEMORY = (
    r"out of memory",
    r"OutOfMemory",
    r"cudaErrorMemoryAllocation",
    r"CUDA_ERROR_OUT_OF_MEMORY",
    r"FAILED_ALLOCATION",
    r"[Rr]equested (?:amount of GPU memory|size was)",
    r"[Ii]nsufficient memory",
    r"Cannot allocate memory",
    r"std::bad_alloc",
    r"NvMapMemAlloc\w* ?(?:\w+: )?.*error 12",
    r"NvMapMemAllocInternalTagged",
)
_PROBABLY_MEMORY = (
    r"[Cc]ould not find any implementation for node",
    r"insufficient workspace",
    r"[Tt]ry increasing the workspace size",
)

REMEDIES: dict[FailureKind, str] = {
    "parser": "Export the network again with this version of msu-triage; TensorRT cannot take the nodes named.",
    "memory": "Memory did not suffice: stop the worker and the screen, add swap, and build again.",
    "probably memory": "Most often this is memory: stop the worker and the screen, add swap, and build again. "
    "If it stays, the network has a node that this TensorRT cannot run.",
    "cancelled": "Nothing was changed; the engines of before still run.",
    "gpu": "Check the GPU driver, and that libnvinfer has the version of its Python bindings.",
    "refused": "Build again; if it stays, make the bundle again with this version of msu-triage.",
    "build": "Read the lines named; the build's log lies in the engine folder.",
}


def kind_of(lines: Iterable[str]) -> FailureKind:
    """Return what TensorRT's messages mean."""
    text = "\n".join(lines)
    if any(re.search(pattern, text) for pattern in _MEMORY):
        return "memory"
    if any(re.search(pattern, text) for pattern in _PROBABLY_MEMORY):
        return "probably memory"
    return "build"


def failure(kind: FailureKind, message: str) -> EngineError:
    """Return the error for a kind of failure."""
    return EngineError(message, remedy=REMEDIES[kind])
