"""Whether a case is under way, for those who want to restart something: between cases only."""

from __future__ import annotations

from edge_app.core.clock import boot_id, monotonic_s
from edge_app.core.types import StudyStatus
from edge_app.store.associations import associations
from edge_app.store.ledger import Ledger

__all__ = ["case_under_way"]

_OPEN = (StudyStatus.RECEIVING.value, StudyStatus.ANALYSING.value)

_UNDER_WAY = (
    "SELECT status FROM studies WHERE status IN (?, ?) "
    "AND study_uid NOT IN (SELECT study_uid FROM self_tests WHERE outcome != '')"
)
"""The worker may write once more that it is at work on a self-test which was stopped, and has been removed."""


def case_under_way(ledger: Ledger, quiet_s: float) -> str:
    """Return what is under way, in words; "" when nothing is, and nothing was for `quiet_s` seconds."""
    states = {str(row[0]) for row in ledger.read(_UNDER_WAY, *_OPEN)}
    if states:
        return f"a study is {sorted(states)[0]}"
    boot, now_s = boot_id(), monotonic_s()
    peers = [row for row in associations(ledger) if row.boot_id == boot]
    if any(row.outcome == "open" for row in peers):
        return "a peer has an association open"
    newest = ledger.read("SELECT MAX(received_s) FROM instances WHERE boot_id = ?", boot)[0][0]
    if newest is not None and now_s - float(newest) < quiet_s:
        return f"the last image came {now_s - float(newest):.0f} s ago"
    return ""
