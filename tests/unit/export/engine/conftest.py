from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from export.engine import make
from export.engine.builder import build_plan
from export.engine.request import BuildReport, BuildRequest
from export.engine.worker import make_monitor
from tests.fake_pycuda import FakeGpu, fake_pycuda
from tests.fake_tensorrt import Script, fake_tensorrt


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, script: Script) -> Iterator[FakeGpu]:
    """Put a fake TensorRT 10.3 and a fake pycuda in the place of the real ones."""
    gpu = FakeGpu()
    for name, module in fake_pycuda(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", gpu, script))
    yield gpu
    assert gpu.clean, "memory, page-locked memory or a context was left behind"


@pytest.fixture
def requests_seen() -> list[BuildRequest]:
    return []


@pytest.fixture
def builds_here(monkeypatch: pytest.MonkeyPatch, requests_seen: list[BuildRequest]) -> None:
    """Build in this process; `test_process` has the one of its own."""

    def build(
        request: BuildRequest,
        folder: Path,
        *,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        cancelled: Callable[[], bool],
    ) -> BuildReport:
        requests_seen.append(request)
        emit = on_event or (lambda event: None)
        return build_plan(sys.modules["tensorrt"], request, lambda trt: make_monitor(trt, emit, cancelled), cancelled)

    monkeypatch.setattr(make, "run_build", build)
