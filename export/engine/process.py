"""Run one build in a process of its own, show its progress, cancel it, and say what became of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_app.core.errors import EngineError
from export.engine.failures import failure, kind_of
from export.engine.request import BuildReport, BuildRequest

__all__ = ["LOG_FILE", "OnEvent", "run_build"]

OnEvent = Callable[[dict[str, Any]], None]

CANCEL_GRACE_S = 60.0
"""How long a cancelled build may take to reach its next step before it is killed."""

LOG_FILE = "build.log"
LOG_TAIL = 2000


def run_build(
    request: BuildRequest,
    folder: Path,
    *,
    on_event: OnEvent | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> BuildReport:
    """Build, and return what the build process reports.

    Parameters
    ----------
    folder
        Where the request and the log (`LOG_FILE`) are written.
    on_event
        Called with each event of `export.engine.worker`, in the caller's thread.
    cancelled
        Asked after each event; an interrupt of the keyboard cancels as well.

    Raises
    ------
    EngineError
        Saying what failed.
    """
    asked = folder / "request.json"
    asked.write_text(request.model_dump_json(indent=2), encoding="utf-8")
    log = folder / LOG_FILE
    last: dict[str, Any] = {}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "export.engine.worker", str(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # the terminal's Ctrl-C is for us; we tell the build
        ) as process,
    ):
        try:
            last = _follow(process, on_event, cancelled)
        except BaseException:
            _cancel(process)
            _end(process)
            raise
        process.wait()
    if cancelled():
        # A small network may be done before it hears the word.
        raise failure("cancelled", "the build was cancelled")
    if last.get("event") == "done":
        return BuildReport.model_validate(last["report"])
    if last.get("event") == "failed":
        raise EngineError(last["message"], remedy=last["remedy"])
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
    if process.returncode == -signal.SIGKILL:
        raise failure("memory", "the build was killed, as the system does when memory runs out")
    raise failure(kind_of([tail]), f"the build process died ({process.returncode}): {tail[-500:] or 'no word'}")


def _follow(process: subprocess.Popen[str], on_event: OnEvent | None, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Return the last event."""
    last: dict[str, Any] = {}
    told = False
    for line in process.stdout or ():
        last = json.loads(line)
        if on_event is not None:
            on_event(last)
        if not told and cancelled():
            told = True
            _cancel(process)
    return last


def _cancel(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended already
            process.stdin.close()  # its end is the word
        process.stdin = None


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=CANCEL_GRACE_S)  # reads on, or the build would wait for us
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
