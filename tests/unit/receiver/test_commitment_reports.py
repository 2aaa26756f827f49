"""When a report is tried again, and what counts as its answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_app.receiver import commitment_reports
from edge_app.receiver.commitment_reports import CommitmentReporter, _wait_for
from edge_app.store.commitment_requests import add_request, open_requests
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.waiting import wait_until


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path), "receive") as opened:
        yield opened


def test_a_peer_that_comes_again_while_it_is_told_in_vain_is_told_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_reports, "RETRY_FIRST_S", 600.0)
    reporter = CommitmentReporter(ledger, "MSU1", ["SCU@127.0.0.1:104"], lambda aet: None, list)
    calls: list[str] = []

    def call(*_: Any) -> bool:
        calls.append("SCU")
        if len(calls) > 1:
            return True
        reporter.wake("SCU")
        return False

    monkeypatch.setattr(reporter, "_call", call)
    add_request(ledger, "1.2.3", "SCU", [("1.2", "1.2.3.4")])
    reporter.start()
    try:
        wait_until(lambda: not open_requests(ledger), "it is told")
    finally:
        reporter.stop()
        reporter.join(60.0)


def test_an_answer_that_came_just_before_the_end_of_the_association_counts() -> None:
    answer: queue.SimpleQueue[int] = queue.SimpleQueue()
    answer.put(0x0000)
    assert _wait_for(answer, SimpleNamespace(is_established=False), threading.Event()) == 0x0000


def test_a_peer_that_is_gone_without_an_answer_has_not_been_told() -> None:
    assert _wait_for(queue.SimpleQueue(), SimpleNamespace(is_established=False), threading.Event()) is None
