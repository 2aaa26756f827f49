"""What the screen asks of the whole ledger: how far deliveries are, how long results take, when a peer was heard."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from edge_app.core.clock import boot_id
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import CALLING_AET

__all__ = [
    "HISTORY",
    "NOTHING_QUEUED",
    "DeliveryCount",
    "acknowledgements",
    "delivery_counts",
    "last_peer_s",
    "usual_delay_s",
]

HISTORY = 20
"""So many results tell how long one usually takes."""


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """How far a study is on its way out: outbox rows by state, and objects that the centre has or has refused."""

    queued: int = 0
    sent: int = 0
    failed: int = 0
    objects: int = 0
    refused: int = 0
    last_utc: str = ""
    """When the last object was taken."""


NOTHING_QUEUED = DeliveryCount()


def delivery_counts(ledger: Ledger) -> dict[str, DeliveryCount]:
    """Return how far each study is, by study UID; a study that nothing was queued for is not in it."""
    states: dict[str, dict[str, int]] = {}
    for study_uid, state, count in ledger.read("SELECT study_uid, state, COUNT(*) FROM outbox GROUP BY 1, 2"):
        states.setdefault(study_uid, {})[state] = count
    objects = {
        row[0]: row[1:]
        for row in ledger.read(
            "SELECT study_uid, SUM(state = 'sent'), SUM(state = 'refused'), "
            "COALESCE(MAX(CASE state WHEN 'sent' THEN at_utc END), '') FROM deliveries GROUP BY study_uid"
        )
    }
    return {
        uid: DeliveryCount(
            rows.get("queued", 0), rows.get("sent", 0), rows.get("failed", 0), *objects.get(uid, (0, 0, ""))
        )
        for uid, rows in states.items()
    }


def acknowledgements(ledger: Ledger) -> dict[str, tuple[int, str, str]]:
    """Return (revision, who, when) of each study's last acknowledgement by the centre, by study UID."""
    rows = ledger.read("SELECT study_uid, revision, by, at_utc FROM acknowledgements ORDER BY revision, received_utc")
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def usual_delay_s(ledger: Ledger) -> float | None:
    """Return the median time from last image to result of this device's last results; None without history."""
    rows = ledger.read(
        "SELECT json_extract(body, '$.timings_ms.last_slice_to_result') FROM results WHERE rowid IN "
        "(SELECT rowid FROM results ORDER BY rowid DESC LIMIT ?) AND json_extract(body, '$.status') = 'result'",
        HISTORY,
    )
    delays_ms = [float(row[0]) for row in rows if row[0] is not None]
    return statistics.median(delays_ms) / 1e3 if delays_ms else None


def last_peer_s(ledger: Ledger) -> float | None:
    """Return when (monotonic) a peer's last association of this boot began or ended; a self-test is no peer."""
    rows = ledger.read(
        "SELECT MAX(MAX(opened_s, COALESCE(closed_s, opened_s))) FROM associations "
        "WHERE boot_id = ? AND calling_aet != ?",
        boot_id(),
        CALLING_AET,
    )
    return float(rows[0][0]) if rows[0][0] is not None else None
