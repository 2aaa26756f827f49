"""The build's own process, with the fake TensorRT in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_app.core.errors import EngineError
from export.engine.process import run_build
from export.engine.request import BuildRequest
from tests.unit.export.engine.test_builder import RANGE, header, request_

__all__ = ["RANGE", "request_"]

ROOT = Path(__file__).parents[4]


@pytest.fixture
def fake_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``import tensorrt`` give the fake there; `prelude` lines run before."""
    folder = tmp_path / "site"
    folder.mkdir()
    write_module(folder, "Script()")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    return folder


def write_module(folder: Path, script: str, prelude: str = "") -> None:
    (folder / "tensorrt.py").write_text(
        f"import os, sys\n{prelude}\nfrom tests.fake_pycuda import FakeGpu\n"
        "from tests.fake_tensorrt import Script, fake_tensorrt\n"
        f"sys.modules['tensorrt'] = fake_tensorrt('10.13.3.9', FakeGpu(), {script})\n"
    )


def test_a_build_reports_progress_and_what_it_made(
    request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path
) -> None:
    write_module(fake_in_the_process, "Script()", "os.write(1, b'native code prints this\\n')")
    events: list[dict[str, Any]] = []
    report = run_build(request_, tmp_path, on_event=events.append)
    assert report.typing == "strong" and header(request_)["version"] == "10.13.3.9"
    assert [event["event"] for event in events[:2]] == ["phase", "phase"] and events[-1]["event"] == "done"
    assert "native code prints this" in (tmp_path / "build.log").read_text()


def test_a_build_that_is_cancelled_ends_and_says_so(
    request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path
) -> None:
    # So many steps that the word arrives before the last one.
    write_module(fake_in_the_process, "Script(steps=10**9)")
    with pytest.raises(EngineError, match=r"cancelled.* Nothing was changed"):
        run_build(request_, tmp_path, cancelled=lambda: True)
    assert not Path(request_.plan).exists()


def test_an_interrupt_ends_the_build_too(request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path) -> None:
    write_module(fake_in_the_process, "Script(steps=10**9)")

    def interrupt(event: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build(request_, tmp_path, on_event=interrupt)


def test_a_build_that_the_system_kills_is_told_as_want_of_memory(
    request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path
) -> None:
    write_module(fake_in_the_process, "Script()", "os.kill(os.getpid(), 9)")
    with pytest.raises(EngineError, match=r"killed.*memory.* stop the worker"):
        run_build(request_, tmp_path)


def test_a_build_that_crashes_shows_the_end_of_its_log(
    request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path
) -> None:
    write_module(fake_in_the_process, "Script()", "raise RuntimeError('libnvinfer fell over')")
    with pytest.raises(EngineError, match="libnvinfer fell over"):
        run_build(request_, tmp_path)


def test_a_failure_in_the_process_arrives_as_it_was_said(
    request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path
) -> None:
    write_module(fake_in_the_process, "Script(build_fails=True, build_log=['Cuda Runtime (out of memory)'])")
    with pytest.raises(EngineError, match=r"out of memory.*Memory did not suffice"):
        run_build(request_, tmp_path)


def test_a_machine_without_tensorrt_is_told(request_: BuildRequest, tmp_path: Path, fake_in_the_process: Path) -> None:
    write_module(fake_in_the_process, "Script()", "raise ImportError('libnvinfer.so.10: cannot open')")
    with pytest.raises(EngineError, match="cannot be imported: libnvinfer"):
        run_build(request_, tmp_path)
