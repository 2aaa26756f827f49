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

from edge_app.core.errors import BundleError, InputError, PixelError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import FloatArray, StudyResult, StudyStatus
from edge_app.inference.passport import onnx_file
from edge_app.inference.predict import ImagePredictor
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
        self._asked = ""
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
            # A thread that died of something nobody foresaw has left none: its traceback is in the log.
            opinion = self._opinion or _Opinion(self._asked, 0.0, 0, "the second opinion failed")
            self._thread = self._opinion = None
            self._conclude(opinion)
            return True
        if not self._waiting or self._models is None:
            return False
        study_uid, slices = self._waiting.popleft()
        try:
            prepared = self._prepare(study_uid, slices, self._models)
        except InputError as error:
            self._conclude(_Opinion(study_uid, 0.0, 0, error.message))
            return True
        self._asked = study_uid
        self._thread = threading.Thread(target=self._ask, args=(study_uid, prepared, self._models), daemon=True)
        self._thread.start()
        return True

    def _prepare(self, study_uid: str, slices: tuple[_Slice, ...], models: Models) -> list[tuple[_Slice, FloatArray]]:
        """Read the slices again; here and not on the thread, because decoders share state of the whole process."""
        paths = {row.sop_uid: self._ledger.paths.root / row.path for row in self._ledger.instances(study_uid=study_uid)}
        prepared = []
        for row in slices:
            if row.sop_uid not in paths:
                continue  # removed meanwhile, to make room
            image = read_instance(paths[row.sop_uid]).image
            if image is None:
                raise PixelError("a slice of the result cannot be decoded any more", remedy="Check the disk.")
            prepared.append((row, prepare(image, models.profile).input))
        return prepared

    def _ask(self, study_uid: str, prepared: list[tuple[_Slice, FloatArray]], models: Models) -> None:
        """Run the slices again; on the thread, which touches nothing of the worker's but this one field."""
        difference, problem = 0.0, ""
        try:
            with open_network(models.bundle.read(onnx_file("image", "fp32")), threads=1) as reference:
                predictor = ImagePredictor(reference, models.manifest)
                for row, image in prepared:
                    (scores,) = predictor.predict(image[None], [row.sop_uid])
                    again = named(scores.probabilities)
                    difference = max(difference, *(abs(again[key] - value) for key, value in row.probabilities.items()))
        except BundleError as error:
            problem = error.message
        self._opinion = _Opinion(study_uid, difference, len(prepared), problem)

    def _conclude(self, opinion: _Opinion) -> None:
        if not self._ledger.instances(study_uid=opinion.study_uid):
            return  # removed meanwhile: whatever could not be read says nothing
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
