"""Storage commitments that peers asked of us: kept until the report got through, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.ledger import Ledger

__all__ = ["OPEN_MAX", "CommitmentRequest", "add_request", "finish", "note_try", "open_requests"]

OPEN_MAX = 1000
"""More open requests are not taken: somebody asks and never fetches the answer."""


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """One transaction; `items` are pairs of SOP Class UID and SOP Instance UID."""

    id: int
    transaction_uid: str
    calling_aet: str
    items: tuple[tuple[str, str], ...]
    tries: int
    received_utc: str


def add_request(ledger: Ledger, transaction_uid: str, calling_aet: str, items: Sequence[tuple[str, str]]) -> bool:
    """Keep a request, durably; the same transaction again is reported again.

    Returns
    -------
    bool
        Whether it was taken: not when too many are open.
    """
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        ((count,),) = db.execute("SELECT COUNT(*) FROM commitment_requests WHERE state = 'open'").fetchall()
        if count >= OPEN_MAX:
            return False
        db.execute(
            "INSERT INTO commitment_requests (transaction_uid, calling_aet, items, received_utc, updated_utc) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (transaction_uid, calling_aet) DO UPDATE SET "
            "items = excluded.items, state = 'open', tries = 0, received_utc = excluded.received_utc, problem = ''",
            (transaction_uid, calling_aet, json.dumps(list(items)), now, now),
        )
        ledger.audit(
            "commitment_requested",
            {"transaction_uid": transaction_uid, "calling_aet": calling_aet, "instances": len(items)},
        )
    return True


def open_requests(ledger: Ledger) -> list[CommitmentRequest]:
    """Return what has not been reported, oldest first."""
    rows = ledger.read(
        "SELECT id, transaction_uid, calling_aet, items, tries, received_utc FROM commitment_requests "
        "WHERE state = 'open' ORDER BY id"
    )
    return [
        CommitmentRequest(row[0], row[1], row[2], tuple((a, b) for a, b in json.loads(row[3])), row[4], row[5])
        for row in rows
    ]


def note_try(ledger: Ledger, request: CommitmentRequest, problem: str) -> None:
    """Count a report that did not get through."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE commitment_requests SET tries = tries + 1, problem = ?, updated_utc = ? WHERE id = ?",
            (problem, utc_iso(utc_now()), request.id),
        )


def finish(ledger: Ledger, request: CommitmentRequest, state: str, *, committed: int, failed: int) -> None:
    """Close a request as reported or given up, with its audit record."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE commitment_requests SET state = ?, updated_utc = ? WHERE id = ?",
            (state, utc_iso(utc_now()), request.id),
        )
        ledger.audit(
            f"commitment_{state}",
            {
                "transaction_uid": request.transaction_uid,
                "calling_aet": request.calling_aet,
                "committed": committed,
                "failed": failed,
            },
        )
