"""The second opinion after a result: agrees with itself, notices an engine that drifts, and what it cannot read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import FileDataset

from edge_app.core.config import AnalysisSettings
from edge_app.core.types import StudyResult
from edge_app.store.self_tests import announce
from edge_app.worker.canary import LIMIT, SLICES, Canary
from edge_app.worker.models import Models
from edge_app.worker.offline import analyse_paths
from tests.stores import Sender
from tests.waiting import wait_until


@pytest.fixture
def sender(tmp_path: Path, head: list[FileDataset]) -> Iterator[Sender]:
    with Sender(tmp_path) as opened:
        with opened.association() as association:
            for ds in head:
                opened.store(ds, association)
        yield opened


@pytest.fixture(scope="module")
def result(head_folder: Path, models: Models) -> StudyResult:
    (answer,) = analyse_paths([head_folder], models, AnalysisSettings())
    return answer


def rest(canary: Canary) -> None:
    """Let it come to its end: begun, run on its thread, and taken in."""
    while canary.step():
        wait_until(lambda: canary._thread is None or not canary._thread.is_alive(), "the second opinion is there")


def test_three_key_slices_are_run_again_and_agree(sender: Sender, result: StudyResult, models: Models) -> None:
    canary = Canary(sender.ledger, models)
    assert canary.last is None and not canary.step()
    canary.note(result)
    rest(canary)
    assert canary.last == {"difference": 0.0, "limit": LIMIT, "ok": True, "slices": SLICES, "problem": ""}
    assert sender.ledger.read("SELECT COUNT(*) FROM audit WHERE event = 'canary'") == [(1,)]


def test_an_engine_that_answered_otherwise_raises_the_alarm(
    sender: Sender, result: StudyResult, models: Models
) -> None:
    drifted = tuple(
        replace(row, probabilities={**row.probabilities, "hemorrhage": row.probabilities["hemorrhage"] - 0.3})
        if row.sop_uid == result.key_slices[1]
        else row
        for row in result.slices
    )
    canary = Canary(sender.ledger, models)
    canary.note(replace(result, slices=drifted))
    rest(canary)
    assert canary.last is not None and canary.last["ok"] is False
    assert canary.last["difference"] == pytest.approx(0.3, abs=1e-4)
    canary.note(result)
    rest(canary)
    assert canary.last["ok"] is True, "the next study that agrees ends the alarm"


def test_an_image_that_cannot_be_read_any_more_is_said(sender: Sender, result: StudyResult, models: Models) -> None:
    row = next(row for row in sender.ledger.instances() if row.sop_uid == result.key_slices[0])
    (sender.ledger.paths.root / row.path).write_bytes(b"rubbish")
    canary = Canary(sender.ledger, models)
    canary.note(result)
    rest(canary)
    assert canary.last is not None and canary.last["ok"] is False and canary.last["problem"]


def test_the_worker_goes_on_while_the_slices_are_run_again(sender: Sender, result: StudyResult, models: Models) -> None:
    let_go = threading.Event()

    class Slow:
        def read(self, name: str) -> bytes:
            let_go.wait(60)
            return models.bundle.read(name)

    canary = Canary(sender.ledger, replace(models, bundle=Slow()))  # type: ignore[arg-type]
    canary.note(result)
    assert canary.step() and not canary.step(), "begun, and nothing to do until it is there"
    let_go.set()
    wait_until(canary.step, "the second opinion is taken in")
    assert canary.last is not None and canary.last["ok"] is True


def test_a_self_test_is_left_alone(sender: Sender, result: StudyResult, models: Models) -> None:
    announce(sender.ledger, result.study_uid)
    canary = Canary(sender.ledger, models)
    canary.note(result)
    assert not canary.step()


def test_a_study_that_was_removed_meanwhile_is_passed_over(tmp_path: Path, result: StudyResult, models: Models) -> None:
    with Sender(tmp_path) as empty:
        canary = Canary(empty.ledger, models)
        canary.note(result)
        rest(canary)
        assert canary.last is None
