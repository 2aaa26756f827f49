"""What the crew entered on the screen: append-only, so that a killed screen comes back as it was.

An entry belongs to a study, or to the screen itself (empty study UID). The newest entry of a kind counts; the older
ones stay, and every one is in the audit trail as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.editions import REVISING, queue_edition
from edge_app.store.ledger import Ledger
from edge_app.store.notices import queue_notice

__all__ = ["CrewEntry", "crew_entries", "note_crew"]


@dataclass(frozen=True, slots=True)
class CrewEntry:
    """One entry. `kind` is a word of `edge_app.ui.crew`; `body` holds what was entered, and by which role."""

    id: int
    study_uid: str
    kind: str
    body: dict[str, Any]
    at_utc: str


def note_crew(ledger: Ledger, study_uid: str, kind: str, body: dict[str, Any]) -> None:
    """Keep an entry, with its audit record and what it sends to the centre, in one transaction.

    ``announced`` gets the id of the last instance before it, by which the study that follows is known whatever the
    wall clock does. ``notify`` queues a notice; what the report speaks of (`edge_app.store.editions.REVISING`) queues
    a new edition.
    """
    with ledger.transaction() as db:
        if kind == "announced":
            body = {**body, "after_instance": db.execute("SELECT COALESCE(MAX(id), 0) FROM instances").fetchone()[0]}
        cursor = db.execute(
            "INSERT INTO crew (study_uid, kind, body, at_utc) VALUES (?, ?, ?, ?)",
            (study_uid, kind, json.dumps(body), utc_iso(utc_now())),
        )
        ledger.audit(f"crew_{kind}", {"study_uid": study_uid, **body})
        crew_id = int(cursor.lastrowid or 0)
        if study_uid and kind == "notify":
            queue_notice(ledger, study_uid, crew_id, by=str(body.get("by") or ""))
        elif study_uid and kind in REVISING:
            queue_edition(ledger, study_uid, crew_id, kind)


def crew_entries(ledger: Ledger, *, after_id: int = 0, study_uid: str | None = None) -> list[CrewEntry]:
    """Return the entries after an id, of one study or of all, oldest first."""
    if study_uid is None:
        rows = ledger.read("SELECT id, study_uid, kind, body, at_utc FROM crew WHERE id > ? ORDER BY id", after_id)
    else:
        rows = ledger.read(
            "SELECT id, study_uid, kind, body, at_utc FROM crew WHERE study_uid = ? AND id > ? ORDER BY id",
            study_uid,
            after_id,
        )
    return [CrewEntry(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows]
