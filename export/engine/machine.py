"""What the machine that builds has and is: TensorRT, GPU, free memory, power mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.errors import EngineError
from edge_app.inference.device import CudaDevice, Fingerprint, read_cuda_device, read_fingerprint
from edge_app.inference.tensorrt_backend import tensorrt_version

__all__ = ["Machine", "read_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The device, as a build needs to know it."""

    fingerprint: Fingerprint
    available_mib: int
    """Memory that is free now."""
    power_mode: str
    """nvpmodel's mode; empty on what is no Jetson."""


def read_machine(*, root: Path = Path("/"), cuda_device: Callable[[], CudaDevice] = read_cuda_device) -> Machine:
    """Look at this machine.

    Raises
    ------
    EngineError
        If TensorRT or pycuda is missing.
    BackendError
        If TensorRT is too old, or there is no GPU.
    """
    version = tensorrt_version()
    if version is None:
        raise EngineError(
            "TensorRT or pycuda is not installed here",
            remedy="Engines are built on the device that runs them: see deploy/new-device.md.",
        )
    fingerprint = read_fingerprint(version, root=root, cuda_device=cuda_device)
    memory = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    mode = re.search(r"pmode:(\w+)", _text(root / "var/lib/nvpmodel/status"))
    return Machine(
        fingerprint, int(memory.group(1)) >> 10 if memory else fingerprint.memory_mib, mode.group(1) if mode else ""
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
