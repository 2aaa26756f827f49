"""The worker process: opens the model and the ledger, and turns the loop until it is told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError
from edge_app.core.logs import get_logger
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.worker.live import Worker
from edge_app.worker.models import Models, load_models
from edge_app.worker.publish import publish_model

__all__ = ["run"]

POLL_S = 0.03
"""How long an idle loop waits before it looks at the ledger again (LAYOUT.md: at most 50 ms)."""

_log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Analyse what the receiver stores, until `stop` is set.

    A bundle that cannot be loaded does not end the process: images are still shown, and every study says E-101
    (SCREEN.md R46).

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
    with ExitStack() as resources:
        ledger = resources.enter_context(Ledger(StorePaths(settings.data), "work"))
        models: Models | None = None
        problem = ""
        try:
            models = resources.enter_context(load_models(settings.analysis))
            publish_model(ledger.paths, models)
        except BundleError as error:
            problem = str(error)
            _log.event(320, "no model", level=logging.ERROR, problem=problem)
        worker = Worker(ledger, models, settings, problem=problem)
        worker.recover()
        if ready is not None:
            ready()
        while not stop.is_set():
            if not worker.step():
                stop.wait(POLL_S)
            if alive is not None:
                alive()
        worker.stop()
