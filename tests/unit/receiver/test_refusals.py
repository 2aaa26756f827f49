"""Every refusal leaves a trace, and a flood of them one trace a minute."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.receiver import refusals
from edge_app.receiver.refusals import Refusals
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(refusals, "monotonic_s", clock)
    return clock


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path), "receive") as ledger:
        yield ledger


def _noted(ledger: Ledger) -> list[tuple[str, int]]:
    bodies = [json.loads(row[0]) for row in ledger.read("SELECT body FROM audit WHERE event = 'refused' ORDER BY seq")]
    return [(body["why"], body["times"]) for body in bodies]


def test_the_same_refusal_is_noted_once_a_minute_with_its_number(ledger: Ledger, clock: _Clock) -> None:
    notes = Refusals(ledger)
    for _ in range(100):
        notes.note(203, "not listed", address="10.0.0.9", calling_aet="X")
    clock.now_s = 61
    notes.note(203, "not listed", address="10.0.0.9", calling_aet="X")
    notes.note(203, "not listed", address="10.0.0.8", calling_aet="X")
    assert _noted(ledger) == [("not listed", 1), ("not listed", 100), ("not listed", 1)]


def test_a_peer_that_changes_its_name_at_each_knock_fills_nothing(ledger: Ledger, clock: _Clock) -> None:
    notes = Refusals(ledger)
    for index in range(3 * refusals.KINDS_MAX):
        notes.note(203, "not listed", address="10.0.0.9", calling_aet=f"AE{index}")
    assert len(_noted(ledger)) == refusals.KINDS_MAX + 1


def test_a_ledger_that_cannot_be_written_lets_nobody_in(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, clock: _Clock
) -> None:
    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(Ledger, "audit", fail)
    Refusals(ledger).note(203, "not listed", address="10.0.0.9")
