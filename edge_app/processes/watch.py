"""The watch process: is the vehicle fit for duty? It owns no data; if it dies, the screen says that nobody looks.

A fifth process beside the four of a slice's way, because it needs what none of them may have together: the network to
its own port, the model's files, and the time to hash them; and because what judges the others must not be one of them.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from edge_app.core.config import Settings
from edge_app.core.findings import Finding
from edge_app.core.logs import get_logger
from edge_app.processes.phantom import prepare
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.watch.http import HealthServer
from edge_app.watch.metrics import LedgerCollector, registry_of, write_textfile
from edge_app.watch.self_test import Phantom, SelfTest
from edge_app.watch.watch import ROUND_S, Watch

__all__ = ["WATCHED", "run"]

WATCHED = ("receive", "work", "screen", "deliver")

EAGER_S = 1.0
"""Between two rounds while something is wrong or being tested: whoever mended it waits for the screen to say so."""

_log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
    root: Path = Path("/"),
) -> None:
    """Look at everything again and again, until `stop` is set.

    Parameters
    ----------
    ready
        Called once after the first round.
    alive
        Called after each round.
    root
        Where /proc and /sys are.

    Raises
    ------
    StoreError
        If the ledger cannot be opened.
    NetworkError
        If the port for /metrics is taken.
    """
    wanted = settings.watch
    with ExitStack() as resources:
        ledger = resources.enter_context(Ledger(StorePaths(settings.data), "watch"))
        scratch = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="msu-self-test-")))
        collector = LedgerCollector(ledger)
        registry = registry_of(collector)
        if wanted.metrics_port:
            server = HealthServer(wanted.metrics_port, registry, lambda: _health(collector.findings))
            resources.enter_context(server)

        def phantom() -> Phantom:
            key = uuid.uuid4().hex
            return prepare(ledger, settings, scratch / key, key)

        test = SelfTest(ledger, phantom, timeout_s=wanted.self_test_timeout_s) if wanted.self_test else None
        watch = Watch(ledger, settings, test, processes=WATCHED, root=root)
        resources.callback(watch.stop)
        while not stop.is_set():
            findings = watch.look()
            watch.beat(findings)
            collector.findings = findings
            if wanted.metrics_file:
                _write(registry, Path(wanted.metrics_file))
            if ready is not None:
                ready()
                ready = None
            if alive is not None:
                alive()
            stop.wait(ROUND_S if all(finding.ok for finding in findings) else EAGER_S)


def _health(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the body of /healthz; before the first round nobody knows, which is not fit."""
    fit = bool(findings) and all(finding.ok for finding in findings)
    return {"fit": fit, "findings": [finding.to_json() for finding in findings]}


def _write(registry: CollectorRegistry, path: Path) -> None:
    try:
        write_textfile(registry, path)
    except OSError as error:
        _log.event(702, "the metrics' file cannot be written", level=logging.WARNING, why=error.strerror)
