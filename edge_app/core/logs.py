"""Structured logs without patient data: one JSON object a line on stderr, with a numbered event.

Patient data never goes into a log: the functions take study and SOP UIDs, which are hashed here to eight characters.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING

from edge_app.core.clock import utc_iso, utc_now

__all__ = ["get_logger", "setup_logging", "short"]

_FIELDS_KEY = "msu_fields"

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # takes a type argument only from Python 3.11 on


def short(uid: str) -> str:
    """Return eight hex characters that stand for a UID in logs, so that lines can be joined but not traced back."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": utc_iso(utc_now()),
            "level": record.levelname,
            "process": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, _FIELDS_KEY, {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class EventLogger(_LoggerAdapter):
    """A logger whose `event` takes a number and named fields."""

    def event(self, number: int, message: str, *, level: int = logging.INFO, **fields: object) -> None:
        """Log one numbered event; numbers are listed in deploy/runbook.md."""
        self.logger.log(level, message, extra={_FIELDS_KEY: {"event": number, **fields}})


def get_logger(name: str) -> EventLogger:
    """Return the logger of a module."""
    return EventLogger(logging.getLogger(name), {})


def setup_logging(level: int = logging.INFO) -> None:
    """Send all logs of this process to stderr as JSON lines; called once by a process's composition root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.getLogger("highdicom").setLevel(logging.ERROR)  # it logs UIDs and names
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # pydicom's quote the values they complain of, names and UIDs among them
