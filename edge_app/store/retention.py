"""Making room: whole studies go, oldest first, and only those that have left the vehicle in full.

Two watermarks keep it from working at every image: below the low one it starts, at the high one it stops. Results,
attempts and the audit trail stay; they are small and answer questions later.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, uid_hash

__all__ = ["REMOVED_SUFFIX", "delivered_studies", "make_room", "remove_files", "remove_study"]

REMOVED_SUFFIX = ".removed"
"""Ends the name of a study's folder that is being removed."""

_DELIVERED = """
SELECT i.study_uid FROM instances i GROUP BY i.study_uid
HAVING EXISTS (SELECT 1 FROM outbox o WHERE o.study_uid = i.study_uid)
   AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.study_uid = i.study_uid AND o.state != 'sent')
   AND MAX(i.id) <= (SELECT MAX(r.last_instance_id) FROM results r WHERE r.study_uid = i.study_uid)
   AND NOT EXISTS (SELECT 1 FROM conflicts c WHERE c.study_uid = i.study_uid)
   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.study_uid = i.study_uid AND d.proved_utc > ?)
   AND NOT EXISTS (SELECT 1 FROM commitments c WHERE c.study_uid = i.study_uid AND c.answered_utc IS NULL
                   AND c.requested_utc > ?)
   AND NOT EXISTS (SELECT 1 FROM crew e WHERE e.study_uid = i.study_uid AND e.kind = 'series_chosen' AND e.id > (SELECT
                   COALESCE(MAX(json_extract(r.body, '$.series_entry')), 0) FROM results r
                   WHERE r.study_uid = i.study_uid))
ORDER BY MAX(i.id)
"""
"""Everything in the outbox was sent, no image came after the last result, no other bytes are in question, the last
proof of delivery is older than the given time, no destination was lately asked for a stronger one, and no series that
the crew chose waits for its analysis."""

COMMITMENT_WAIT = timedelta(minutes=15)
"""A destination that was asked to commit may still say that it does not hold something; then it is sent again."""


def delivered_studies(ledger: Ledger, *, keep_days: float = 0.0) -> list[str]:
    """Return the studies whose delivery was proved at least `keep_days` ago, oldest first."""
    now = utc_now()
    values = (utc_iso(now - timedelta(days=keep_days)), utc_iso(now - COMMITMENT_WAIT))
    with ledger.transaction() as db:
        return [row[0] for row in db.execute(_DELIVERED, values)]


def remove_study(ledger: Ledger, study_uid: str, *, keep_days: float = 0.0) -> bool:
    """Remove a delivered study's files and rows; returns whether it still was delivered.

    Looked at again under the ledger's write lock, so that a slice that comes in just now is either seen here or finds
    its folder gone, fails, and is sent again. Files first: a power cut in between leaves rows, and it is done again.

    Raises
    ------
    OSError
        If a file cannot be removed; the rows stay.
    """
    with ledger.transaction() as db:
        if study_uid not in delivered_studies(ledger, keep_days=keep_days):
            return False
        remove_files(ledger.paths, study_uid)
        for table in ("instances", "frames", "studies"):
            db.execute(f"DELETE FROM {table} WHERE study_uid = ?", (study_uid,))
        ledger.audit("study_removed", {"study_uid": study_uid})
    return True


def remove_files(paths: StorePaths, study_uid: str) -> None:
    """Remove all files that a study has in the store.

    Its folders lose their names first: what is written into one while it is emptied would keep it from going.

    Raises
    ------
    OSError
        If one cannot be removed.
    """
    for part in ("instances", "frames", "results"):
        folder = paths.root / part / uid_hash(study_uid)
        nameless = folder.with_name(f"{folder.name}{REMOVED_SUFFIX}")
        if nameless.is_dir():  # left by a power cut
            shutil.rmtree(nameless)
        if folder.is_dir():
            folder.replace(nameless)
            shutil.rmtree(nameless)


def make_room(
    ledger: Ledger, *, low_bytes: int, high_bytes: int, free_bytes: Callable[[], int], keep_days: float = 0.0
) -> list[str]:
    """Remove delivered studies if less than `low_bytes` are free, until `high_bytes` are.

    Returns
    -------
    list of str
        The Study Instance UIDs that were removed; too few, when what is left has not been delivered.
    """
    removed: list[str] = []
    if free_bytes() >= low_bytes:
        return removed
    for study_uid in delivered_studies(ledger, keep_days=keep_days):
        if free_bytes() >= high_bytes:
            break
        if remove_study(ledger, study_uid, keep_days=keep_days):
            removed.append(study_uid)
    return removed
