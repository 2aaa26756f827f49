"""The watch process: is the vehicle fit for duty? It owns no data; if it dies, the screen says that nobody looks.

A fifth process beside the four of a slice's way, because it needs what none of them may have together: the network to
its own port, the model's files, and the time to hash them; and because what judges the others must not be one of them.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from edge_app.core.config import Settings
from edge_app.processes.phantom import prepare
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.watch.self_test import Phantom, SelfTest
from edge_app.watch.watch import ROUND_S, Watch

__all__ = ["WATCHED", "run"]

WATCHED = ("receive", "work", "screen", "deliver")

EAGER_S = 1.0
"""Between two rounds while something is wrong or being tested: whoever mended it waits for the screen to say so."""


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Look at everything again and again, until `stop` is set.

    Parameters
    ----------
    ready
        Called once after the first round.
    alive
        Called after each round.

    Raises
    ------
    StoreError
        If the ledger cannot be opened.
    """
    with (
        Ledger(StorePaths(settings.data), "watch") as ledger,
        tempfile.TemporaryDirectory(prefix="msu-self-test-") as scratch,
    ):

        def phantom() -> Phantom:
            key = uuid.uuid4().hex
            return prepare(ledger, settings, Path(scratch) / key, key)

        test = (
            SelfTest(ledger, phantom, timeout_s=settings.watch.self_test_timeout_s)
            if settings.watch.self_test
            else None
        )
        watch = Watch(ledger, settings, test, processes=WATCHED)
        try:
            while not stop.is_set():
                findings = watch.look()
                watch.beat(findings)
                if ready is not None:
                    ready()
                    ready = None
                if alive is not None:
                    alive()
                stop.wait(ROUND_S if all(finding.ok for finding in findings) else EAGER_S)
        finally:
            watch.stop()
