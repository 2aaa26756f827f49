"""The whole flow of a study on one page, from decoded slices to its result.

Used by the worker process, slice by slice while the rest still arrives, and by `msu analyse` on files::

    add       header and pixels of one slice: measured, prepared for the image network, pixels let go
    score     the image network over what was prepared, oldest first
    conclude  series chosen → input gate → patient network → decision → key slices
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_app.core.clock import monotonic_s
from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import HeaderError
from edge_app.core.reasons import SCANNER_REMARK, reason
from edge_app.core.types import FloatArray, Reason, SliceHeader, SliceMeasures, SliceScores, StudyResult
from edge_app.preprocessing import prepare
from edge_app.series.gate import check, check_conflicts, pixel_problem
from edge_app.series.geometry import Stack, order_slices
from edge_app.series.head import brain_range
from edge_app.series.measures import measure_slice
from edge_app.series.quality import check_quality
from edge_app.series.scanners import is_validated
from edge_app.series.selection import Candidate, Selection, make_candidates, select_series
from edge_app.triage.decision import decide
from edge_app.triage.key_slices import choose_key_slices
from edge_app.worker.models import Models
from edge_app.worker.outcome import merge_reasons, named, start_result
from edge_app.worker.reading import Reading

__all__ = ["StudyAnalysis"]

MAX_WAITING = 64
"""Prepared slices (0.6 MB each) that may wait for the image network before one is scored out of turn."""

STANDARD_ORIENTATION_DEG = 45.0
"""Slices further from axial are not turned by the decoder and mean nothing to the networks."""


class StudyAnalysis:
    """Everything known of one study: headers, measures and scores, never pixels.

    Parameters
    ----------
    models
        None where the bundle cannot be loaded: then every study ends with E-101, but is measured and ordered.
    settings
        What may be said of ischaemic signs.
    """

    def __init__(self, study_uid: str, models: Models | None, settings: AnalysisSettings) -> None:
        self.study_uid = study_uid
        self._models = models
        self._settings = settings
        self.headers: dict[str, SliceHeader] = {}
        self.measures: dict[str, SliceMeasures] = {}
        self.scores: dict[str, SliceScores] = {}
        self.to_slice: dict[str, NDArray[np.float64]] = {}
        self._waiting: dict[str, FloatArray] = {}
        self.wanted_series = ""
        """SeriesInstanceUID that the crew chose; empty: the rule chooses."""
        self._dropped: set[str] = set()
        self._unreadable = 0
        self._seconds: dict[str, float] = defaultdict(float)
        self._last_s = monotonic_s()

    def add(self, reading: Reading) -> None:
        """Take in one object of the study.

        Raises
        ------
        BackendError
            If the image network fails on a slice that waited.
        """
        self._last_s = monotonic_s()
        header, image = reading.header, reading.image
        self.headers[header.sop_uid] = header
        self._seconds["decode"] += reading.seconds
        if image is None:
            return
        with self.timed("preprocess"):
            self.measures[header.sop_uid] = measure_slice(image)
            # What the gate refuses for its size is not resampled: a pixel of a metre would fill the memory.
            if self._models and _is_axial(header) and not pixel_problem(header):
                prepared = prepare(image, self._models.profile)
                self._waiting[header.sop_uid] = prepared.input
                self.to_slice[header.sop_uid] = prepared.to_slice
        if len(self._waiting) > MAX_WAITING:
            self.score_next()

    def add_unreadable(self) -> None:
        """Note a CT image of the study that cannot be read at all."""
        self._unreadable += 1

    @property
    def waiting(self) -> int:
        """Return how many slices wait for the image network."""
        return len(self._waiting)

    def score_next(self) -> None:
        """Score the slice that has waited longest.

        Raises
        ------
        BackendError
            If the network fails.
        """
        if self._waiting and self._models:
            sop_uid = next(iter(self._waiting))
            with self.timed("image_model"):
                (self.scores[sop_uid],) = self._models.image.predict(self._waiting.pop(sop_uid)[None], [sop_uid])

    def select(self) -> tuple[Selection, Candidate | None]:
        """Choose the series; where none can be analysed, the largest is the one to show."""
        candidates = make_candidates(self.headers.values(), self.measures)
        selection = select_series(candidates, wanted=self.wanted_series)
        largest = max(candidates, key=lambda c: (c.stack is not None, len(c.measures), len(c.headers)), default=None)
        return selection, selection.chosen or largest

    def keep_only(self, candidate: Candidate | None) -> None:
        """Stop waiting for the slices of other series: their scores would not be used."""
        wanted = {header.sop_uid for header in candidate.headers} if candidate else set()
        self._dropped.update(self._waiting.keys() - wanted)
        self._waiting = {uid: prepared for uid, prepared in self._waiting.items() if uid in wanted}

    def lacks_scores(self, candidate: Candidate | None) -> bool:
        """Say whether slices of a series were dropped unscored: then all must be read again to judge it."""
        return candidate is not None and any(header.sop_uid in self._dropped for header in candidate.headers)

    def conclude(
        self,
        *,
        conflicts: Collection[str] = (),
        known: tuple[Reason, ...] = (),
        last_slice_s: float | None = None,
    ) -> StudyResult:
        """Finish the study: the last slices, the gate, the patient network and the decision.

        Parameters
        ----------
        conflicts
            SOP Instance UIDs that came twice with different bytes.
        known
            Reasons against a result from elsewhere, e.g. a transfer that broke off.
        last_slice_s
            Monotonic time of the last slice's arrival; None for when it was added.

        Raises
        ------
        BackendError
            If a network fails.
        """
        with self.timed("gate"):
            selection, shown = self.select()
            reasons = merge_reasons(selection, (*known, *self._check(shown, conflicts)))
        validated = shown is None or all(map(self._is_validated, shown.headers))
        if self._models is None:
            reasons = (reason("E-101"), *reasons)
        elif not validated and self._settings.unvalidated_scanner == "withhold":
            reasons = (*reasons, reason("Q-21"))
        self.keep_only(shown)
        while self._waiting:
            self.score_next()
        result = start_result(self.study_uid, selection, shown, reasons, self.scores, self._models)
        if self._models and not reasons and shown and shown.stack:
            result = self._judge(result, shown.stack, self._models)
        if self._models and not validated:
            result = replace(result, quality=(*result.quality, SCANNER_REMARK))
        timings = {stage: round(seconds * 1e3, 3) for stage, seconds in sorted(self._seconds.items())}
        waited_s = monotonic_s() - (self._last_s if last_slice_s is None else last_slice_s)
        return replace(result, timings_ms={**timings, "last_slice_to_result": round(waited_s * 1e3, 3)})

    def _is_validated(self, header: SliceHeader) -> bool:
        """Say whether bundle or site names the scanner and kernel (SCREEN.md R21)."""
        named = self._models.manifest.validated_scanners if self._models else ()
        return is_validated(header, (*named, *self._settings.validated_scanners))

    def _check(self, shown: Candidate | None, conflicts: Collection[str]) -> tuple[Reason, ...]:
        """Return what speaks against the series: the gate's reasons, and images that are not even in a stack."""
        lost = (reason("Q-15", f"{self._unreadable} cannot be read"),) if self._unreadable else ()
        if shown is None or shown.stack is None:
            conflict = check_conflicts(conflicts)
            return (*lost, conflict) if conflict else lost
        return (*lost, *check(shown.stack, shown.measures, conflicts=conflicts, study=self.headers.values()))

    def _judge(self, result: StudyResult, stack: Stack, models: Models) -> StudyResult:
        """Patient network, decision and key slices over the part of the stack that is head."""
        patient_model = models.manifest.patient
        measures = [self.measures[header.sop_uid] for header in stack.headers]
        seen = brain_range(stack, measures, max_slices=patient_model.max_slices)
        scores = [self.scores[stack.headers[index].sop_uid] for index in seen]
        poor = check_quality(stack, measures)
        with self.timed("patient_model"):
            patient = models.patient.predict(scores, [stack.positions_mm[index] for index in seen])
        # Rounded first: whoever compares what is written with the thresholds finds the verdict.
        probabilities = named(patient.probabilities.values())
        decision = decide(
            probabilities,
            models.manifest.operating_points,
            distance=patient.distance,
            distance_threshold=patient_model.distance_threshold,
            ischaemia_output=self._settings.ischaemia_output,
            doubts=(poor,) if poor else (),
        )
        keys = choose_key_slices(np.stack([score.probabilities for score in scores]), patient.attention)
        # Slices above the vertex hold no head and need no remark; a neck left out or thinned slices do.
        thinned = len(seen) < seen[-1] + 1
        part = f"judged from {len(seen)} of {len(stack.headers)} slices, vertex to skull base"
        return replace(
            result,
            verdict=decision.verdict,
            probabilities=probabilities,
            reasons=decision.reasons,
            key_slices=tuple(scores[key].sop_uid for key in keys),
            quality=result.quality + ((part,) if thinned else ()) + decision.remarks,
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage's sum in `timings_ms`."""
        began_s = monotonic_s()
        try:
            yield
        finally:
            self._seconds[stage] += monotonic_s() - began_s


def _is_axial(header: SliceHeader) -> bool:
    try:
        return order_slices([header]).tilt_deg <= STANDARD_ORIENTATION_DEG
    except HeaderError:
        return False
