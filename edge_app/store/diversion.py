"""Where the run goes: the centre that gets the deliveries can change while the vehicle drives.

Whoever decides (the crew on the screen, a dispatcher's message) writes one row; the delivery process follows it. What
is held goes to the new centre. What the old one already has is sent again to the new one for the studies named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from edge_app.core.clock import utc_iso, utc_now
from edge_app.store.editions import latest_edition
from edge_app.store.ledger import Ledger

__all__ = ["current_diversion", "divert"]


def divert(ledger: Ledger, destination: str, *, by: str, studies: Sequence[str] = ()) -> None:
    """Send everything to another centre from now on.

    Parameters
    ----------
    destination
        One of ``delivery.alternatives``, or "" to go back to ``delivery.destination``.
    by
        Who decided.
    studies
        Studies on board (Study Instance UIDs) whose images and latest result the new centre needs, whoever else
        has them.
    """
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.execute("INSERT INTO diversions (destination, by, at_utc) VALUES (?, ?, ?)", (destination, by, now))
        for study_uid in studies:
            result = ledger.latest_result(study_uid)
            last = max((row.id for row in ledger.instances(study_uid=study_uid)), default=0)
            latest = latest_edition(ledger, study_uid, result.revision) if result else None
            said = {"edition": latest.edition, "crew_id": latest.crew_id, "why": latest.why} if latest else {}
            payload = json.dumps({"revision": result.revision if result else 0, "last_instance_id": last, **said})
            for kind in ("images", "result") if result else ("images",):
                db.execute(
                    "INSERT INTO outbox (study_uid, kind, payload, created_utc, updated_utc) VALUES (?, ?, ?, ?, ?)",
                    (study_uid, kind, payload, now, now),
                )
        ledger.audit("diverted", {"destination": destination, "by": by, "studies": list(studies)})


def current_diversion(ledger: Ledger) -> str:
    """Return the destination the crew chose last, or "" for the configured one."""
    rows = ledger.read("SELECT destination FROM diversions ORDER BY id DESC LIMIT 1")
    return str(rows[0][0]) if rows else ""
