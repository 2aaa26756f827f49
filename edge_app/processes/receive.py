"""The receive process: network in, store out. No GPU, no pixels; its promise to the scanner outlives the model."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable

from edge_app.core.clock import monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import NetworkError, ProcessError
from edge_app.core.logs import get_logger
from edge_app.receiver.server import Receiver
from edge_app.receiver.worklist import WorklistWatch
from edge_app.store.associations import close_orphaned_associations
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.lock import hold_alone
from edge_app.store.paths import StorePaths
from edge_app.store.retention import make_room
from edge_app.store.sweep import sweep_orphans

__all__ = ["run"]

BEAT_S = 1.0
"""Time between two signs of life."""

SELF_CHECK_S = 5.0
"""Time between two C-ECHOs to ourselves."""

SELF_CHECKS_FAILED = 3
"""So many in a row end the process; its supervisor starts it again. Meanwhile there is no sign of life."""

ROOM_LOW, ROOM_HIGH = 1.5, 2.0
"""Watermarks for making room, in multiples of `receiver.min_free_bytes`, below which instances are refused."""

_log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    ready: Callable[[str, str, int], None] | None = None,
    alive: Callable[[], None] | None = None,
    stop: threading.Event,
) -> None:
    """Receive until `stop` is set, then end within 2 s.

    Parameters
    ----------
    ready
        Called once with (AE title, host, port) when an association would be accepted: after the first C-ECHO to
        ourselves was answered.
    alive
        Called about once a second as long as the C-ECHOs to ourselves are answered.

    Raises
    ------
    StoreError
        If the store cannot be opened, or another receiver uses it.
    NetworkError
        If the port cannot be bound, or the first C-ECHO is not answered.
    ProcessError
        If the receiver no longer answers itself.
    """
    paths = StorePaths(settings.data)
    with Ledger(paths, "receive") as ledger, hold_alone(paths.root / "receive.lock"):
        close_orphaned_associations(ledger)
        swept = sweep_orphans(ledger)
        _log.event(200, "store opened", removed=swept.removed, quarantined=swept.quarantined)
        inbox = Inbox(ledger, settings.receiver.min_free_bytes)
        with Receiver(settings.receiver, inbox, ledger) as receiver, WorklistWatch(settings.worklist, ledger):
            receiver.check_self()
            _beat(ledger, inbox, receiver, settings)
            if ready:
                ready(settings.receiver.aet, settings.receiver.host, _port(receiver, settings))
            _watch(ledger, inbox, receiver, settings, stop, alive)


def _watch(
    ledger: Ledger,
    inbox: Inbox,
    receiver: Receiver,
    settings: Settings,
    stop: threading.Event,
    alive: Callable[[], None] | None,
) -> None:
    """Leave signs of life as long as the receiver answers itself."""
    failed, checked_s = 0, monotonic_s()
    while not stop.wait(BEAT_S):
        if failed or monotonic_s() - checked_s >= SELF_CHECK_S:
            failed = 0 if _answers(receiver) else failed + 1
            checked_s = monotonic_s()
        if failed >= SELF_CHECKS_FAILED:
            raise ProcessError(
                f"the receiver did not answer {failed} C-ECHOs to itself", remedy="It is started again by itself."
            )
        if not failed:
            if alive:
                alive()
            try:
                _make_room(ledger, inbox, settings.receiver.min_free_bytes, settings.delivery.keep_days)
                _beat(ledger, inbox, receiver, settings)
            except (OSError, sqlite3.Error) as error:
                # A disk that is full to the last byte: no sign of life can be written, but the scanner still gets its
                # 0xA700 for each image, which is better than a port that comes and goes.
                _log.event(221, "no sign of life could be left", level=logging.ERROR, why=str(error))


def _answers(receiver: Receiver) -> bool:
    try:
        receiver.check_self()
    except NetworkError as error:
        _log.event(220, "self-check failed", level=logging.ERROR, why=str(error))
        return False
    return True


def _make_room(ledger: Ledger, inbox: Inbox, min_free_bytes: int, keep_days: float) -> None:
    low_bytes, high_bytes = int(ROOM_LOW * min_free_bytes), int(ROOM_HIGH * min_free_bytes)
    removed = make_room(
        ledger, low_bytes=low_bytes, high_bytes=high_bytes, free_bytes=inbox.free_bytes, keep_days=keep_days
    )
    if removed:
        _log.event(230, "delivered studies removed to make room", level=logging.WARNING, studies=len(removed))


def _port(receiver: Receiver, settings: Settings) -> int:
    """Return the port to tell people: the plain one, where there is one."""
    return receiver.port if settings.receiver.plain else receiver.tls_port


def _beat(ledger: Ledger, inbox: Inbox, receiver: Receiver, settings: Settings) -> None:
    ledger.beat(
        {
            "aet": settings.receiver.aet,
            "host": settings.receiver.host,
            "port": _port(receiver, settings),
            "tls_port": receiver.tls_port if settings.receiver.tls else None,
            "free_bytes": inbox.free_bytes(),
            "total_bytes": shutil.disk_usage(settings.data).total,
            "low_disk": inbox.is_low(),
            "associations": receiver.associations,
        }
    )
