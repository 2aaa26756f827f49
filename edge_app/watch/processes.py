"""Do the other processes live? By the signs of life that they leave in the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from edge_app.core.clock import boot_id
from edge_app.core.findings import Finding
from edge_app.store.ledger import Ledger

__all__ = ["DEAD_AFTER_S", "check_drift", "check_processes"]

DEAD_AFTER_S = 5.0
"""Every process beats at least once a second, or twice."""


def check_processes(ledger: Ledger, wanted: Iterable[str], now_s: float) -> Finding:
    """Look for processes that were never seen in this boot, or not for `DEAD_AFTER_S`."""
    beats, boot = ledger.heartbeats(), boot_id()
    dead = []
    for name in wanted:
        beat = beats.get(name)
        if beat is None or beat.boot_id != boot:
            dead.append(f"{name}: not seen since the computer started")
        elif now_s - beat.at_s > DEAD_AFTER_S:
            dead.append(f"{name}: silent for {now_s - beat.at_s:.0f} s")
    if dead:
        return Finding("Processes", False, "; ".join(dead), "It is started again by itself; else restart.", "F-08")
    return Finding("Processes", True, "all alive", "", "F-08")


def check_drift(ledger: Ledger) -> Finding:
    """Read what the worker's canary last found (`edge_app.worker.canary`)."""
    beat = ledger.heartbeats().get("work")
    canary = beat.detail.get("canary") if beat else None
    if not isinstance(canary, dict):
        return Finding("Canary", True, "no study was run again yet", "", "F-12")
    found = f"largest difference to FP32 {float(canary['difference']):.4f} (limit {float(canary['limit']):.4f})"
    if not canary.get("ok", True):
        remedy = "Do not trust new results: build the engines again (msu engine build), call service."
        return Finding("Canary", False, found, remedy, "F-12")
    return Finding("Canary", True, found, "", "F-12")
