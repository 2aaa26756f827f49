"""One study on its way through the worker: what came, what was scored, and whether to go on waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_app.core.clock import MonotonicClock
from edge_app.core.config import Settings
from edge_app.core.types import StudyStatus
from edge_app.series.completeness import AssociationState, Completeness, expected_slices, judge
from edge_app.series.head import vertex_seen
from edge_app.series.selection import CT_IMAGE_STORAGE, Candidate
from edge_app.store.choices import SeriesChoice
from edge_app.store.rows import AssociationRow, InstanceRow
from edge_app.worker.analyse import StudyAnalysis
from edge_app.worker.models import Models
from edge_app.worker.publish import patient_band, progress
from edge_app.worker.reading import Reading

__all__ = ["LiveStudy"]

PROGRESS_PERIOD_S = 0.2
"""Progress is written at most this often while slices are scored: every write waits for the disk."""


class LiveStudy:
    """State of one study between its first image and its result; dropped with the result.

    Parameters
    ----------
    first
        The study's first instance.
    boot
        Id of this boot: times of another one mean nothing.
    choice
        The series that the crew chose.
    revised
        The study has a result already.
    """

    def __init__(
        self,
        first: InstanceRow,
        models: Models | None,
        settings: Settings,
        *,
        boot: str,
        clock: MonotonicClock,
        choice: SeriesChoice,
        revised: bool,
    ) -> None:
        self.uid = first.study_uid
        self.patient_id = first.patient_id
        self.analysis = StudyAnalysis(first.study_uid, models, settings.analysis)
        self.attempt_id: int | None = None
        self.complete_since_s: float | None = None
        self.closed = False
        self.last_id = first.id
        self.last_slice_s = clock()
        self.transfer_stopped = False
        self._settings = settings
        self._boot = boot
        self._clock = clock
        self._revised = revised
        self._last_series = first.series_uid
        self._shown: Candidate | None = None
        self._chosen: Candidate | None = None
        self._stale = False
        self._progress_at_s = 0.0
        self.choose(choice)

    def choose(self, choice: SeriesChoice) -> None:
        """Take over what the crew chose."""
        self.choice = choice
        self.analysis.wanted_series = choice.series_uid
        self._stale = True

    def reopen(self, *, revised: bool) -> None:
        """Wait for slices again: one came after the study was complete, or had its result."""
        self.complete_since_s = None
        self._revised = self._revised or revised
        if revised:
            self.closed, self.attempt_id = False, None

    @property
    def must_be_read_again(self) -> bool:
        """Say whether slices are needed whose pixels were let go before they were scored."""
        return self.analysis.lacks_scores(self.shown)

    def add(self, row: InstanceRow, reading: Reading | None) -> None:
        """Take in one instance; None for one that cannot be read at all."""
        self.last_id = max(self.last_id, row.id)
        if row.sop_class_uid == CT_IMAGE_STORAGE or not self.analysis.headers:
            # Times of another boot cannot be compared: waiting starts anew.
            self.last_slice_s = row.received_s if row.boot_id == self._boot else self._clock()
            self._last_series = row.series_uid
        if reading is not None:
            self.analysis.add(reading)
        elif row.sop_class_uid == CT_IMAGE_STORAGE:
            self.analysis.add_unreadable()
        self._stale = True

    @property
    def shown(self) -> Candidate | None:
        """Return the series that would be analysed now, or the nearest one."""
        self._refresh()
        return self._shown

    def judge(self, associations: Sequence[AssociationRow]) -> Completeness:
        """Ask whether more slices are waited for."""
        self._refresh()
        stack = self._chosen.stack if self._chosen else None
        measures = self._chosen.measures if self._chosen else ()
        outcome = judge(
            stack=stack,
            now_s=self._clock(),
            last_slice_s=self.last_slice_s,
            associations=[
                AssociationState(row.outcome, row.closed_s if row.boot_id == self._boot else None)
                for row in associations
            ],
            settings=self._settings.completeness,
            brain_top_seen=vertex_seen(stack, measures) if stack else None,
            expected=expected_slices(stack.headers) if stack else None,
            late=self._revised and stack is not None and self._last_series == stack.series_uid,
        )
        self.transfer_stopped = outcome.transfer_stopped
        return outcome

    def status(self) -> StudyStatus:
        """Return where the study is on its way."""
        return StudyStatus.RECEIVING if self.complete_since_s is None else StudyStatus.ANALYSING

    def band(self) -> dict[str, Any] | None:
        """Return the patient band, or None while no header is known."""
        shown = self.shown
        return patient_band(shown.headers[0]) if shown else None

    def progress(self) -> dict[str, Any]:
        """Return the progress to show; asking counts as writing it."""
        self._progress_at_s = self._clock()
        return progress(self.analysis, self.shown)

    @property
    def progress_due(self) -> bool:
        """Say whether the progress was last written long enough ago."""
        return self._clock() - self._progress_at_s >= PROGRESS_PERIOD_S

    def _refresh(self) -> None:
        if self._stale:
            selection, self._shown = self.analysis.select()
            self._chosen = selection.chosen
            self._stale = False
