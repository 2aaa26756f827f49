"""The hospital's orders, and which study belongs to which; written by the worklist's thread, read by the screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.person_name import plain_group
from edge_app.store.ledger import Ledger
from edge_app.store.rows import InstanceRow

__all__ = ["Order", "OrderMatch", "StudyIdentity", "find_order", "match_of", "put_match", "put_orders", "unmatched"]


LATELY = timedelta(hours=12)
"""So long after the worklist last had it an order may be that of a patient's scan: as long as a shift."""


@dataclass(frozen=True, slots=True)
class Order:
    """One scheduled procedure step of the Modality Worklist (PS3.4 Annex K), as text."""

    step_id: str
    accession_number: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_uid: str
    description: str
    scheduled_at: str


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What a received study says of itself."""

    study_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    patient_birth_date: str


@dataclass(frozen=True, slots=True)
class OrderMatch:
    """The order a study belongs to; `how` is study, accession or patient; `differs` names what does not agree."""

    order: Order
    how: str
    differs: tuple[str, ...]


def put_orders(ledger: Ledger, orders: Sequence[Order]) -> None:
    """Take over a worklist; orders that are no longer in it stay, a study may still come for them."""
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO orders (step_id, accession_number, patient_id, study_uid, body, seen_utc) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(o.step_id, o.accession_number, o.patient_id, o.study_uid, json.dumps(asdict(o)), now) for o in orders],
        )


def unmatched(ledger: Ledger) -> list[InstanceRow]:
    """Return the first image of each study without an order, newest study first."""
    rows = ledger.read(
        "SELECT *, MIN(id) FROM instances WHERE study_uid NOT IN (SELECT study_uid FROM order_matches) "
        "GROUP BY study_uid ORDER BY MIN(id) DESC LIMIT 50"
    )
    return [InstanceRow(*row[:-1]) for row in rows]


def find_order(ledger: Ledger, study: StudyIdentity) -> OrderMatch | None:
    """Return the order of a study: by its Study Instance UID, else by accession, else by the patient's only order.

    A name is never enough, and a patient with two orders is not guessed at. An identifier finds those orders only that
    the worklist had lately: another day's was for another scan, and an emergency's identifier may have been another's.
    """
    lately = utc_iso(utc_now() - LATELY)
    for how, column, value, since_utc in (
        ("study", "study_uid", study.study_uid, ""),
        ("accession", "accession_number", study.accession_number, ""),
        ("patient", "patient_id", study.patient_id, lately),
    ):
        if not value:
            continue
        rows = ledger.read(f"SELECT body FROM orders WHERE {column} = ? AND seen_utc >= ? LIMIT 2", value, since_utc)
        if len(rows) == 1:
            order = Order(**json.loads(rows[0][0]))
            return OrderMatch(order, how, _differences(order, study))
    return None


def put_match(ledger: Ledger, study_uid: str, match: OrderMatch) -> None:
    """Keep a match, with its audit record."""
    body = {"order": asdict(match.order), "how": match.how, "differs": list(match.differs)}
    with ledger.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO order_matches (study_uid, step_id, body, at_utc) VALUES (?, ?, ?, ?)",
            (study_uid, match.order.step_id, json.dumps(body), utc_iso(utc_now())),
        )
        ledger.audit("order_matched", {"study_uid": study_uid, "how": match.how, "differs": list(match.differs)})


def match_of(ledger: Ledger, study_uid: str) -> OrderMatch | None:
    """Return the order of a study for the screen, or None."""
    rows = ledger.read("SELECT body FROM order_matches WHERE study_uid = ?", study_uid)
    if not rows:
        return None
    body = json.loads(rows[0][0])
    return OrderMatch(Order(**body["order"]), body["how"], tuple(body["differs"]))


def _differences(order: Order, study: StudyIdentity) -> tuple[str, ...]:
    """Name what both say and say differently; names are compared without case and padding."""
    pairs = {
        "patient_id": (order.patient_id, study.patient_id),
        "patient_name": _names(order.patient_name, study.patient_name),
        "patient_birth_date": (order.patient_birth_date, study.patient_birth_date),
        "accession_number": (order.accession_number, study.accession_number),
    }
    return tuple(name for name, (ours, theirs) in pairs.items() if ours and theirs and ours != theirs)


def _names(ours: str, theirs: str) -> tuple[str, str]:
    """Return what can be compared of two names: the first component group (PS3.5 Section 6.2) that both have."""
    pairs = zip(ours.split("="), theirs.split("="), strict=False)
    groups = ((plain_group(our), plain_group(their)) for our, their in pairs)
    return next(((one, other) for one, other in groups if one and other), ("", ""))
