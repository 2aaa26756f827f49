"""What needs an NVIDIA GPU: ``pytest tests/device`` on a Jetson or workstation; skipped elsewhere, with the reason.

`MSU_DEVICE_BUNDLE` names a real bundle to build engines of, beside the tiny one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from edge_app.core.errors import BackendError, EngineError
from edge_app.inference.device import CudaDevice, read_cuda_device
from export.engine.machine import Machine, read_machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/device" in item.path.as_posix():
            item.add_marker(pytest.mark.device)


@pytest.fixture(scope="session")
def cuda_device() -> CudaDevice:
    try:
        return read_cuda_device()
    except BackendError as error:
        pytest.skip(f"no NVIDIA GPU: {error.message}")


@pytest.fixture(scope="session")
def cuda(cuda_device: CudaDevice) -> Any:
    """Return `pycuda.driver`, initialised."""
    try:
        driver = importlib.import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        pytest.skip(f"no pycuda: {error}")
    driver.init()
    return driver


@pytest.fixture
def context(cuda: Any) -> Iterator[Any]:
    primary = cuda.Device(0).retain_primary_context()
    primary.push()
    try:
        yield primary
    finally:
        cuda.Context.pop()
        primary.detach()


@pytest.fixture(scope="session")
def here(cuda: Any) -> Machine:
    """Return this machine, which has TensorRT."""
    try:
        return read_machine()
    except (BackendError, EngineError) as error:
        pytest.skip(f"no TensorRT: {error.message}")
