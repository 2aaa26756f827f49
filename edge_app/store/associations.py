"""Who sent what: the associations of the scanner and other peers, from the moment they are let in to how they ended."""

from __future__ import annotations

import os

from edge_app.core.clock import boot_id, monotonic_s, utc_iso, utc_now
from edge_app.store.ledger import Ledger
from edge_app.store.rows import AssociationRow

__all__ = ["associations", "close_association", "close_orphaned_associations", "open_association"]


def open_association(ledger: Ledger, association_id: str, calling_aet: str, called_aet: str, peer: str) -> None:
    """Note that a peer has been let in."""
    with ledger.transaction() as db:
        db.execute(
            "INSERT INTO associations (id, calling_aet, called_aet, peer, opened_utc, opened_s, boot_id, pid) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                association_id,
                calling_aet,
                called_aet,
                peer,
                utc_iso(utc_now()),
                monotonic_s(),
                boot_id(),
                os.getpid(),
            ),
        )
        ledger.audit("association_opened", {"id": association_id, "calling_aet": calling_aet, "peer": peer})


def close_association(ledger: Ledger, association_id: str, outcome: str) -> None:
    """Note how an association ended: released, aborted or lost; the first word counts."""
    with ledger.transaction() as db:
        cursor = db.execute(
            "UPDATE associations SET closed_utc = ?, closed_s = ?, outcome = ? WHERE id = ? AND outcome = 'open'",
            (utc_iso(utc_now()), monotonic_s(), outcome, association_id),
        )
        if cursor.rowcount:
            ledger.audit("association_closed", {"id": association_id, "outcome": outcome})


def close_orphaned_associations(ledger: Ledger) -> None:
    """Mark associations as lost that a receiver left open when it died; called when a receiver starts."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE associations SET outcome = 'lost', closed_utc = ?, closed_s = ? WHERE outcome = 'open'",
            (utc_iso(utc_now()), monotonic_s()),
        )


def associations(ledger: Ledger, study_uid: str | None = None) -> list[AssociationRow]:
    """Return the associations that brought a study (or all), oldest first."""
    columns = "id, calling_aet, called_aet, peer, opened_utc, opened_s, closed_utc, closed_s, outcome, boot_id, pid"
    if study_uid is None:
        rows = ledger.read(f"SELECT {columns} FROM associations ORDER BY rowid")
    else:
        rows = ledger.read(
            f"SELECT {columns} FROM associations WHERE id IN "
            "(SELECT DISTINCT association_id FROM instances WHERE study_uid = ?) ORDER BY rowid",
            study_uid,
        )
    return [AssociationRow(*row) for row in rows]
