"""What the build process is asked for and what it answers: plain JSON between two processes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_app.core.errors import EngineError
from edge_app.inference.passport import Network, Precision, ProfileRange
from edge_app.inference.predict import BATCH

__all__ = ["MAX_BATCH", "BuildReport", "BuildRequest", "MemoryPools", "plan_pools", "profile_for"]

MAX_BATCH = 16
"""Largest batch of the image engine."""

TYPICAL_SLICES = 40
"""What the patient engine is tuned for."""

RESERVE_MIB = 768
"""Left to the system while an engine is built."""

LEAST_WORKSPACE_MIB = 256
"""With less, builds fail in ways that look like something else."""

WEIGHT_COPIES = 3
"""Copies of the weights that a build holds (two on the host, one on the device)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryPools(_Frozen):
    """Limits of the builder's memory pools."""

    workspace_mib: int = Field(gt=0)
    tactic_dram_mib: int = Field(gt=0)


class BuildRequest(_Frozen):
    """One build."""

    network: Network
    precision: Precision
    onnx: str
    """Path of the ONNX file; external data would lie beside it."""
    onnx_sha256: str
    plan: str
    """Path of the plan to write."""
    timing_cache: str
    """Path of the timing cache, which need not exist."""
    profile: dict[str, ProfileRange]
    pools: MemoryPools
    optimisation_level: int = Field(3, ge=0, le=5)


class BuildReport(_Frozen):
    """What was built."""

    typing: Literal["strong", "weak"]
    typing_reason: str
    flags: tuple[str, ...]
    timing_cache_sha256: str
    build_s: float
    warnings: tuple[str, ...]


def profile_for(network: Network, inputs: dict[str, tuple[int | str, ...]], max_slices: int) -> dict[str, ProfileRange]:
    """Return the optimisation profile: 1 to 16 slices for the image network, 1 to `max_slices` for a patient's.

    Parameters
    ----------
    inputs
        Shape by name; names of free dimensions as the manifest's networks have them (N; B and T).
    max_slices
        Most slices that the patient network takes.

    Raises
    ------
    EngineError
        If an input has another free dimension.
    """
    ranges = {
        "N": (1, BATCH, MAX_BATCH),
        "B": (1, 1, 1),
        "T": (1, min(TYPICAL_SLICES, max_slices), max_slices),
    }

    def shape(dimensions: tuple[int | str, ...], which: int) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else ranges[size][which] for size in dimensions)

    try:
        return {
            name: ProfileRange(smallest=shape(d, 0), best=shape(d, 1), largest=shape(d, 2))
            for name, d in inputs.items()
        }
    except KeyError as error:
        raise EngineError(
            f"the {network} network has a free dimension {error}, not one of {', '.join(ranges)}",
            remedy="Export the network again with this version of msu-triage.",
        ) from error


def plan_pools(available_mib: int, device_mib: int, onnx_mib: int) -> MemoryPools:
    """Return how much the builder may take, so that neither it nor the system runs out.

    Parameters
    ----------
    available_mib
        Free memory of the host (MemAvailable); on Jetson the GPU shares it.
    device_mib
        Memory of the GPU.
    onnx_mib
        Size of the ONNX file.

    Raises
    ------
    EngineError
        If there is too little to begin with.
    """
    free_mib = min(available_mib, device_mib) - RESERVE_MIB - WEIGHT_COPIES * onnx_mib
    if free_mib < LEAST_WORKSPACE_MIB:
        raise EngineError(
            f"{available_mib} MiB of memory are free; a network of {onnx_mib} MiB needs "
            f"{RESERVE_MIB + WEIGHT_COPIES * onnx_mib + LEAST_WORKSPACE_MIB} MiB to be built",
            remedy="Stop the worker and the screen, add swap, and build again.",
        )
    return MemoryPools(workspace_mib=max(LEAST_WORKSPACE_MIB, free_mib // 2), tactic_dram_mib=free_mib)
