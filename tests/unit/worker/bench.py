"""For tests of the live worker: see `Bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_app.core.clock import monotonic_s
from edge_app.core.config import AnalysisSettings, CompletenessSettings, Settings
from edge_app.core.types import StudyResult
from edge_app.store.associations import associations
from edge_app.store.ledger import Ledger, StudyRow
from edge_app.store.paths import StorePaths
from edge_app.worker.live import Worker
from edge_app.worker.models import Models
from tests.stores import Sender


class Clock:
    """A monotonic clock that stands still until a test moves it: how busy the machine is changes nothing."""

    def __init__(self) -> None:
        self.now_s = monotonic_s()

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A store with a sender on one side and the worker on the other; all in one thread."""

    def __init__(self, root: Path, models: Models | None, **analysis: Any) -> None:
        self.sender = Sender(root)
        self.ledger = Ledger(StorePaths(root), "work")
        self.clock = Clock()
        self.settings = Settings(data=root, completeness=CompletenessSettings(), analysis=AnalysisSettings(**analysis))
        self.worker = self.start(models)

    def start(self, models: Models | None, problem: str = "") -> Worker:
        """Start a worker, as after a crash of the one before."""
        self.worker = Worker(self.ledger, models, self.settings, problem=problem, clock=self.clock)
        self.worker.recover()
        return self.worker

    def advance(self, seconds: float) -> None:
        """Move the clock to `seconds` after the last thing that was received."""
        received = [row.received_s for row in self.ledger.instances()]
        closed = [row.closed_s for row in associations(self.ledger) if row.closed_s is not None]
        self.clock.now_s = max([self.clock.now_s, *received, *closed]) + seconds

    def settle(self) -> None:
        """Let the worker do all it can do now."""
        self.advance(0)
        for _ in range(2000):
            if not self.worker.step():
                return
        pytest.fail("the worker never rests")

    def settle_after(self, seconds: float) -> None:
        self.advance(seconds)
        self.settle()

    def study(self, uid: str) -> StudyRow:
        return next(study for study in self.ledger.studies() if study.study_uid == uid)

    def result(self, uid: str) -> StudyResult:
        result = self.ledger.latest_result(uid)
        assert result is not None
        return result

    def close(self) -> None:
        self.sender.ledger.close()
        self.ledger.close()
