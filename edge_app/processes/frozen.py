"""Whether the screen is frozen: its sign of life comes from the thread that draws, so a stopped clock tells (R48)."""

from __future__ import annotations

from edge_app.core.clock import monotonic_s
from edge_app.store.ledger import Ledger

__all__ = ["FROZEN_S", "START_S", "is_frozen"]

FROZEN_S = 5.0
"""A screen that has not beaten its heart for so long is started again: with its start that is back within 10 s."""

START_S = 30.0
"""So long it may take for its first one; a cold disk is slow."""


def is_frozen(ledger: Ledger, process: str, pid: int, started_s: float) -> bool:
    """Return whether a process has stopped giving signs of life.

    Parameters
    ----------
    pid, started_s
        Of the process that runs now, and when it was started (monotonic): a sign of its predecessor is none.
    """
    beat = ledger.heartbeats().get(process)
    if beat is None or beat.pid != pid or beat.at_s < started_s:
        return monotonic_s() - started_s > START_S
    return monotonic_s() - beat.at_s > FROZEN_S
