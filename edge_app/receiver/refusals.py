"""Every refusal leaves its reason in the log and in the audit trail, and a flood of them fills neither."""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import dataclass

from edge_app.core.clock import monotonic_s
from edge_app.core.logs import get_logger
from edge_app.store.ledger import Ledger

__all__ = ["Refusals"]

REPEAT_S = 60.0
"""The same refusal of the same peer is noted once in this time, with the number of those since."""

KINDS_MAX = 256
"""So many kinds are told apart; whoever invents a new AE title for each knock is counted as one."""

_log = get_logger(__name__)


@dataclass(slots=True)
class _Kind:
    noted_s: float
    unnoted: int = 0


class Refusals:
    """Notes who was turned away or cut off, and why. Threads share it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self._lock = threading.Lock()

    def note(self, event: int, why: str, *, address: str, calling_aet: str = "") -> None:
        """Note one refusal under an event number of deploy/runbook.md.

        Parameters
        ----------
        why
            Plain words without anything that the peer may choose, so that equal reasons are equal.
        """
        times = self._times_to_note((why, address, calling_aet))
        if not times:
            return
        _log.event(event, why, level=logging.WARNING, address=address, calling_aet=calling_aet, times=times)
        try:
            self._ledger.audit(
                "refused", {"event": event, "why": why, "address": address, "calling_aet": calling_aet, "times": times}
            )
        except sqlite3.Error as error:
            # The refusal stands all the same; a disk that is full must not let anybody in.
            _log.event(205, "refusal could not be audited", level=logging.ERROR, why=str(error))

    def _times_to_note(self, kind: tuple[str, str, str]) -> int:
        """Return for how many refusals a note stands that is due now, or 0 when none is."""
        now_s = monotonic_s()
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
                self._kinds = {k: v for k, v in self._kinds.items() if now_s - v.noted_s < REPEAT_S or v.unnoted}
                if len(self._kinds) >= KINDS_MAX:
                    kind = (kind[0], "many", "")
            known = self._kinds.get(kind)
            if known is None:
                self._kinds[kind] = _Kind(now_s)
                return 1
            known.unnoted += 1
            if now_s - known.noted_s < REPEAT_S:
                return 0
            times, known.unnoted, known.noted_s = known.unnoted, 0, now_s
            return times
