"""What proves that an object is where it was sent, weakest first: an answer, a look at the peer, its commitment.

``answered``
    The destination said Success to the object itself; that is known of every object that counts as sent.
``found``
    It was asked what it holds (C-FIND, QIDO-RS) and named the object.
``committed``
    It took over the safekeeping (Storage Commitment, PS3.4 Annex J).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.ledger import Ledger

__all__ = [
    "Acknowledgement",
    "OpenMessage",
    "acknowledgements",
    "add_acknowledgement",
    "answer_commitment",
    "delivery_of",
    "note_lost",
    "note_proof",
    "open_commitments",
    "request_commitment",
    "unacknowledged",
    "unproved",
    "unread",
]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody at a destination has seen a revision of a result."""

    study_uid: str
    revision: int
    destination: str
    by: str
    role: str
    at_utc: str


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """Something that a destination got and may acknowledge; `notice` is the entry that a notice stems from, or None."""

    study_uid: str
    revision: int
    edition: int
    notice: int | None


def unproved(ledger: Ledger, destination: str) -> dict[str, dict[str, str]]:
    """Return the objects that a destination only answered for, by study, where nothing is under way.

    Of each object the SOP Class UID, by SOP Instance UID.
    """
    rows = ledger.read(
        "SELECT v.study_uid, v.sop_uid, v.sop_class_uid FROM deliveries v WHERE v.destination = ? AND v.state = 'sent' "
        "AND v.proof = 'answered' AND NOT EXISTS (SELECT 1 FROM outbox o LEFT JOIN dispatches d "
        "ON d.outbox_id = o.id AND d.destination = v.destination WHERE o.study_uid = v.study_uid "
        "AND o.state = 'queued' AND COALESCE(d.state, 'queued') = 'queued') ORDER BY v.at_utc",
        destination,
    )
    studies: dict[str, dict[str, str]] = {}
    for study_uid, sop_uid, sop_class_uid in rows:
        studies.setdefault(study_uid, {})[sop_uid] = sop_class_uid
    return studies


def note_proof(ledger: Ledger, destination: str, sop_uids: Collection[str], proof: str) -> None:
    """Keep a stronger proof for objects that were sent; a commitment is never weakened again."""
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.executemany(
            "UPDATE deliveries SET proof = ?, proved_utc = ? WHERE destination = ? AND sop_uid = ? AND state = 'sent' "
            "AND proof != 'committed'",
            [(proof, now, destination, uid) for uid in sop_uids],
        )


def note_lost(ledger: Ledger, destination: str, study_uid: str, sop_uids: Collection[str]) -> None:
    """Have objects sent again that a destination answered for and does not hold."""
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.executemany(
            "UPDATE deliveries SET state = 'lost', problem = 'the destination does not hold it', at_utc = ? "
            "WHERE destination = ? AND sop_uid = ? AND state = 'sent'",
            [(now, destination, uid) for uid in sop_uids],
        )
        db.execute(
            "UPDATE dispatches SET state = 'queued', updated_utc = ? WHERE destination = ? "
            "AND outbox_id IN (SELECT id FROM outbox WHERE study_uid = ?)",
            (now, destination, study_uid),
        )
        db.execute("UPDATE outbox SET state = 'queued', updated_utc = ? WHERE study_uid = ?", (now, study_uid))
        ledger.audit("delivery_lost", {"study_uid": study_uid, "destination": destination, "objects": len(sop_uids)})


def request_commitment(ledger: Ledger, transaction_uid: str, destination: str, study_uid: str) -> None:
    """Note a Storage Commitment transaction, before it is asked for: the report may come at once."""
    with ledger.transaction() as db:
        db.execute(
            "INSERT INTO commitments (transaction_uid, destination, study_uid, requested_utc) VALUES (?, ?, ?, ?)",
            (transaction_uid, destination, study_uid, utc_iso(utc_now())),
        )


def answer_commitment(ledger: Ledger, transaction_uid: str, committed: Sequence[str], missing: Sequence[str]) -> bool:
    """Take in a report: what was committed, and what the destination does not hold (which is sent again).

    Returns
    -------
    bool
        False if we never asked for such a transaction.
    """
    with ledger.transaction() as db:
        known = db.execute(
            "SELECT destination, study_uid FROM commitments WHERE transaction_uid = ?", (transaction_uid,)
        ).fetchone()
        if known is None:
            return False
        destination, study_uid = known
        db.execute(
            "UPDATE commitments SET answered_utc = ? WHERE transaction_uid = ?", (utc_iso(utc_now()), transaction_uid)
        )
        note_proof(ledger, destination, committed, "committed")
        if missing:
            note_lost(ledger, destination, study_uid, missing)
        ledger.audit(
            "storage_committed",
            {
                "study_uid": study_uid,
                "destination": destination,
                "objects": len(committed),
                "missing": len(missing),
            },
        )
        return True


def open_commitments(ledger: Ledger, destination: str) -> dict[str, str]:
    """Return when (UTC) the newest transaction without an answer was asked for, by study."""
    rows = ledger.read(
        "SELECT study_uid, MAX(requested_utc) FROM commitments WHERE destination = ? AND answered_utc IS NULL "
        "GROUP BY study_uid",
        destination,
    )
    return {row[0]: row[1] for row in rows}


def delivery_of(ledger: Ledger, study_uid: str) -> list[dict[str, object]]:
    """Return what the command line says of a study's delivery: per destination, counts of objects by state and proof.

    ``queued`` counts outbox rows that a destination has not finished, ``acknowledged`` is None or who saw it when.
    """
    found: dict[str, dict[str, object]] = {}
    for destination, state, proof, count in ledger.read(
        "SELECT destination, state, proof, COUNT(*) FROM deliveries WHERE study_uid = ? GROUP BY 1, 2, 3", study_uid
    ):
        entry = _entry(found, destination)
        name = proof if state == "sent" else state
        entry[name] = count
    for destination, state, problem in ledger.read(
        "SELECT d.destination, d.state, d.problem FROM dispatches d JOIN outbox o ON o.id = d.outbox_id "
        "WHERE o.study_uid = ? AND d.state != 'sent' ORDER BY d.outbox_id",
        study_uid,
    ):
        entry = _entry(found, destination)
        entry["state"] = "failed" if state == "failed" else entry["state"] if entry["state"] == "failed" else "queued"
        entry["problem"] = problem
    for seen in acknowledgements(ledger, study_uid):
        _entry(found, seen.destination)["acknowledged"] = {
            "revision": seen.revision, "by": seen.by, "role": seen.role, "at_utc": seen.at_utc
        }  # fmt: skip
    return [found[destination] for destination in sorted(found)]


def _entry(found: dict[str, dict[str, object]], destination: str) -> dict[str, object]:
    return found.setdefault(
        destination,
        {
            "destination": destination,
            "state": "sent",
            "answered": 0,
            "found": 0,
            "committed": 0,
            "refused": 0,
            "lost": 0,
            "problem": "",
            "acknowledged": None,
        },
    )


_OPEN = (
    "SELECT o.study_uid, json_extract(o.payload, '$.revision') AS revision, "
    "COALESCE(json_extract(o.payload, '$.edition'), 1), "
    "CASE o.kind WHEN 'notice' THEN json_extract(o.payload, '$.crew_id') END "
    "FROM outbox o JOIN dispatches d ON d.outbox_id = o.id AND d.destination = ? AND d.state = 'sent' "
    "WHERE o.kind != 'images' AND o.created_utc >= ? "
    "AND revision = (SELECT COALESCE(MAX(r.revision), 0) FROM results r WHERE r.study_uid = o.study_uid) "
)
_SEEN = (
    "EXISTS (SELECT 1 FROM acknowledgements a WHERE a.study_uid = o.study_uid "
    "AND a.revision = json_extract(o.payload, '$.revision') AND a.destination = d.destination) "
)
_READ = (
    "EXISTS (SELECT 1 FROM crew c WHERE c.study_uid = o.study_uid AND c.kind = 'second_reading' "
    "AND json_extract(c.body, '$.revision') = json_extract(o.payload, '$.revision') "
    "AND json_extract(c.body, '$.source') = d.destination) "
)


def unacknowledged(ledger: Ledger, destination: str, *, since_utc: str) -> list[OpenMessage]:
    """Return what a destination got of the newest results, and nobody there has acknowledged; the newest first.

    Any edition of a result's report and any notice about it will do.
    """
    rows = ledger.read(f"{_OPEN} AND NOT {_SEEN} ORDER BY o.id DESC", destination, since_utc)
    return [OpenMessage(*row) for row in rows]


def unread(ledger: Ledger, destination: str, *, since_utc: str) -> list[OpenMessage]:
    """Return what was acknowledged by somebody who has not said yet what the images show."""
    rows = ledger.read(
        f"{_OPEN} AND revision > 0 AND {_SEEN} AND NOT {_READ} ORDER BY o.id DESC", destination, since_utc
    )
    return [OpenMessage(*row) for row in rows]


def add_acknowledgement(ledger: Ledger, seen: Acknowledgement) -> bool:
    """Keep an acknowledgement, once; returns whether it is new."""
    with ledger.transaction() as db:
        cursor = db.execute(
            "INSERT OR IGNORE INTO acknowledgements VALUES (?, ?, ?, ?, ?, ?, ?)",
            (seen.study_uid, seen.revision, seen.destination, seen.by, seen.role, seen.at_utc, utc_iso(utc_now())),
        )
        if cursor.rowcount:
            ledger.audit(
                "acknowledged",
                {
                    "study_uid": seen.study_uid,
                    "revision": seen.revision,
                    "destination": seen.destination,
                    "by": seen.by,
                    "role": seen.role,
                },
            )
        return bool(cursor.rowcount)


def acknowledgements(ledger: Ledger, study_uid: str) -> list[Acknowledgement]:
    """Return a study's acknowledgements, oldest first."""
    rows = ledger.read(
        "SELECT study_uid, revision, destination, by, role, at_utc FROM acknowledgements WHERE study_uid = ? "
        "ORDER BY received_utc",
        study_uid,
    )
    return [Acknowledgement(*row) for row in rows]
