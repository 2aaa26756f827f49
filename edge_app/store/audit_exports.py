"""How far the audit trail has been exported to a server."""

from __future__ import annotations

from edge_app.store.ledger import Ledger

__all__ = ["note_exported", "pending"]


def pending(ledger: Ledger, server: str, *, limit: int) -> list[tuple[int, str, str, str, str, str]]:
    """Return the oldest records a server has not got: (seq, at_utc, process, event, study_uid, hash).

    The body stays on board but for the study: it may hold what the crew or the scanner's operator typed.
    """
    rows = ledger.read(
        "SELECT seq, at_utc, process, event, COALESCE(json_extract(body, '$.study_uid'), ''), hash FROM audit "
        "WHERE seq > COALESCE((SELECT seq FROM audit_exports WHERE server = ?), 0) ORDER BY seq LIMIT ?",
        server,
        limit,
    )
    return [(row[0], row[1], row[2], row[3], str(row[4]), row[5]) for row in rows]


def note_exported(ledger: Ledger, server: str, seq: int) -> None:
    """Note that a server has all records up to `seq`."""
    with ledger.transaction() as db:
        db.execute("INSERT OR REPLACE INTO audit_exports VALUES (?, ?)", (server, seq))
