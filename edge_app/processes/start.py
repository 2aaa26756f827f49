"""What all processes begin and end with: logs, the order to stop, signs of life, refused settings left behind."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_app.core.config import Settings
from edge_app.core.errors import ConfigError, StoreError
from edge_app.core.logs import get_logger, setup_logging
from edge_app.processes.lifecycle import stop_event
from edge_app.processes.notify import Notifier
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths

__all__ = ["Started", "started"]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """What a process's composition root is given."""

    stop: threading.Event
    notifier: Notifier


@contextmanager
def started(name: str, settings: Settings, *, supervised: bool) -> Iterator[Started]:
    """Run the block as the process `name`.

    If the block refuses the settings, the reason is left in the store, where the screen finds it: the process itself
    ends with exit code 78 and is not started again.
    """
    setup_logging()
    notifier = Notifier()
    try:
        yield Started(stop_event(supervised=supervised), notifier)
    except ConfigError as error:
        notifier.refused(str(error))
        _leave_refusal(name, settings, error)
        raise
    notifier.stopping()


def _leave_refusal(name: str, settings: Settings, error: ConfigError) -> None:
    _log.event(610, "settings refused", level=logging.ERROR, process_name=name, why=error.message)
    try:
        with Ledger(StorePaths(settings.data), name) as ledger:
            ledger.beat({"refused": error.message})
    except (OSError, sqlite3.Error, StoreError):
        _log.exception("the refusal cannot be left in the store")
