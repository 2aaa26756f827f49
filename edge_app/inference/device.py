"""What this machine is, as far as a TensorRT engine cares: the fingerprint that a plan is bound to.

An engine runs only on the device, driver and TensorRT it was built with. Everything is read without importing
TensorRT or taking a CUDA context: the driver through its C library, the rest from files.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edge_app.core.errors import BackendError

__all__ = ["CudaDevice", "Fingerprint", "read_cuda_device", "read_fingerprint"]

MEMORY_STEP_MIB = 256
"""Memory is rounded to this: on Jetson the total changes by a few MiB with the kernel's own needs from boot to boot."""

_COMPUTE_MAJOR, _COMPUTE_MINOR, _SM_COUNT = 75, 76, 16  # CUdevice_attribute in cuda.h

JETPACKS = {
    (35, 0): "5",
    (36, 2): "6.0 DP",
    (36, 3): "6.0",
    (36, 4): "6.1/6.2",
    (38, 0): "7.0/7.1",
    (39, 0): "7.2",
}
"""JetPack by the lowest L4T release (major, minor) that belongs to it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CudaDevice(_Frozen):
    """The first GPU, as the driver describes it."""

    gpu: str
    compute_capability: str
    """E.g. ``8.7`` on every Orin."""
    sm_count: int
    memory_mib: int
    cuda: str
    """Highest CUDA version that the driver supports, e.g. ``12.6``."""


class Fingerprint(_Frozen):
    """All that must be equal between the machine that built an engine and the one that runs it."""

    gpu: str
    compute_capability: str
    sm_count: int
    memory_mib: int
    """Rounded to `MEMORY_STEP_MIB`."""
    tensorrt: str
    """Four parts where the machine tells them, e.g. ``10.3.0.30``."""
    cuda: str
    driver: str
    """Version of the kernel module; empty on a Jetson that does not tell (its L4T release says it then)."""
    l4t: str
    """E.g. ``36.4.3``; empty where this is no Jetson."""
    jetpack: str
    module: str
    """/proc/device-tree/model, e.g. ``NVIDIA Jetson Orin Nano Developer Kit``."""

    def differences(self, other: Fingerprint) -> list[str]:
        """Return one line per field in which `other` differs, naming both values."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [f"{name} is {theirs[name]!r}, not {mine[name]!r}" for name in mine if mine[name] != theirs[name]]

    def __str__(self) -> str:
        return f"{self.module or self.gpu}, sm {self.compute_capability}, TensorRT {self.tensorrt}, CUDA {self.cuda}"


def read_cuda_device() -> CudaDevice:
    """Ask the driver for the first GPU.

    Raises
    ------
    BackendError
        If there is no driver or no GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise _no_gpu("there is no NVIDIA driver (libcuda.so.1)") from error

    def call(name: str, *arguments: object) -> None:
        if code := getattr(driver, name)(*arguments):
            raise _no_gpu(f"{name} failed with CUDA error {code}")

    call("cuInit", 0)
    device, number = ctypes.c_int(), ctypes.c_int()
    call("cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", name, len(name), device)
    memory = ctypes.c_size_t()
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)

    def attribute(which: int) -> int:
        call("cuDeviceGetAttribute", ctypes.byref(number), which, device)
        return number.value

    capability = f"{attribute(_COMPUTE_MAJOR)}.{attribute(_COMPUTE_MINOR)}"
    sm_count = attribute(_SM_COUNT)
    call("cuDriverGetVersion", ctypes.byref(number))
    return CudaDevice(
        gpu=name.value.decode(errors="replace"),
        compute_capability=capability,
        sm_count=sm_count,
        memory_mib=memory.value >> 20,
        cuda=f"{number.value // 1000}.{number.value % 1000 // 10}",
    )


def read_fingerprint(
    tensorrt_version: str,
    *,
    root: Path = Path("/"),
    cuda_device: Callable[[], CudaDevice] = read_cuda_device,
) -> Fingerprint:
    """Return this machine's fingerprint.

    Parameters
    ----------
    tensorrt_version
        ``tensorrt.__version__``; a missing fourth part is taken from the package database.
    root
        Where /proc, /etc and /var are.
    cuda_device
        Asks the driver.

    Raises
    ------
    BackendError
        If there is no GPU.
    """
    device = cuda_device()
    l4t = _l4t(_text(root / "etc/nv_tegra_release"))
    driver = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", _text(root / "proc/driver/nvidia/version"))
    return Fingerprint(
        gpu=device.gpu,
        compute_capability=device.compute_capability,
        sm_count=device.sm_count,
        memory_mib=round(device.memory_mib / MEMORY_STEP_MIB) * MEMORY_STEP_MIB,
        tensorrt=_four_parts(tensorrt_version, root / "var/lib/dpkg/status"),
        cuda=device.cuda,
        driver=driver.group(1) if driver else "",
        l4t=l4t,
        jetpack=_jetpack(l4t),
        module=_text(root / "proc/device-tree/model").strip("\0\n "),
    )


def _l4t(release: str) -> str:
    # The file's first line: R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: …
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", release)
    return f"{found.group(1)}.{found.group(2)}" if found else ""


def _jetpack(l4t: str) -> str:
    if not l4t:
        return ""
    release = tuple(map(int, l4t.split(".")[:2]))
    known = [name for lowest, name in JETPACKS.items() if lowest[0] == release[0] and lowest <= release]
    return known[-1] if known else f"unknown (L4T {l4t})"


def _four_parts(version: str, dpkg_status: Path) -> str:
    if version.count(".") >= 3:
        return version
    package = re.search(
        rf"^Package: libnvinfer{version.split('.')[0]}\n(?:.+\n)*?Version: ({re.escape(version)}\.\d+)",
        _text(dpkg_status),
        re.MULTILINE,
    )
    return package.group(1) if package else version


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _no_gpu(what: str) -> BackendError:
    return BackendError(what, remedy="Check the driver with nvidia-smi (on Jetson: tegrastats), or run on the CPU.")
