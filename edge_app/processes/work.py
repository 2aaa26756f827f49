"""The worker process: opens the model and the ledger, and turns the loop until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

from edge_app.core.config import Settings
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.worker.changeover import Changeover
from edge_app.worker.live import Worker

__all__ = ["run"]

POLL_S = 0.03
"""How long an idle loop waits before it looks at the ledger again (LAYOUT.md: at most 50 ms)."""


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Analyse what the receiver stores, until `stop` is set.

    A bundle that cannot be loaded does not end the process: images are still shown, and every study says E-101
    (SCREEN.md R46). Between cases a bundle that was installed meanwhile is taken up (`edge_app.worker.changeover`).

    Parameters
    ----------
    ready
        Called once when the model is loaded (or refused) and what an earlier process left has been taken up.
    alive
        Called after each step of the loop: a batch of images, a scored slice, a look at the ledger.

    Raises
    ------
    StoreError
        If the ledger cannot be opened.
    """
    with Ledger(StorePaths(settings.data), "work") as ledger, closing(Changeover(settings, ledger)) as changeover:
        changeover.start()
        while not stop.is_set():
            worker = Worker(ledger, changeover.models, settings, problem=changeover.problem)
            worker.recover()
            if ready is not None:
                ready()
                ready = None
            _turn(worker, stop, alive, lambda worker=worker: changeover.due(worker.quiet_s))  # type: ignore[misc]
            worker.stop()
            if not stop.is_set():
                changeover.take_up(alive)


def _turn(worker: Worker, stop: threading.Event, alive: Callable[[], None] | None, leave: Callable[[], bool]) -> None:
    """Turn the loop until `stop` is set, or until there is nothing to do and `leave` says so."""
    while not stop.is_set():
        if not worker.step():
            if leave():
                return
            stop.wait(POLL_S)
        if alive is not None:
            alive()
