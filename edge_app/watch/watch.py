"""The watch's round: look at everything, test when there is no case, and say whether the vehicle is fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.config import Settings
from edge_app.core.findings import Finding
from edge_app.core.logs import get_logger
from edge_app.core.types import StudyStatus
from edge_app.store import self_tests
from edge_app.store.ledger import Ledger
from edge_app.watch.artefacts import Artefacts
from edge_app.watch.clocks import check_clock, chrony_offset_s
from edge_app.watch.keys import check_keys
from edge_app.watch.machine import (
    SMART_ANSWERS,
    ask_smart,
    check_disk,
    check_heat,
    check_memory,
    check_wear,
    run_smartctl,
)
from edge_app.watch.processes import check_drift, check_processes
from edge_app.watch.self_test import SelfTest

__all__ = ["ROUND_S", "Watch"]

ROUND_S = 5.0
"""Time between two rounds; whatever goes wrong is on the screen within 60 s, and gone again as fast when mended."""

SMART_S = 30.0
"""Where the watch itself starts smartctl, it does so this often. What msu-smart.service was told, and what the kernel
counts of wear and of errors, is read in every round."""

THOROUGH_S = 3600.0
"""Every byte of the model's files is hashed again this often, without a case."""

_log = get_logger(__name__)


class Watch:
    """All checks of one machine; `look` does one round and leaves the heartbeat.

    Parameters
    ----------
    self_test
        None where the settings want none.
    root
        Where /proc and /sys are.
    processes
        Whose signs of life are looked for.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        self_test: SelfTest | None,
        *,
        processes: Sequence[str],
        root: Path = Path("/"),
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger, self._settings, self._self_test = ledger, settings, self_test
        self._processes, self._root, self._clock = tuple(processes), root, clock
        self._artefacts = Artefacts(settings)
        self._smart: dict[str, bytes] = {}
        self._smart_at_s = self._thorough_at_s = clock()
        self._tested_at_s: float | None = None
        self._tested_what = ""
        self._request = self_tests.asked_after(ledger, 0)
        self._unfit: frozenset[str] = frozenset()

    def look(self) -> list[Finding]:
        """Do one round; returns the findings."""
        now_s = self._clock()
        busy = self._has_case()
        thorough = not busy and now_s - self._thorough_at_s >= THOROUGH_S
        if thorough:
            self._thorough_at_s = now_s
        findings = [
            *self._artefacts.check(thorough=thorough),
            check_disk(self._settings.data, self._settings.receiver.min_free_bytes),
            check_memory(self._root),
            check_heat(self._root),
            self._look_for_wear(now_s),
            check_clock(self._root, offset_s=chrony_offset_s if self._root == Path("/") else None),
            check_keys(self._settings),
            check_processes(self._ledger, self._processes, now_s),
            check_drift(self._ledger),
        ]
        if self._self_test is not None:
            self._test_if_due(findings, busy, now_s)
            findings.append(self._self_test.finding)
        self._tell(findings)
        return findings

    def stop(self) -> None:
        """End a self-test that is under way."""
        if self._self_test is not None:
            self._self_test.stop()

    def beat(self, findings: Sequence[Finding]) -> None:
        """Leave a sign of life with what was found."""
        self._ledger.beat(self._detail(findings))

    def _detail(self, findings: Sequence[Finding]) -> dict[str, Any]:
        last = self_tests.last_self_test(self._ledger)
        return {
            "fit": all(finding.ok for finding in findings),
            "findings": [finding.to_json() for finding in findings],
            "testing": self._self_test is not None and self._self_test.running,
            "self_test": {"at_utc": last[0], "outcome": last[1]} if last else None,
        }

    def _look_for_wear(self, now_s: float) -> Finding:
        if now_s - self._smart_at_s >= SMART_S:
            self._smart_at_s = now_s
            self._smart.clear()
        return check_wear(self._root, self._health_of)

    def _health_of(self, disk: str) -> dict[str, Any] | None:
        return ask_smart(disk, answers=self._root / SMART_ANSWERS.relative_to("/"), run=self._smartctl)

    def _smartctl(self, disk: str) -> bytes:
        if disk not in self._smart:
            self._smart[disk] = run_smartctl(disk)
        return self._smart[disk]

    def _has_case(self) -> bool:
        own = self_tests.self_test_uids(self._ledger)
        under_way = (StudyStatus.RECEIVING, StudyStatus.ANALYSING)
        return any(study.status in under_way and study.study_uid not in own for study in self._ledger.studies())

    def _test_if_due(self, findings: Sequence[Finding], busy: bool, now_s: float) -> None:
        """Start the self-test at the start, when asked, when the model has changed, and once a day; never in a case."""
        assert self._self_test is not None
        what = self._artefacts.sha256
        if what != self._tested_what and self._tested_what and not self._self_test.running:
            self._self_test.invalidate("the model has changed since the last one")
            self._tested_at_s = None
        asked = self_tests.asked_after(self._ledger, self._request)
        due = self._tested_at_s is None or now_s - self._tested_at_s >= self._settings.watch.self_test_hours * 3600.0
        ready = not busy and not self._self_test.running and _can_test(findings)
        if ready and (due or asked):
            self._request = max(self._request, asked)
            self._tested_at_s, self._tested_what = now_s, what
            self._self_test.start()

    def _tell(self, findings: Sequence[Finding]) -> None:
        """Log and audit what has become unfit, or fit again."""
        unfit = frozenset(finding.code for finding in findings if not finding.ok)
        if unfit == self._unfit:
            return
        for finding in findings:
            if not finding.ok and finding.code not in self._unfit:
                _log.event(701, "not fit", level=logging.WARNING, code=finding.code, found=finding.found)
        if not unfit:
            _log.event(700, "fit for duty")
        self._ledger.audit("fitness", {"unfit": sorted(unfit)})
        self._unfit = unfit


def _can_test(findings: Sequence[Finding]) -> bool:
    """Tell whether a self-test has a chance: with a dead process or no model it would only say the same again."""
    return all(finding.ok for finding in findings if finding.code in ("F-03", "F-05", "F-08"))
