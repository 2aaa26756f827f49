"""What has to leave the vehicle, and the proof that it did.

The outbox says *what* (one row per study, kind and revision, written with the result); `deliveries` says *how far* (one
row per object and destination). An object goes to a destination once, however many outbox rows ask for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge_app.core.clock import boot_id, monotonic_s, utc_iso, utc_now
from edge_app.core.types import StudyResult
from edge_app.store.ledger import Ledger

__all__ = [
    "IMAGES_WAIT_S",
    "DeliveryRow",
    "OutboxRow",
    "add_forgotten_images",
    "count_by_state",
    "deliveries",
    "finish",
    "has_queued_result",
    "note_attempt",
    "note_refused",
    "note_sent",
    "queued",
    "requeue_failed",
    "result_of",
]

IMAGES_WAIT_S = 180.0
"""Images go out without a result when none has come so long after the last one (SCREEN.md R41: whatever happens to the
AI, the centre gets the images). Longer than any analysis may take, so that normally the result is queued with them."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One thing to send: the images of a study, or the objects made of one revision of its result."""

    id: int
    study_uid: str
    kind: str
    revision: int
    state: str
    tries: int
    created_utc: str
    problem: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """How far one object got at one destination; `status` is the DIMSE status answered, or -1."""

    destination: str
    sop_uid: str
    study_uid: str
    state: str
    status: int
    transfer_syntax_uid: str
    sha256: str
    tries: int
    at_utc: str
    problem: str


_COLUMNS = "id, study_uid, kind, json_extract(payload, '$.revision'), state, tries, created_utc, problem"


def queued(ledger: Ledger) -> list[OutboxRow]:
    """Return what still has to go: results before images, what was tried least first.

    A row that kills the process each time it is touched thus falls behind all others instead of blocking them.
    """
    rows = ledger.read(f"SELECT {_COLUMNS} FROM outbox WHERE state = 'queued' ORDER BY kind = 'images', tries, id")
    return [OutboxRow(*row) for row in rows]


def has_queued_result(ledger: Ledger, *, after_id: int) -> bool:
    """Tell whether a result was queued after the outbox row `after_id`: it overtakes the images."""
    rows = ledger.read("SELECT 1 FROM outbox WHERE state = 'queued' AND kind = 'result' AND id > ? LIMIT 1", after_id)
    return bool(rows)


def deliveries(ledger: Ledger, study_uid: str, destination: str) -> dict[str, DeliveryRow]:
    """Return how far a study's objects got at a destination, by SOP Instance UID."""
    rows = ledger.read(
        "SELECT destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256, tries, at_utc, problem "
        "FROM deliveries WHERE study_uid = ? AND destination = ?",
        study_uid,
        destination,
    )
    return {row[1]: DeliveryRow(*row) for row in rows}


def result_of(ledger: Ledger, study_uid: str, revision: int) -> StudyResult | None:
    """Return one revision of a study's result, or None."""
    rows = ledger.read("SELECT body FROM results WHERE study_uid = ? AND revision = ?", study_uid, revision)
    return StudyResult.from_json(json.loads(rows[0][0])) if rows else None


def note_attempt(ledger: Ledger, row: OutboxRow) -> None:
    """Count a try, before anything is done that could go wrong."""
    with ledger.transaction() as db:
        db.execute("UPDATE outbox SET tries = tries + 1, updated_utc = ? WHERE id = ?", (utc_iso(utc_now()), row.id))


def note_sent(
    ledger: Ledger,
    destination: str,
    study_uid: str,
    sop_uid: str,
    *,
    status: int,
    transfer_syntax_uid: str,
    sha256: str,
) -> None:
    """Keep the proof that the destination has an object."""
    _put(ledger, destination, study_uid, sop_uid, "sent", status, transfer_syntax_uid, sha256, "")


def note_refused(
    ledger: Ledger, destination: str, study_uid: str, sop_uid: str, *, status: int, sha256: str, problem: str
) -> None:
    """Count a refusal of one object; it says nothing about the others."""
    _put(ledger, destination, study_uid, sop_uid, "refused", status, "", sha256, problem)


def _put(
    ledger: Ledger,
    destination: str,
    study_uid: str,
    sop_uid: str,
    state: str,
    status: int,
    transfer_syntax_uid: str,
    sha256: str,
    problem: str,
) -> None:
    with ledger.transaction() as db:
        db.execute(
            "INSERT INTO deliveries (destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256, "
            "tries, at_utc, problem) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) "
            "ON CONFLICT (destination, sop_uid) DO UPDATE SET state = excluded.state, status = excluded.status, "
            "transfer_syntax_uid = excluded.transfer_syntax_uid, tries = tries + 1, at_utc = excluded.at_utc, "
            "problem = excluded.problem",
            (
                destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256,
                utc_iso(utc_now()), problem,
            ),
        )  # fmt: skip


def finish(ledger: Ledger, row: OutboxRow, state: str, *, destination: str, objects: int, problem: str = "") -> None:
    """Close an outbox row as sent or failed (or put it back as queued with a problem), with its audit record."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE outbox SET state = ?, problem = ?, updated_utc = ? WHERE id = ?",
            (state, problem, utc_iso(utc_now()), row.id),
        )
        if state != "queued":
            ledger.audit(
                f"delivery_{state}",
                {
                    "study_uid": row.study_uid,
                    "kind": row.kind,
                    "revision": row.revision,
                    "destination": destination,
                    "objects": objects,
                    "problem": problem,
                },
            )


def requeue_failed(ledger: Ledger) -> int:
    """Give what was given up another chance, with a clean slate; returns how many rows that were.

    Done when the process starts: whoever mended the cause (settings, the peer's) starts it again.
    """
    with ledger.transaction() as db:
        db.execute("UPDATE deliveries SET tries = 0 WHERE state = 'refused'")
        cursor = db.execute("UPDATE outbox SET state = 'queued' WHERE state = 'failed'")
        return int(cursor.rowcount)


def add_forgotten_images(ledger: Ledger, *, now_s: float | None = None) -> int:
    """Queue the images of studies that got no result in `IMAGES_WAIT_S` (or before the last boot).

    Returns
    -------
    int
        How many studies that were.
    """
    before_s = (monotonic_s() if now_s is None else now_s) - IMAGES_WAIT_S
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        cursor = db.execute(
            "INSERT INTO outbox (study_uid, kind, payload, created_utc, updated_utc) "
            "SELECT i.study_uid, 'images', json_object('revision', 0, 'last_instance_id', MAX(i.id)), ?, ? "
            "FROM instances i GROUP BY i.study_uid "
            "HAVING MAX(CASE i.boot_id WHEN ? THEN i.received_s ELSE -1e300 END) < ? "
            "AND MAX(i.id) > (SELECT COALESCE(MAX(json_extract(o.payload, '$.last_instance_id')), 0) FROM outbox o "
            "WHERE o.study_uid = i.study_uid AND o.kind = 'images')",
            (now, now, boot_id(), before_s),
        )
        return int(cursor.rowcount)


def count_by_state(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Return how many outbox rows there are: ``{"images": {"queued": 1, "sent": 4, "failed": 0}, "result": …}``."""
    counts = {kind: {"queued": 0, "sent": 0, "failed": 0} for kind in ("images", "result")}
    for kind, state, count in ledger.read("SELECT kind, state, COUNT(*) FROM outbox GROUP BY kind, state"):
        counts[kind][state] = count
    return counts
