from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.errors import BackendError
from edge_app.inference import device
from edge_app.inference.device import Fingerprint, read_cuda_device, read_fingerprint
from tests.engines import CUDA, machine

JETSON = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n",
    "var/lib/dpkg/status": (
        "Package: libnvinfer-dev\nVersion: 10.3.0.26-1+cuda12.5\n\n"
        "Package: libnvinfer10\nStatus: install ok installed\nVersion: 10.3.0.30-1+cuda12.5\n\n"
    ),
}


def read(tmp_path: Path, files: dict[str, str], version: str = "10.3.0") -> Fingerprint:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_fingerprint(version, root=tmp_path, cuda_device=lambda: CUDA)


def test_a_jetson_is_described_down_to_its_fourth_version_part(tmp_path: Path) -> None:
    assert read(tmp_path, JETSON) == machine("10.3.0.30").fingerprint


def test_a_workstation_has_no_jetpack(tmp_path: Path) -> None:
    found = read(tmp_path, {}, "10.13.3.9")
    assert (found.tensorrt, found.l4t, found.jetpack, found.module, found.driver) == ("10.13.3.9", "", "", "", "")


@pytest.mark.parametrize(
    ("major", "revision", "jetpack"),
    [
        ("36", "3.0", "6.0"),
        ("36", "5.0", "6.1/6.2"),
        ("38", "2.1", "7.0/7.1"),
        ("39", "2.0", "7.2"),
        ("99", "1", "unk"),
    ],
)
def test_jetpack_is_told_by_the_l4t_release(tmp_path: Path, major: str, revision: str, jetpack: str) -> None:
    found = read(tmp_path, {"etc/nv_tegra_release": f"# R{major} (release), REVISION: {revision}, GCID: 1\n"})
    assert found.l4t == f"{major}.{revision}" and found.jetpack.startswith(jetpack)


def test_a_few_mebibytes_of_memory_do_not_make_another_device(tmp_path: Path) -> None:
    other = CUDA.model_copy(update={"memory_mib": CUDA.memory_mib - 20})
    again = read_fingerprint("10.3.0", root=tmp_path, cuda_device=lambda: other)
    assert again.differences(read_fingerprint("10.3.0", root=tmp_path, cuda_device=lambda: CUDA)) == []


def test_every_field_that_differs_is_named_with_both_values() -> None:
    orin = machine().fingerprint
    for name, value in orin.model_dump().items():
        other = orin.model_copy(update={name: 1 if isinstance(value, int) else "other"})
        assert len(orin.differences(other)) == 1 and name in orin.differences(other)[0]


def test_a_machine_without_a_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(device.ctypes, "CDLL", no_driver)
    with pytest.raises(BackendError, match="E-103 there is no NVIDIA driver"):
        read_cuda_device()


def test_a_driver_that_refuses_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        def cuInit(self, flags: int) -> int:
            return 100

    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: Driver())
    with pytest.raises(BackendError, match="cuInit failed with CUDA error 100"):
        read_cuda_device()
