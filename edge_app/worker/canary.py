"""The canary: after each result three of its slices are run again, at FP32 on ONNX Runtime, and compared.

An engine passed its gate once, on the golden set. Whether it still answers as it did, on this patient, months later, on
a machine that has been hot and shaken, only a second opinion tells. It is asked when nobody waits for anything, and
what it says changes no result: it makes the vehicle unfit for the next one (F-12).
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field

from edge_app.core.errors import BackendError, InputError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import FloatArray, StudyResult, StudyStatus
from edge_app.inference.passport import onnx_file
from edge_app.inference.predict import ImagePredictor, softmax
from edge_app.inference.select import open_network
from edge_app.preprocessing import prepare
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import self_test_uids
from edge_app.worker.models import Models
from edge_app.worker.outcome import named
from edge_app.worker.reading import read_instance

__all__ = ["LIMIT", "SLICES", "Canary"]

SLICES = 3
LIMIT = 0.20
"""Largest change of a slice's probability; the accuracy gate lets no slice go further either (`export.gate`)."""

WAITING = 20
"""Studies that may wait for their second opinion; older ones go without."""

_log = get_logger(__name__)


@dataclass(slots=True)
class _Check:
    study_uid: str
    slices: deque[tuple[str, dict[str, float]]]
    difference: float = 0.0
    compared: int = 0
    problem: str = field(default="")


class Canary:
    """Holds the studies that wait for a second opinion; `step` runs one slice of one of them."""

    def __init__(self, ledger: Ledger, models: Models | None) -> None:
        self._ledger, self._models = ledger, models
        self._waiting: deque[_Check] = deque(maxlen=WAITING)
        self.last: dict[str, object] | None = None
        """What the heartbeat says of the study that was compared last; None before the first one."""

    def note(self, result: StudyResult) -> None:
        """Remember a result whose slices are to be run again."""
        if self._models is None or result.status is not StudyStatus.RESULT:
            return
        if result.study_uid in self_test_uids(self._ledger):
            return  # its answer is compared anyhow, and its images go at once
        known = {row.sop_uid: row.probabilities for row in result.slices if row.probabilities}
        chosen = [(uid, known[uid]) for uid in result.key_slices if uid in known][:SLICES]
        if chosen:
            self._waiting.append(_Check(result.study_uid, deque(chosen)))

    def step(self) -> bool:
        """Run one slice again; False when none waits."""
        if not self._waiting or self._models is None:
            return False
        check = self._waiting[0]
        sop_uid, probabilities = check.slices.popleft()
        try:
            self._compare(check, sop_uid, probabilities, self._models)
        except (BackendError, InputError) as error:
            if self._path_of(check.study_uid, sop_uid):  # else the study was removed while it was read
                check.problem = error.message
        if not check.slices:
            self._waiting.popleft()
            self._conclude(check)
        return True

    def _compare(self, check: _Check, sop_uid: str, probabilities: dict[str, float], models: Models) -> None:
        path = self._path_of(check.study_uid, sop_uid)
        if not path:
            return  # removed meanwhile, to make room
        image = read_instance(self._ledger.paths.root / path).image
        if image is None:
            raise BackendError("a slice of the result cannot be decoded any more", remedy="Check the disk.")
        again = self._ask(prepare(image, models.profile).input, sop_uid, models)
        check.difference = max(check.difference, *(abs(again[label] - value) for label, value in probabilities.items()))
        check.compared += 1

    def _path_of(self, study_uid: str, sop_uid: str) -> str:
        rows = self._ledger.instances(study_uid=study_uid)
        return next((row.path for row in rows if row.sop_uid == sop_uid), "")

    def _ask(self, prepared: FloatArray, sop_uid: str, models: Models) -> dict[str, float]:
        # Opened for each slice and let go: a large network held twice would be the memory of the next case.
        with open_network(models.bundle.read(onnx_file("image", "fp32")), threads=1) as reference:
            (scores,) = ImagePredictor(reference, models.manifest).predict(prepared[None], [sop_uid])
        return named(softmax(scores.logits))

    def _conclude(self, check: _Check) -> None:
        if not check.compared and not check.problem:
            return
        ok = not check.problem and check.difference <= LIMIT
        backend = self._models.backend_name if self._models else ""
        self.last = {
            "difference": round(check.difference, 6),
            "limit": LIMIT,
            "ok": ok,
            "slices": check.compared,
            "problem": check.problem,
        }
        self._ledger.audit("canary", {"study_uid": check.study_uid, "backend": backend, **self.last})
        if not ok:
            _log.event(
                330,
                "slices run again gave another answer",
                level=logging.ERROR,
                study=short(check.study_uid),
                **self.last,
            )
