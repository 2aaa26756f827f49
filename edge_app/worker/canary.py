"""The canary: after each result three of its slices are run again, at FP32 on ONNX Runtime, and compared.

An engine passed its gate once, on the golden set. Whether it still answers as it did, on this patient, months later, on
a machine that has been hot and shaken, only a second opinion tells. It is asked when nobody waits for anything, and
what it says changes no result: it makes the vehicle unfit for the next one (F-12). Opening and running a large network
on the CPU takes seconds, so it is done on a thread: the next patient's first image must not wait for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.errors import BackendError, BundleError, InputError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import StudyResult, StudyStatus
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


@dataclass(frozen=True, slots=True)
class _Slice:
    sop_uid: str
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What came of running a study's slices again."""

    study_uid: str
    difference: float
    compared: int
    problem: str = ""


class Canary:
    """Holds the studies that wait for a second opinion; `step` begins the next one, or takes in what one has said."""

    def __init__(self, ledger: Ledger, models: Models | None) -> None:
        self._ledger, self._models = ledger, models
        self._waiting: deque[tuple[str, tuple[_Slice, ...]]] = deque(maxlen=WAITING)
        self._thread: threading.Thread | None = None
        self._opinion: _Opinion | None = None
        self.last: dict[str, object] | None = None
        """What the heartbeat says of the study that was compared last; None before the first one."""

    def note(self, result: StudyResult) -> None:
        """Remember a result whose slices are to be run again."""
        if self._models is None or result.status is not StudyStatus.RESULT:
            return
        if result.study_uid in self_test_uids(self._ledger):
            return  # its answer is compared anyhow, and its images go at once
        known = {row.sop_uid: row.probabilities for row in result.slices if row.probabilities}
        chosen = tuple(_Slice(uid, known[uid]) for uid in result.key_slices if uid in known)[:SLICES]
        if chosen:
            self._waiting.append((result.study_uid, chosen))

    def step(self) -> bool:
        """Go on with the second opinions; False when there is nothing to do just now."""
        if self._thread is not None:
            if self._thread.is_alive():
                return False
            self._thread = None
            self._conclude()
            return True
        if not self._waiting or self._models is None:
            return False
        study_uid, slices = self._waiting.popleft()
        paths = {row.sop_uid: self._ledger.paths.root / row.path for row in self._ledger.instances(study_uid=study_uid)}
        there = [(row, paths[row.sop_uid]) for row in slices if row.sop_uid in paths]
        self._thread = threading.Thread(
            target=self._ask, args=(study_uid, there, self._models), name="canary", daemon=True
        )
        self._thread.start()
        return True

    def _ask(self, study_uid: str, slices: list[tuple[_Slice, Path]], models: Models) -> None:
        """Run the slices again; on the thread, which touches nothing of the worker's but this one field."""
        difference, compared, problem = 0.0, 0, ""
        try:
            with open_network(models.bundle.read(onnx_file("image", "fp32")), threads=1) as reference:
                predictor = ImagePredictor(reference, models.manifest)
                for row, path in slices:
                    image = read_instance(path).image
                    if image is None:
                        raise BackendError("a slice cannot be decoded any more", remedy="Check the disk.")
                    (scores,) = predictor.predict(prepare(image, models.profile).input[None], [row.sop_uid])
                    again = named(softmax(scores.logits))
                    moved = (abs(again[label] - value) for label, value in row.probabilities.items())
                    difference, compared = max(difference, *moved), compared + 1
        except (BundleError, InputError) as error:
            problem = error.message
        self._opinion = _Opinion(study_uid, difference, compared, problem)

    def _conclude(self) -> None:
        opinion, self._opinion = self._opinion, None
        if opinion is None:  # the thread died of something nobody foresaw: its traceback is in the log
            opinion = _Opinion("", 0.0, 0, "the second opinion failed")
        elif not self._ledger.instances(study_uid=opinion.study_uid):
            return  # removed meanwhile, to make room: whatever could not be read says nothing
        ok = not opinion.problem and opinion.difference <= LIMIT
        self.last = {
            "difference": round(opinion.difference, 6),
            "limit": LIMIT,
            "ok": ok,
            "slices": opinion.compared,
            "problem": opinion.problem,
        }
        backend = self._models.backend_name if self._models else ""
        self._ledger.audit("canary", {"study_uid": opinion.study_uid, "backend": backend, **self.last})
        if not ok:
            study = short(opinion.study_uid)
            _log.event(330, "slices run again gave another answer", level=logging.ERROR, study=study, **self.last)
