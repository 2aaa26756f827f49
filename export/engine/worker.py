"""The build process: ``python -m export.engine.worker REQUEST.json``.

Progress and outcome go to stdout as JSON lines; a line on stdin, or its end, cancels. A process of its own, because a
build may be killed for want of memory, and because TensorRT gives its memory back only when the process ends.

Events: ``{"event": "phase", "name", "parent", "steps"}``, ``{"event": "step", "name", "step"}``, ``{"event": "finish",
"name"}``, and last ``{"event": "done", "report"}`` or ``{"event": "failed", "message", "remedy"}``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_app.core.errors import EngineError
from export.engine.builder import build_plan
from export.engine.failures import failure
from export.engine.request import BuildRequest

__all__ = ["main", "make_monitor"]


def make_monitor(trt: Any, emit: Callable[[dict[str, Any]], None], cancelled: Callable[[], bool]) -> Any:
    """Return an ``IProgressMonitor`` that emits events and stops the build when it is cancelled."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            emit({"event": "phase", "name": phase_name, "parent": parent_phase or "", "steps": num_steps})

        def phase_finish(self, phase_name: str) -> None:
            emit({"event": "finish", "name": phase_name})

        def step_complete(self, phase_name: str, step: int) -> bool:
            emit({"event": "step", "name": phase_name, "step": step})
            return not cancelled()

    return Monitor()


def main(request_file: str) -> int:
    """Build what the request asks for."""
    # What native code prints must not come between the events.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()
    cancel = threading.Event()

    def emit(event: dict[str, Any]) -> None:
        with lock:  # TensorRT calls the monitor from several threads
            events.write(json.dumps(event) + "\n")
            events.flush()

    def watch() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock this thread would still hold when the process ends
        cancel.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        request = BuildRequest.model_validate_json(Path(request_file).read_bytes())
        try:
            trt = importlib.import_module("tensorrt")
        except (ImportError, OSError) as error:
            raise failure("gpu", f"TensorRT cannot be imported: {error}") from error
        report = build_plan(trt, request, lambda trt: make_monitor(trt, emit, cancel.is_set), cancel.is_set)
    except EngineError as error:
        return _fail(emit, error)
    except MemoryError:
        return _fail(emit, failure("memory", "Python ran out of memory while the engine was built"))
    emit({"event": "done", "report": report.model_dump(mode="json")})
    return 0


def _fail(emit: Callable[[dict[str, Any]], None], error: EngineError) -> int:
    emit({"event": "failed", "message": error.message, "remedy": error.remedy})
    return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
