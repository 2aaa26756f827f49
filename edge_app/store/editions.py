"""Editions of a report: the AI's answer is the same, what people say of the patient or of the answer has changed.

A revision of a result is made by the worker; each has a first edition. What the crew or the centre enters afterwards
makes a further one, which supersedes the one before. None is ever taken back: editions are rows of the outbox.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.ledger import Ledger

__all__ = ["REVISING", "Edition", "edition_before", "edition_of", "latest_edition", "queue_edition"]

REVISING = frozenset({"identity", "corrected_identity", "opinion", "impression", "second_reading"})
"""Kinds of `edge_app.store.crew` that a report says something about."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition. Entries of the crew up to `crew_id` stand in it; `why` is the kind of the entry that made it."""

    study_uid: str
    revision: int
    edition: int
    crew_id: int
    why: str
    created_utc: str


def queue_edition(ledger: Ledger, study_uid: str, crew_id: int, why: str) -> Edition | None:
    """Queue the report of the latest result once more, because of an entry; None if there is no result yet.

    The first edition of a result that comes later says what was entered before.
    """
    with ledger.transaction() as db:
        (revision,) = db.execute("SELECT MAX(revision) FROM results WHERE study_uid = ?", (study_uid,)).fetchone()
        if revision is None:
            return None
        before = latest_edition(ledger, study_uid, revision)
        edition, now = (before.edition if before else 1) + 1, utc_iso(utc_now())
        payload = {"revision": revision, "edition": edition, "crew_id": crew_id, "why": why}
        db.execute(
            "INSERT INTO outbox (study_uid, kind, payload, created_utc, updated_utc) VALUES (?, 'result', ?, ?, ?)",
            (study_uid, json.dumps(payload), now, now),
        )
        ledger.audit("report_revised", {"study_uid": study_uid, "revision": revision, "edition": edition, "why": why})
    return Edition(study_uid, revision, edition, crew_id, why, now)


_EDITIONS = (
    "SELECT study_uid, json_extract(payload, '$.revision') AS revision, "
    "COALESCE(json_extract(payload, '$.edition'), 1) AS edition, COALESCE(json_extract(payload, '$.crew_id'), 0), "
    "COALESCE(json_extract(payload, '$.why'), ''), created_utc FROM outbox "
    "WHERE study_uid = ? AND kind = 'result' AND revision = ? "
)


def latest_edition(ledger: Ledger, study_uid: str, revision: int) -> Edition | None:
    """Return the newest edition of a revision, or None if there is no such revision."""
    # A diversion queues the same edition once more: the first row is the one that says when it was made.
    rows = ledger.read(_EDITIONS + "ORDER BY edition DESC, id LIMIT 1", study_uid, revision)
    return Edition(*rows[0]) if rows else None


def edition_of(ledger: Ledger, study_uid: str, revision: int, edition: int) -> Edition | None:
    """Return one edition, or None."""
    rows = ledger.read(_EDITIONS + "AND edition = ? ORDER BY id LIMIT 1", study_uid, revision, edition)
    return Edition(*rows[0]) if rows else None


def edition_before(ledger: Ledger, edition: Edition) -> Edition | None:
    """Return the edition that this one supersedes, or None."""
    if edition.edition > 1:
        return edition_of(ledger, edition.study_uid, edition.revision, edition.edition - 1)
    return latest_edition(ledger, edition.study_uid, edition.revision - 1) if edition.revision > 1 else None
