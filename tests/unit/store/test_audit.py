"""The audit chain shows what was changed or taken out."""

from __future__ import annotations

import pytest

from edge_app.store import audit
from edge_app.store.ledger import Ledger


def _fill(ledger: Ledger) -> None:
    for number in range(5):
        ledger.audit("event", {"number": number})


def test_an_untouched_chain_holds(ledger: Ledger) -> None:
    with ledger.transaction() as db:
        assert audit.verify(db) is None
    _fill(ledger)
    with ledger.transaction() as db:
        assert audit.verify(db) is None


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        ("UPDATE audit SET body = '{}' WHERE seq = 3", 3),
        ("UPDATE audit SET event = 'other' WHERE seq = 5", 5),
        ("UPDATE audit SET at_utc = '2000-01-01T00:00:00Z' WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("UPDATE audit SET previous_hash = hash WHERE seq = 4", 4),
    ],
)
def test_the_first_broken_record_is_named(ledger: Ledger, harm: str, broken: int) -> None:
    _fill(ledger)
    with ledger.transaction() as db:
        db.execute(harm)
        assert audit.verify(db) == broken
