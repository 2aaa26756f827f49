"""The self-test: a synthetic head through the real DICOM port and the real models, its answer compared.

The golden answer is the same head's, computed from the same bundle by the reference (FP32 on ONNX Runtime, no port, no
store, no engine). A receiver that does not take it, a store that loses a slice, an engine that answers otherwise, a
worker that hangs: each fails it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.errors import MsuError
from edge_app.core.findings import Finding
from edge_app.core.logs import get_logger
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store import self_tests
from edge_app.store.ledger import Ledger

__all__ = ["Answer", "Phantom", "SelfTest", "compare"]

CHECK = "Self-test"
POLL_S = 0.1

GRACE_S = 1.0
"""systemd ends the processes that a self-test has started in the same moment as the watch: a failure counts only when
no stop follows it."""

LARGEST_DIFFERENCE = 0.02
"""Of any probability of the patient between vehicle and reference: INT8 engines pass their gate with less."""

_REMEDY = "Do not rely on the AI. Restart the computer; if it fails again, call service (deploy/runbook.md, F-01)."

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared."""

    status: StudyStatus
    verdict: str | None
    probabilities: dict[str, float]

    @classmethod
    def of(cls, result: StudyResult) -> Answer:
        """Take it from a result."""
        return cls(result.status, result.verdict.value if result.verdict else None, dict(result.probabilities or {}))


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic study that is ready to be sent.

    `study_uid` is another one each time; `golden` is the reference's answer; `send` pushes the study through the DICOM
    port and raises `MsuError` if an object is not accepted.
    """

    study_uid: str
    golden: Answer
    send: Callable[[], None]


def compare(got: Answer, golden: Answer) -> list[str]:
    """Return what differs; empty if the vehicle answered as the reference."""
    problems = []
    if got.status is not golden.status:
        problems.append(f"status {got.status.value}, expected {golden.status.value}")
    if got.verdict != golden.verdict:
        problems.append(f"verdict {got.verdict}, expected {golden.verdict}")
    for label, wanted in golden.probabilities.items():
        value = got.probabilities.get(label)
        if value is None or not abs(value - wanted) <= LARGEST_DIFFERENCE:
            problems.append(f"{label} {value}, expected {wanted:.3f}")
    return problems


class SelfTest:
    """Runs one self-test at a time, on a thread of its own; `finding` is what the last one said.

    Parameters
    ----------
    ledger
        Where the study is announced, its result awaited, and all of it removed.
    prepare
        Makes the study and the reference's answer to it, which takes seconds.
    timeout_s
        How long the result may take.
    grace_s
        How long after a failure a stop still explains it.
    """

    def __init__(
        self,
        ledger: Ledger,
        prepare: Callable[[], Phantom],
        *,
        timeout_s: float,
        grace_s: float = GRACE_S,
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger, self._prepare = ledger, prepare
        self._timeout_s, self._grace_s, self._clock = timeout_s, grace_s, clock
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._finding = Finding(CHECK, False, "not run yet", "Wait until it has run.", "F-02")

    @property
    def finding(self) -> Finding:
        """Return what is known: not run yet, passed, or failed and why."""
        return self._finding

    @property
    def running(self) -> bool:
        """Tell whether one is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin one, unless one is under way."""
        if not self.running:
            self._thread = threading.Thread(target=self._run, name="self-test")
            self._thread.start()

    def stop(self) -> None:
        """End the one under way, and wait for that."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def invalidate(self, why: str) -> None:
        """Forget that it passed: what it stood for has changed."""
        if not self.running:
            self._finding = Finding(CHECK, False, why, "Wait until it has run again.", "F-02")

    def _run(self) -> None:
        try:
            self._test()
        except Exception as error:  # noqa: BLE001  the one of this thread: what an earlier test said stands for nothing now
            _log.exception("the self-test ended before its time")
            found = f"ended before its time: {type(error).__name__}"
            self._finding = Finding(CHECK, False, found, _REMEDY, "F-01")

    def _test(self) -> None:
        self_tests.finish_left(self._ledger)
        try:
            phantom = self._prepare()
        except MsuError as error:
            if not self._stop.wait(self._grace_s):
                self._finding = Finding(CHECK, False, f"{error.code} {error.message}", error.remedy, "F-01")
            return
        began_s = self._clock()
        self_tests.announce(self._ledger, phantom.study_uid)
        problems: Sequence[str]
        try:
            phantom.send()
            problems = self._await(phantom, began_s)
        except MsuError as error:
            problems = [f"{error.code} {error.message}"]
            self._stop.wait(self._grace_s)
        took_s = round(self._clock() - began_s, 2)
        outcome = "stopped" if self._stop.is_set() else "failed" if problems else "passed"
        try:
            self_tests.finish(self._ledger, phantom.study_uid, outcome, {"problems": list(problems), "took_s": took_s})
        except OSError as error:
            problems = [*problems, f"its files cannot be removed: {error.strerror}"]
        if outcome == "stopped":
            return
        if problems:
            self._finding = Finding(CHECK, False, "; ".join(problems), _REMEDY, "F-01")
        else:
            self._finding = Finding(
                CHECK, True, f"passed in {took_s:.1f} s, {phantom.golden.verdict} as expected", "", "F-01"
            )

    def _await(self, phantom: Phantom, began_s: float) -> list[str]:
        while self._clock() - began_s < self._timeout_s:
            result = self._ledger.latest_result(phantom.study_uid)
            if result is not None:
                return compare(Answer.of(result), phantom.golden)
            if self._stop.wait(POLL_S):
                return []
        return [f"no result after {self._timeout_s:.0f} s"]
