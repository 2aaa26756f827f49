"""What has to leave the vehicle, and how far it is.

The outbox says *what* (images, an edition of a result's report, a notice; written with what asks for it), `dispatches`
how far each destination is with a row, `deliveries` how far with an object. An object goes to a destination once,
however many outbox rows ask for it. The proofs are in `edge_app.store.proofs`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    "expects_message",
    "finish",
    "note_attempt",
    "note_message_sent",
    "note_refused",
    "note_sent",
    "queued",
    "queued_for",
    "requeue_failed",
    "result_of",
    "settle_all",
    "superseded",
    "take_back_attempt",
    "unsent_messages",
]

IMAGES_WAIT_S = 180.0
"""Images go out without a result when none has come so long after the last one (SCREEN.md R41: whatever happens to the
AI, the centre gets the images). Longer than any analysis may take, so that normally the result is queued with them."""

MESSAGE_WAIT_S = 900.0
"""So long after its last image a case may still have something urgent to say."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One thing to send: the images of a study, an edition of the report of its result, or a notice by the crew."""

    id: int
    study_uid: str
    kind: str
    revision: int
    state: str
    tries: int
    created_utc: str
    problem: str
    edition: int = 1


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """How far one object got at one destination; `status` is the DIMSE or HTTP status answered, or -1."""

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
    proof: str


_REVISION = "json_extract(o.payload, '$.revision')"
_EDITION = "COALESCE(json_extract(o.payload, '$.edition'), 1)"


def queued(ledger: Ledger) -> list[OutboxRow]:
    """Return what some destination still waits for: results before images, then in order of age."""
    rows = ledger.read(
        f"SELECT o.id, o.study_uid, o.kind, {_REVISION}, o.state, o.tries, o.created_utc, o.problem, {_EDITION} "
        "FROM outbox o WHERE o.state = 'queued' ORDER BY o.kind = 'images', o.id"
    )
    return [OutboxRow(*row) for row in rows]


def queued_for(ledger: Ledger, destination: str) -> list[OutboxRow]:
    """Return what a destination still waits for: results before images, messages first, what was tried least first.

    A row that kills the process each time it is touched thus falls behind all others instead of blocking them. Of rows
    that harm nobody the older one goes first: what a centre gets last is what counts there.
    """
    rows = ledger.read(
        f"SELECT o.id, o.study_uid, o.kind, {_REVISION}, COALESCE(d.state, 'queued'), COALESCE(d.tries, 0) AS tried, "
        f"o.created_utc, COALESCE(d.problem, ''), {_EDITION} FROM outbox o "
        "LEFT JOIN dispatches d ON d.outbox_id = o.id AND d.destination = ? "
        "WHERE o.state = 'queued' AND COALESCE(d.state, 'queued') = 'queued' "
        "ORDER BY o.kind = 'images', COALESCE(d.message_sent, 0), tried, o.kind != 'notice', o.id",
        destination,
    )
    return [OutboxRow(*row) for row in rows]


def unsent_messages(ledger: Ledger, destination: str) -> list[int]:
    """Return the outbox ids of reports and notices whose message a destination has not got: it overtakes all else."""
    rows = ledger.read(
        "SELECT o.id FROM outbox o LEFT JOIN dispatches d ON d.outbox_id = o.id AND d.destination = ? "
        "WHERE o.state = 'queued' AND o.kind != 'images' AND COALESCE(d.state, 'queued') = 'queued' "
        "AND COALESCE(d.message_sent, 0) = 0",
        destination,
    )
    return [row[0] for row in rows]


def expects_message(ledger: Ledger) -> bool:
    """Tell whether a result or a notice may come soon: an image has come in the last `MESSAGE_WAIT_S`."""
    since_s, boot = monotonic_s() - MESSAGE_WAIT_S, boot_id()
    rows = ledger.read(
        "SELECT (SELECT received_s >= ? AND boot_id = ? FROM instances ORDER BY id DESC LIMIT 1)", since_s, boot
    )
    return bool(rows[0][0])


def note_message_sent(ledger: Ledger, row: OutboxRow, destination: str) -> None:
    """Note that a result's message is there (or was refused): what follows it is less urgent."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE dispatches SET message_sent = 1 WHERE outbox_id = ? AND destination = ?", (row.id, destination)
        )


def deliveries(ledger: Ledger, study_uid: str, destination: str) -> dict[str, DeliveryRow]:
    """Return how far a study's objects got at a destination, by SOP Instance UID."""
    rows = ledger.read(
        "SELECT destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256, tries, at_utc, problem, "
        "proof FROM deliveries WHERE study_uid = ? AND destination = ?",
        study_uid,
        destination,
    )
    return {row[1]: DeliveryRow(*row) for row in rows}


def result_of(ledger: Ledger, study_uid: str, revision: int) -> StudyResult | None:
    """Return one revision of a study's result, or None."""
    rows = ledger.read("SELECT body FROM results WHERE study_uid = ? AND revision = ?", study_uid, revision)
    return StudyResult.from_json(json.loads(rows[0][0])) if rows else None


def superseded(ledger: Ledger, row: OutboxRow, destination: str) -> bool:
    """Tell whether a destination already has a later report of the result than this row's."""
    rows = ledger.read(
        "SELECT 1 FROM outbox o JOIN dispatches d ON d.outbox_id = o.id AND d.destination = ? AND d.state = 'sent' "
        f"WHERE o.study_uid = ? AND o.kind = 'result' AND ({_REVISION}, {_EDITION}) > (?, ?)",
        destination,
        row.study_uid,
        row.revision,
        row.edition,
    )
    return bool(rows)


def note_attempt(ledger: Ledger, row: OutboxRow, destination: str) -> None:
    """Count a try, before anything is done that could go wrong."""
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.execute("UPDATE outbox SET tries = tries + 1, updated_utc = ? WHERE id = ?", (now, row.id))
        db.execute(
            "INSERT INTO dispatches (outbox_id, destination, tries, updated_utc) VALUES (?, ?, 1, ?) "
            "ON CONFLICT (outbox_id, destination) DO UPDATE SET tries = tries + 1, updated_utc = excluded.updated_utc",
            (row.id, destination, now),
        )


def take_back_attempt(ledger: Ledger, row: OutboxRow, destination: str) -> None:
    """Uncount a try that the link ended: it says nothing of the row, and must not let a later result go first."""
    with ledger.transaction() as db:
        db.execute(
            "UPDATE dispatches SET tries = tries - 1 WHERE outbox_id = ? AND destination = ?", (row.id, destination)
        )


def note_sent(
    ledger: Ledger,
    destination: str,
    study_uid: str,
    sop_uid: str,
    *,
    status: int,
    transfer_syntax_uid: str,
    sha256: str,
    sop_class_uid: str = "",
) -> None:
    """Keep the proof that the destination has an object."""
    _put(ledger, destination, study_uid, sop_uid, "sent", status, transfer_syntax_uid, sha256, "", sop_class_uid)


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
    sop_class_uid: str = "",
) -> None:
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.execute(
            "INSERT INTO deliveries (destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256, "
            "tries, at_utc, problem, sop_class_uid, proved_utc) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?) "
            "ON CONFLICT (destination, sop_uid) DO UPDATE SET state = excluded.state, status = excluded.status, "
            "transfer_syntax_uid = excluded.transfer_syntax_uid, sha256 = excluded.sha256, tries = tries + 1, "
            "at_utc = excluded.at_utc, problem = excluded.problem, sop_class_uid = excluded.sop_class_uid, "
            "proof = 'answered', proved_utc = excluded.proved_utc",
            (
                destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256,
                now, problem, sop_class_uid, now,
            ),
        )  # fmt: skip


def finish(
    ledger: Ledger,
    row: OutboxRow,
    state: str,
    *,
    destination: str,
    objects: int,
    problem: str = "",
    served: Sequence[str] | None = None,
) -> None:
    """Close a row for a destination as sent or failed (or put it back as queued), with its audit record.

    `served` are the destinations that are served now, this one among them; the outbox row itself is closed when all
    of them are done with it.
    """
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.execute(
            "INSERT INTO dispatches (outbox_id, destination, state, updated_utc, problem) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (outbox_id, destination) DO UPDATE SET state = excluded.state, problem = excluded.problem, "
            "updated_utc = excluded.updated_utc",
            (row.id, destination, state, now, problem),
        )
        if problem:
            db.execute("UPDATE outbox SET problem = ? WHERE id = ?", (problem, row.id))
        settle_all(ledger, (destination,) if served is None else served)
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


def settle_all(ledger: Ledger, served: Sequence[str]) -> None:
    """Close the outbox rows with which all destinations that are served are done: failed if one of them failed.

    Called when a row is done, and when the destinations change: what one that is no longer served still had to get
    goes to nobody else but those that are.
    """
    if not served:
        return
    done = (
        "(SELECT COUNT(*) FROM dispatches d WHERE d.outbox_id = outbox.id AND d.state IN ('sent', ?) "
        f"AND d.destination IN ({', '.join('?' * len(served))})) = ?"
    )
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        for state in ("sent", "failed"):
            db.execute(
                f"UPDATE outbox SET state = ?, updated_utc = ? WHERE state = 'queued' AND {done}",
                (state, now, state, *served, len(served)),
            )
        db.execute("UPDATE outbox SET problem = '' WHERE state = 'sent' AND problem != ''")


def requeue_failed(ledger: Ledger) -> int:
    """Give what was given up another chance, with a clean slate; returns how many rows that were.

    Done when the process starts: whoever mended the cause (settings, the peer's) starts it again.
    """
    with ledger.transaction() as db:
        db.execute("UPDATE deliveries SET tries = 0 WHERE state = 'refused'")
        db.execute("UPDATE dispatches SET state = 'queued' WHERE state = 'failed'")
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
            "FROM instances i WHERE i.study_uid NOT IN (SELECT study_uid FROM self_tests) GROUP BY i.study_uid "
            "HAVING MAX(CASE i.boot_id WHEN ? THEN i.received_s ELSE -1e300 END) < ? "
            "AND MAX(i.id) > (SELECT COALESCE(MAX(json_extract(o.payload, '$.last_instance_id')), 0) FROM outbox o "
            "WHERE o.study_uid = i.study_uid AND o.kind = 'images')",
            (now, now, boot_id(), before_s),
        )
        return int(cursor.rowcount)


def count_by_state(ledger: Ledger, destination: str | None = None) -> dict[str, dict[str, int]]:
    """Return how many outbox rows there are: ``{"images": {"queued": 1, "sent": 4, "failed": 0}, "result": …}``.

    Over all destinations, or as one of them sees it.
    """
    counts = {kind: {"queued": 0, "sent": 0, "failed": 0} for kind in ("images", "result", "notice")}
    if destination is None:
        rows = ledger.read("SELECT kind, state, COUNT(*) FROM outbox GROUP BY kind, state")
    else:
        rows = ledger.read(
            "SELECT o.kind, COALESCE(d.state, 'queued') AS there, COUNT(*) FROM outbox o "
            "LEFT JOIN dispatches d ON d.outbox_id = o.id AND d.destination = ? "
            "WHERE o.state = 'queued' OR d.state IS NOT NULL GROUP BY o.kind, there",
            destination,
        )
    for kind, state, count in rows:
        counts[kind][state] = count
    return counts
