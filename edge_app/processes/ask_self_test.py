"""`msu selftest`: ask the watch of a running vehicle for a self-test, and wait for what it says."""

from __future__ import annotations

import threading

from edge_app.core.clock import boot_id, monotonic_s
from edge_app.core.errors import ProcessError
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import ask_for, last_self_test, newest_self_test

__all__ = ["ask_self_test"]

POLL_S = 0.1


def ask_self_test(ledger: Ledger, *, timeout_s: float) -> tuple[bool, str]:
    """Return (passed, one line to print), of a self-test that begins now and not of one that is under way.

    Raises
    ------
    ProcessError
        If no watch is running, it makes no self-tests, or none ends in time (there is a case, say).
    """
    beat = ledger.heartbeats().get("watch")
    if beat is None or beat.boot_id != boot_id():
        raise ProcessError("no watch is running on this store", remedy="Start `msu serve` or `msu watch`.")
    if not any(item.get("check") == "Self-test" for item in beat.detail.get("findings", ())):
        raise ProcessError("the watch makes no self-tests", remedy="Set watch.self_test = true in the settings.")
    before = newest_self_test(ledger)
    ask_for(ledger)
    waiting, deadline_s = threading.Event(), monotonic_s() + timeout_s
    while (last := last_self_test(ledger, after=before)) is None:
        if monotonic_s() > deadline_s:
            raise ProcessError(
                f"no self-test ended within {timeout_s:.0f} s", remedy="It waits while there is a case; see the screen."
            )
        waiting.wait(POLL_S)
    _, outcome, body = last
    detail = "; ".join(body.get("problems", ())) or f"in {body.get('took_s')} s"
    return outcome == "passed", f"{outcome.upper()} {detail}"
