"""NOTIFY CENTRE: what the crew asks for with its second tap leaves like a result, before all else, with its own proof.

`edge_app.store.crew.note_crew` queues it in the same transaction that keeps the tap (kind ``notify``), so that the
screen has nothing else to do; `latest_notices` tells it how far the notice is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.editions import latest_edition
from edge_app.store.ledger import Ledger

__all__ = ["Notice", "NoticeState", "latest_notices", "notice_of", "queue_notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `crew_id` is the entry that asked for it; `revision` is 0 where there was no result yet.

    `edition` is that of the report at that moment.
    """

    study_uid: str
    crew_id: int
    revision: int
    edition: int
    by: str
    at_utc: str


@dataclass(frozen=True, slots=True)
class NoticeState:
    """How far a study's last notice is.

    `state` is queued, sent (a destination has it) or failed (all have refused it); `destinations` are those that have
    it, `sent_utc` is when the first of them took it.
    """

    crew_id: int
    state: str
    queued_utc: str
    sent_utc: str
    destinations: tuple[str, ...]
    problem: str


def queue_notice(ledger: Ledger, study_uid: str, crew_id: int, *, by: str) -> None:
    """Queue a notice of the latest result, with what is known by entry `crew_id`."""
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        (revision,) = db.execute(
            "SELECT COALESCE(MAX(revision), 0) FROM results WHERE study_uid = ?", (study_uid,)
        ).fetchone()
        latest = latest_edition(ledger, study_uid, revision)
        payload = {"revision": revision, "edition": latest.edition if latest else 1, "crew_id": crew_id, "by": by}
        db.execute(
            "INSERT INTO outbox (study_uid, kind, payload, created_utc, updated_utc) VALUES (?, 'notice', ?, ?, ?)",
            (study_uid, json.dumps(payload), now, now),
        )
        ledger.audit("notice_queued", {"study_uid": study_uid, "revision": revision, "by": by})


def notice_of(ledger: Ledger, outbox_id: int) -> Notice | None:
    """Return the notice of an outbox row, or None."""
    rows = ledger.read(
        "SELECT study_uid, json_extract(payload, '$.crew_id'), json_extract(payload, '$.revision'), "
        "COALESCE(json_extract(payload, '$.edition'), 1), json_extract(payload, '$.by'), created_utc "
        "FROM outbox WHERE id = ? AND kind = 'notice'",
        outbox_id,
    )
    return Notice(*rows[0]) if rows else None


def latest_notices(ledger: Ledger) -> dict[str, NoticeState]:
    """Return how far each study's last notice is, by study UID."""
    found: dict[str, NoticeState] = {}
    for study_uid, crew_id, state, queued_utc, problem, taken, sent_utc in ledger.read(
        "SELECT o.study_uid, json_extract(o.payload, '$.crew_id'), o.state, o.created_utc, o.problem, "
        "group_concat(CASE d.state WHEN 'sent' THEN d.destination END, ' '), "
        "MIN(CASE d.state WHEN 'sent' THEN d.updated_utc END) "
        "FROM outbox o LEFT JOIN dispatches d ON d.outbox_id = o.id WHERE o.kind = 'notice' GROUP BY o.id ORDER BY o.id"
    ):
        destinations = tuple(sorted((taken or "").split()))
        state = "sent" if destinations else state
        found[study_uid] = NoticeState(crew_id, state, queued_utc, sent_utc or "", destinations, problem)
    return found
