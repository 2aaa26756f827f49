"""Studies that the vehicle sends to itself: announced beforehand, shown and delivered to nobody, removed afterwards.

Only a StudyInstanceUID that this machine has announced is one; what a study says of itself (a name, an AE title) never
hides it, or a scanner could send a patient who is not seen.
"""

from __future__ import annotations

import json
from typing import Any

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.retention import remove_files

__all__ = [
    "CALLING_AET",
    "announce",
    "ask_for",
    "asked_after",
    "finish",
    "finish_left",
    "last_self_test",
    "newest_self_test",
    "self_test_uids",
]

CALLING_AET = "MSU-SELFTEST"
"""Has to be among `receiver.peers`, like every other peer."""

_TABLES = ("instances", "conflicts", "frames", "studies", "attempts", "results", "outbox", "order_matches")


def announce(ledger: Ledger, study_uid: str) -> None:
    """Say that a study which comes now is no patient's."""
    with ledger.transaction() as db:
        db.execute("INSERT INTO self_tests (study_uid, at_utc) VALUES (?, ?)", (study_uid, utc_iso(utc_now())))


def self_test_uids(ledger: Ledger) -> frozenset[str]:
    """Return every study that was ever announced, so that one which is being removed does not flash up."""
    return frozenset(row[0] for row in ledger.read("SELECT study_uid FROM self_tests"))


def finish(ledger: Ledger, study_uid: str, outcome: str, body: dict[str, Any]) -> None:
    """Remove everything the study left, keep what came of it, and say so in the audit trail.

    Parameters
    ----------
    outcome
        ``passed``, ``failed`` or ``stopped``.
    body
        What was compared, for the record.

    Raises
    ------
    OSError
        If a file cannot be removed; the rows stay.
    """
    with ledger.transaction() as db:
        remove_files(ledger.paths, study_uid)
        for table in _TABLES:
            db.execute(f"DELETE FROM {table} WHERE study_uid = ?", (study_uid,))
        db.execute(
            "UPDATE self_tests SET outcome = ?, body = ? WHERE study_uid = ?", (outcome, json.dumps(body), study_uid)
        )
        ledger.audit("self_test", {"study_uid": study_uid, "outcome": outcome, **body})


def finish_left(ledger: Ledger) -> None:
    """Remove what a watch left that died, or lost its power, during a self-test.

    Raises
    ------
    OSError
        If a file cannot be removed; the rows stay.
    """
    for (study_uid,) in ledger.read("SELECT study_uid FROM self_tests WHERE outcome = ''"):
        finish(ledger, study_uid, "stopped", {})


def last_self_test(ledger: Ledger, *, after: int = 0) -> tuple[str, str, dict[str, Any]] | None:
    """Return (when in UTC, outcome, what was compared) of the last one that ended, or None.

    Parameters
    ----------
    after
        Of those only that began after `newest_self_test` was this.
    """
    rows = ledger.read(
        "SELECT at_utc, outcome, body FROM self_tests WHERE outcome != '' AND rowid > ? ORDER BY rowid DESC LIMIT 1",
        after,
    )
    return (rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None


def ask_for(ledger: Ledger) -> None:
    """Ask the watch for a self-test."""
    note_crew(ledger, "", "self_test", {})


def asked_after(ledger: Ledger, request: int) -> int:
    """Return the newest request after a known one, or 0."""
    rows = ledger.read("SELECT MAX(id) FROM crew WHERE kind = 'self_test' AND id > ?", request)
    return int(rows[0][0] or 0)


def newest_self_test(ledger: Ledger) -> int:
    """Return a number that is higher for each self-test that begins; 0 before the first."""
    return int(ledger.read("SELECT COALESCE(MAX(rowid), 0) FROM self_tests")[0][0])
