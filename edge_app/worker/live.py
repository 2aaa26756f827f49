"""The worker's loop: what the receiver stored becomes frames at once, scores as it arrives, and a result when complete.

One `step` does one small thing, the most urgent first: publish new images, finish a complete study, score one slice.
Nothing but the ledger is needed to go on: after a crash or a power cut every study whose last image has no result is
read again from the start.

An attempt is noted before the first pixel of a study is touched, because decoders run native code on foreign bytes:
two attempts that crashed or failed end the study with E-104 until new images come (LAYOUT.md, Processes).
"""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from edge_app.core.clock import MonotonicClock, boot_id, monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import InputError, StoreError
from edge_app.core.logs import get_logger, short
from edge_app.core.reasons import reason
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.series.selection import CT_IMAGE_STORAGE
from edge_app.store.associations import associations
from edge_app.store.choices import SeriesChoice, series_choice, studies_chosen_for
from edge_app.store.ledger import FrameRow, InstanceRow, Ledger
from edge_app.worker.canary import Canary
from edge_app.worker.live_study import LiveStudy
from edge_app.worker.models import Models, vital_signs
from edge_app.worker.outcome import unfinished
from edge_app.worker.publish import publish_frame, publish_saliency, unreadable_frame
from edge_app.worker.reading import Reading, read_instance
from edge_app.worker.recovery import MAX_ATTEMPTS, conflict_counts, group_by_study, has_missed_conflict, is_settled

__all__ = ["Worker"]

BATCH = 8
"""Images whose frames are published in one transaction; each costs some milliseconds."""

BEAT_PERIOD_S = 0.5
KEPT = 4
"""Finished studies whose headers, measures and scores are kept: a late slice then costs no more than itself."""

_P = ParamSpec("_P")

_log = get_logger(__name__)


class Worker:
    """The state of the loop; `step` is called again and again by `edge_app.processes.work`.

    Parameters
    ----------
    models
        None where the bundle cannot be loaded; `problem` says why. Images are still shown, every study ends with E-101.
    """

    def __init__(
        self,
        ledger: Ledger,
        models: Models | None,
        settings: Settings,
        *,
        problem: str = "",
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger = ledger
        self._models = models
        self._settings = settings
        self._problem = problem
        self._clock = clock
        self._boot = boot_id()
        self._open: OrderedDict[str, LiveStudy] = OrderedDict()
        self._arrived: deque[InstanceRow] = deque()
        self._conflicts: dict[str, int] = {}
        self._kept: OrderedDict[str, LiveStudy] = OrderedDict()
        self._last_choice = 0
        self._last_id = 0
        self._version: int | None = None
        self._beat_at_s: float | None = None
        self._busy_at_s = clock()
        self._canary = Canary(ledger, models)

    def recover(self) -> None:
        """Judge what a dead worker left, and take up every study that has images without a result."""
        self._ledger.settle_attempts()
        for rows in group_by_study(self._ledger.instances()).values():
            self._last_id = max(self._last_id, rows[-1].id)
            if not is_settled(self._ledger, rows):
                self._open_study(rows)

    def step(self) -> bool:
        """Do the most urgent thing; False when there is nothing to do before the ledger or the clock moves on."""
        self._beat()
        self._fetch()
        if self._open:
            self._busy_at_s = self._clock()
        if self._arrived:
            self._take_in()
            return True
        if any(self._advance(study) for study in tuple(self._open.values()) if not study.closed) or self._score():
            return True
        return not self._open and self._canary.step()

    @property
    def quiet_s(self) -> float:
        """Return how long no study has been under way; 0 while one is."""
        return 0.0 if self._open else self._clock() - self._busy_at_s

    def stop(self) -> None:
        """End orderly: attempts in progress are no crashes, and the next start takes their studies up again."""
        for study in self._open.values():
            if study.attempt_id is not None:
                self._ledger.end_attempt(study.attempt_id, "stopped")

    # What came ----------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        version = self._ledger.data_version()
        if version == self._version:
            return
        self._version = version
        for row in self._ledger.instances(after_id=self._last_id):
            self._last_id = row.id
            self._on_instance(row)
        for uid, count in conflict_counts(self._ledger).items():
            if uid in self._open or count == self._conflicts.get(uid):
                continue
            self._conflicts[uid] = count
            if has_missed_conflict(self._ledger, uid):
                self._open_study(self._ledger.instances(study_uid=uid))
        for uid, choice in studies_chosen_for(self._ledger, after_entry=self._last_choice).items():
            self._last_choice = max(self._last_choice, choice.entry)
            self._on_choice(uid, choice)

    def _on_instance(self, row: InstanceRow) -> None:
        study = self._open.get(row.study_uid)
        if study is not None:
            study.reopen(revised=False)
            self._arrived.append(row)
            return
        rows = [known for known in self._ledger.instances(study_uid=row.study_uid) if known.id <= row.id]
        if is_settled(self._ledger, rows):
            return
        kept = self._kept.pop(row.study_uid, None)
        if kept is None:
            self._open_study(rows)
            return
        kept.reopen(revised=True)
        self._open[kept.uid] = kept
        self._arrived.extend(known for known in rows if known.id > kept.last_id)
        self._ledger.put_study(kept.uid, StudyStatus.RECEIVING, progress=kept.progress())

    def _on_choice(self, uid: str, choice: SeriesChoice) -> None:
        """Analyse the series the crew chose, as a new revision where there is a result."""
        study = self._open.get(uid)
        rows = [row for row in self._ledger.instances(study_uid=uid) if row.id <= self._last_id]
        if study is not None and study.complete_since_s is None:
            study.choose(choice)
        elif rows and (study is not None or not is_settled(self._ledger, rows)):
            self._open_study(rows)

    def _open_study(self, rows: list[InstanceRow]) -> None:
        """Begin a study, or begin it again: all its images are read (again), and an older result is withdrawn."""
        uid = rows[0].study_uid
        self._kept.pop(uid, None)
        if study := self._open.pop(uid, None):
            self._close(study)
            if study.attempt_id is not None:
                self._ledger.end_attempt(study.attempt_id, "stopped")
        self._arrived = deque(row for row in self._arrived if row.study_uid != uid)
        study = LiveStudy(
            rows[0],
            self._models,
            self._settings,
            boot=self._boot,
            clock=self._clock,
            choice=series_choice(self._ledger, uid),
            revised=self._ledger.latest_result(uid) is not None,
        )
        if self._ledger.count_crashes(uid) >= MAX_ATTEMPTS:
            self._give_up(study, rows[-1].id)
            return
        self._open[uid] = study
        self._arrived.extend(rows)
        self._ledger.put_study(uid, StudyStatus.RECEIVING, progress=study.progress())

    def _take_in(self) -> None:
        """Publish the next images, then measure and prepare them."""
        batch = [self._arrived.popleft() for _ in range(min(BATCH, len(self._arrived)))]
        taken: list[tuple[LiveStudy, InstanceRow, Reading | None]] = []
        frames: list[FrameRow] = []
        for row in batch:
            study = self._open.get(row.study_uid)
            if study is not None:
                self._guard(study, self._read, study, row, taken, frames)
        with self._ledger.transaction():
            for frame in frames:
                self._ledger.put_frame(frame)
        for study, row, reading in taken:
            if not study.closed:
                self._guard(study, study.add, row, reading)
        with self._ledger.transaction():
            for study in {id(study): study for study, _, _ in taken if not study.closed}.values():
                self._ledger.put_study(study.uid, study.status(), patient=study.band(), progress=study.progress())

    def _read(
        self,
        study: LiveStudy,
        row: InstanceRow,
        taken: list[tuple[LiveStudy, InstanceRow, Reading | None]],
        frames: list[FrameRow],
    ) -> None:
        if study.attempt_id is None:
            study.attempt_id = self._ledger.start_attempt(study.uid)
        try:
            reading = read_instance(self._ledger.paths.root / row.path)
        except InputError as error:
            taken.append((study, row, None))
            frames.append(unreadable_frame(row, error))
            return
        taken.append((study, row, reading))
        if row.sop_class_uid == CT_IMAGE_STORAGE:
            frames.append(publish_frame(self._ledger.paths, reading))

    # What becomes of it -------------------------------------------------------------------------------------------

    def _advance(self, study: LiveStudy) -> bool:
        """Do the next thing for a study that is complete; False while it is not."""
        if study.complete_since_s is None:
            if not study.judge(associations(self._ledger, study.uid)).complete:
                return False
            study.complete_since_s = self._clock()
            study.analysis.keep_only(study.shown)
            self._ledger.put_study(study.uid, study.status(), patient=study.band(), progress=study.progress())
        elif self._clock() - study.complete_since_s > self._settings.analysis.timeout_s:
            self._finish(study, self._unfinished(study, "E-102", f"{self._settings.analysis.timeout_s:.0f} s"))
        elif study.must_be_read_again:
            self._open_study([row for row in self._ledger.instances(study_uid=study.uid) if row.id <= self._last_id])
        elif study.analysis.waiting:
            self._guard(study, self._score_next, study)
        else:
            self._guard(study, self._conclude, study)
        return True

    def _score(self) -> bool:
        """Score one slice of the study that came first."""
        for study in tuple(self._open.values()):
            if study.analysis.waiting:
                self._guard(study, self._score_next, study)
                return True
        return False

    def _score_next(self, study: LiveStudy) -> None:
        study.analysis.score_next()
        if study.progress_due or not study.analysis.waiting:
            self._ledger.put_study(study.uid, study.status(), progress=study.progress())

    def _conclude(self, study: LiveStudy) -> None:
        result = study.analysis.conclude(
            conflicts=self._ledger.conflicts(study.uid),
            known=(reason("E-203"),) if study.transfer_stopped else (),
            last_slice_s=study.last_slice_s,
        )
        self._finish(study, replace(result, patient_id=result.patient_id or study.patient_id))

    def _finish(self, study: LiveStudy, result: StudyResult) -> None:
        """Write the result, and before it the maps it names; one that cannot be written costs no answer."""
        result = replace(result, series_entry=study.choice.entry)
        older = self._ledger.latest_result(study.uid)
        try:
            publish_saliency(self._ledger.paths, study.analysis, result.key_slices, older.revision + 1 if older else 1)
        except OSError as error:
            _log.event(312, "no heat maps", level=logging.WARNING, study=short(study.uid), problem=str(error.strerror))
        stored = self._ledger.add_result(result, last_instance_id=study.last_id, attempt_id=study.attempt_id)
        self._close(study)
        self._canary.note(stored)
        if stored.status is not StudyStatus.FAILED:
            self._kept[study.uid] = study
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        codes = [item.code for item in stored.reasons]
        _log.event(310, "result", study=short(study.uid), status=stored.status.value, reasons=codes)

    def _give_up(self, study: LiveStudy, last_id: int) -> None:
        study.last_id = last_id
        _log.event(311, "analysis given up", level=logging.ERROR, study=short(study.uid))
        self._finish(study, self._unfinished(study, "E-104", ""))

    def _unfinished(self, study: LiveStudy, code: str, detail: str) -> StudyResult:
        waited_s = self._clock() - study.last_slice_s
        return unfinished(study.uid, study.patient_id, code, detail, models=self._models, waited_s=waited_s)

    def _close(self, study: LiveStudy) -> None:
        study.closed = True
        if self._open.get(study.uid) is study:
            del self._open[study.uid]

    def _guard(self, study: LiveStudy, work: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Run one piece of work; if it fails, the attempt has failed, and the study begins again or is given up.

        The one blanket catch of this process. A ledger that cannot be written ends the process instead.
        """
        try:
            work(*args, **kwargs)
        except (StoreError, sqlite3.Error):
            raise
        except Exception:  # noqa: BLE001 - foreign pixels and native code fail in ways nobody can list
            _log.exception("analysis failed")
            if study.attempt_id is not None:
                self._ledger.end_attempt(study.attempt_id, "failed")
                study.attempt_id = None
            self._open_study([row for row in self._ledger.instances(study_uid=study.uid) if row.id <= self._last_id])

    def _beat(self) -> None:
        now_s = self._clock()
        if self._beat_at_s is not None and now_s - self._beat_at_s < BEAT_PERIOD_S:
            return
        self._beat_at_s = now_s
        self._ledger.beat(vital_signs(self._models, self._problem, self._canary.last))
