"""What TensorRT says when something goes wrong: error recorder and logger, read out into one message.

TensorRT reports failure by None or False; why, it tells its error recorder (a code and a sentence) and its logger.
Both classes derive from TensorRT's own, so they are made where the module is at hand.
"""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["KEPT", "make_logger", "make_recorder"]

KEPT = 20
"""Errors and log lines kept; the first ones name the cause, and TensorRT repeats itself."""


def make_recorder(trt: Any) -> Any:
    """Return an ``IErrorRecorder`` that keeps the first `KEPT` errors; `take()` returns and forgets them."""

    class Recorder(trt.IErrorRecorder):  # type: ignore[misc]  # tensorrt is not there when this is checked
        def __init__(self) -> None:
            trt.IErrorRecorder.__init__(self)
            self._errors: list[tuple[Any, str]] = []
            self._overflowed = False

        def num_errors(self) -> int:
            return len(self._errors)

        def get_error_code(self, arg0: int) -> Any:
            return self._errors[arg0][0]

        def get_error_desc(self, arg0: int) -> str:
            return self._errors[arg0][1]

        def has_overflowed(self) -> bool:
            return self._overflowed

        def report_error(self, arg0: Any, arg1: str) -> bool:
            if len(self._errors) < KEPT:
                self._errors.append((arg0, arg1))
            else:
                self._overflowed = True
            return True  # always: carrying on is never safer here than stopping

        def clear(self) -> None:
            self._errors.clear()
            self._overflowed = False

        def take(self) -> str:
            text = "; ".join(f"[{code.name}] {description}" for code, description in self._errors)
            more = "; and more" if self._overflowed else ""
            self.clear()
            return text + more

    return Recorder()


def make_logger(trt: Any) -> Any:
    """Return an ``ILogger`` that keeps the last `KEPT` warnings and errors in `lines`, oldest first."""
    kept_severities = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING)

    class Listener(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=KEPT)

        def log(self, severity: Any, msg: str) -> None:
            # Called from TensorRT's own threads; nothing may be raised from here.
            if severity in kept_severities:
                self.lines.append(msg)

    return Listener()
