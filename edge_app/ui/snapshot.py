"""One read of the store: everything the screen may say something about, as plain values. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from edge_app.core.clock import boot_id, monotonic_s, utc_now
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store.associations import associations
from edge_app.store.crew import CrewEntry, crew_entries
from edge_app.store.ledger import FrameRow, HeartbeatRow, Ledger
from edge_app.store.notices import NoticeState, latest_notices
from edge_app.store.orders import OrderMatch, match_of
from edge_app.store.overview import (
    NOTHING_QUEUED,
    DeliveryCount,
    acknowledgements,
    delivery_counts,
    last_peer_s,
    usual_delay_s,
)
from edge_app.store.self_tests import self_test_uids
from edge_app.ui.model_facts import ModelFacts, read_model_facts

__all__ = ["ANNOUNCED_S", "CASES_SHOWN", "Snapshot", "SnapshotSource", "StudyView"]

ANNOUNCED_S = 7200.0
"""So long a patient who was announced is waited for; a study that comes later is another's."""

CASES_SHOWN = 20
"""How many cases the list goes back."""

CASE_ENDS_S = 6 * 3600.0
"""So long after its last image a case has ended, whatever the crew did: the screen is ready for the next."""

_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study as the store has it now.

    `status` is None while instances have arrived but the worker has not looked at them yet (it may be dead).
    `last_image_s` and `result_s` are monotonic and None when they stem from another boot.
    """

    study_uid: str
    status: StudyStatus | None = None
    patient: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0
    """CT images acknowledged."""
    last_instance_id: int = 0
    last_image_s: float | None = None
    first_utc: str = ""
    result: StudyResult | None = None
    result_s: float | None = None
    result_instance_id: int = 0
    """Instances up to this id were looked at by the result."""
    crew: Mapping[str, CrewEntry] = field(default_factory=dict)
    """The newest entry of each kind (`edge_app.ui.crew`)."""
    seen: frozenset[str] = frozenset()
    """SOP Instance UIDs of the key slices that were looked at long enough (R34)."""
    delivery: DeliveryCount = NOTHING_QUEUED
    acknowledged: tuple[int, str, str] | None = None
    """(revision, who, when in UTC) of the centre's last acknowledgement that came over the network."""
    order: OrderMatch | None = None
    """The hospital's order that the study belongs to, and how far they agree."""
    notice: NoticeState | None = None
    """How far the crew's last call to the centre is."""
    announced_lkw: CrewEntry | None = None
    """Last known well as it was entered before this, the next study, came: to be confirmed, never taken over."""
    ended: bool = False
    """The crew closed the case and no image came since, or it is so old that nobody can still lie in the vehicle."""
    association: str = ""
    """Outcome of the last association that brought the study: open, released, aborted, lost, or ""."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read. `studies` has the newest first; `frames` those of the study the reader was asked for."""

    started_s: float
    """When this screen started (monotonic)."""
    boot_id: str
    studies: tuple[StudyView, ...] = ()
    frames: tuple[FrameRow, ...] = ()
    frames_of: str | None = None
    heartbeats: Mapping[str, HeartbeatRow] = field(default_factory=dict)
    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    """By manifest hash: what the worker left to be said about the models of the studies."""
    usual_s: float | None = None
    """How long a result usually takes on this device after the last image; None without history."""
    last_peer_s: float | None = None
    """When a peer last opened an association in this boot (monotonic)."""
    announced: CrewEntry | None = None
    """The crew said that a patient is on board, and no study has come since (R43)."""
    announced_lkw: CrewEntry | None = None
    """What it entered about that patient."""
    desk: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen on the screen and outlives it: language, theme, role, curtain, lock."""

    @property
    def current(self) -> StudyView | None:
        """Return the study that started last, unless it has ended."""
        return self.studies[0] if self.studies and not self.studies[0].ended else None

    def find(self, study_uid: str | None) -> StudyView | None:
        """Return a study by UID, or None."""
        return next((study for study in self.studies if study.study_uid == study_uid), None)


@dataclass(slots=True)
class _Arrivals:
    images: int = 0
    first_id: int = 0
    first_utc: str = ""
    last_id: int = 0
    last_image_s: float | None = None
    last_utc: str = ""


class SnapshotSource:
    """Reads snapshots from a ledger; keeps what cannot change, so that a read costs little.

    Instances are read once each, until their study is removed, and results are parsed once per revision.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._boot_id = boot_id()
        self._started_s = monotonic_s()
        self._arrivals: dict[str, _Arrivals] = {}
        self._last_id = 0
        self._results: dict[str, tuple[str, StudyView]] = {}
        self._crew: dict[str, dict[str, CrewEntry]] = {}
        self._seen: dict[str, set[str]] = {}
        self._last_entry = 0
        self._models: dict[str, ModelFacts] = {}
        self._usual: tuple[int, float | None] = (-1, None)

    def read(self, shown_uid: str | None = None) -> Snapshot:
        """Return the store as it is now; frames are those of `shown_uid`, or of the newest study when None."""
        rows = {row.study_uid: row for row in self._ledger.studies()}
        self._take_arrivals()  # after the rows: a study that has a row has its images, too
        self._take_entries()
        notices = latest_notices(self._ledger)
        deliveries, answers = delivery_counts(self._ledger), acknowledgements(self._ledger)
        heartbeats = self._ledger.heartbeats()
        self._forget_removed(rows)
        # By arrival, not by the wall clock: after it was set back, another patient's study would stay the current one.
        order = sorted(
            (rows.keys() | self._arrivals.keys()) - self_test_uids(self._ledger),
            key=lambda uid: (self._first_id(uid), self._first_utc(uid, rows)),
            reverse=True,
        )
        chosen = order[:CASES_SHOWN]
        if shown_uid in order and shown_uid not in chosen:
            chosen.append(shown_uid)
        studies = []
        for position, uid in enumerate(chosen):
            seen = self._arrivals.get(uid, _Arrivals())
            view = StudyView(
                study_uid=uid,
                images=seen.images,
                last_instance_id=seen.last_id,
                last_image_s=seen.last_image_s,
                first_utc=self._first_utc(uid, rows),
                crew=dict(self._crew.get(uid, {})),
                seen=frozenset(self._seen.get(uid, ())),
                delivery=deliveries.get(uid, NOTHING_QUEUED),
                acknowledged=answers.get(uid),
                notice=notices.get(uid),
                order=match_of(self._ledger, uid) if uid in (order[0], shown_uid) else None,
                ended=_is_closed(seen, self._crew.get(uid, {}).get("closed")) or _is_old(seen),
            )
            if uid in rows:
                row = rows[uid]
                view = replace(view, status=row.status, patient=row.patient, progress=row.progress)
                view = self._with_result(view, row.updated_utc)
            if position == 0:
                ends = associations(self._ledger, uid)
                view = replace(view, association=ends[-1].outcome if ends else "")
            studies.append(view)
        announced, lkw = self._announced()
        taker = self._taker(announced, order, rows)
        studies = [replace(view, announced_lkw=lkw) if view.study_uid == taker else view for view in studies]
        frames_of = shown_uid if shown_uid in order else (order[0] if order else None)
        return Snapshot(
            started_s=self._started_s,
            boot_id=self._boot_id,
            studies=tuple(studies),
            frames=tuple(self._ledger.frames(frames_of)) if frames_of else (),
            frames_of=frames_of,
            heartbeats=heartbeats,
            models=self._models_of(studies, heartbeats),
            usual_s=self._usual_s(),
            last_peer_s=last_peer_s(self._ledger),
            announced=announced if taker is None else None,
            announced_lkw=lkw if taker is None else None,
            desk=self._crew[""]["desk"].body if "desk" in self._crew.get("", {}) else {},
        )

    def _announced(self) -> tuple[CrewEntry | None, CrewEntry | None]:
        """Return the newest announcement of a patient, and last known well if it was entered with it."""
        kept = self._crew.get("", {})
        announced, lkw = kept.get("announced"), kept.get("lkw")
        if announced is None or announced.body.get("over"):
            return None, None
        return announced, lkw if lkw is not None and lkw.id > announced.id else None

    def _taker(self, announced: CrewEntry | None, order: list[str], rows: Mapping[str, Any]) -> str | None:
        """Return the first study that came after an announcement and not too late; `order` has the newest first."""
        if announced is None:
            return None
        after = announced.body.get("after_instance")
        later = [
            uid
            for uid in order
            if (self._first_utc(uid, rows) > announced.at_utc if after is None else self._first_id(uid) > after)
        ]
        if not later:
            return None
        waited = _utc(self._first_utc(later[-1], rows)) - _utc(announced.at_utc)
        return later[-1] if waited.total_seconds() < ANNOUNCED_S else None

    def _first_id(self, uid: str) -> int:
        return self._arrivals.get(uid, _Arrivals()).first_id

    def _first_utc(self, uid: str, rows: Mapping[str, Any]) -> str:
        seen = self._arrivals.get(uid)
        return seen.first_utc if seen else str(rows[uid].first_utc)

    def _take_arrivals(self) -> None:
        for row in self._ledger.instances(after_id=self._last_id):
            self._last_id = row.id
            seen = self._arrivals.setdefault(row.study_uid, _Arrivals(first_id=row.id, first_utc=row.received_utc))
            if row.sop_class_uid == _CT_IMAGE_STORAGE:
                seen.images += 1
                seen.last_utc = row.received_utc
                seen.last_id = row.id
                seen.last_image_s = row.received_s if row.boot_id == self._boot_id else None

    def _forget_removed(self, rows: Mapping[str, Any]) -> None:
        """Forget studies that were removed to make room: they would look like new ones that the worker passes over."""
        for uid in self._arrivals.keys() - rows.keys():
            if not self._ledger.instances(study_uid=uid):
                del self._arrivals[uid]

    def _take_entries(self) -> None:
        for entry in crew_entries(self._ledger, after_id=self._last_entry):
            self._last_entry = entry.id
            if entry.kind == "seen":
                self._seen.setdefault(entry.study_uid, set()).add(str(entry.body.get("sop_uid")))
            self._crew.setdefault(entry.study_uid, {})[entry.kind] = entry

    def _models_of(self, studies: list[StudyView], heartbeats: Mapping[str, HeartbeatRow]) -> dict[str, ModelFacts]:
        """Return what is known of the models of results and worker; each is read once, as a bundle never changes."""
        wanted = {study.result.model.sha256 for study in studies if study.result and study.result.model}
        if "work" in heartbeats and (model := heartbeats["work"].detail.get("model")):
            wanted.add(str(model.get("sha256")))
        for sha256 in wanted - self._models.keys():
            if (facts := read_model_facts(self._ledger.paths.model(sha256))) is not None:
                self._models[sha256] = facts
        return dict(self._models)

    def _usual_s(self) -> float | None:
        count = int(self._ledger.read("SELECT COUNT(*) FROM results")[0][0])
        if count != self._usual[0]:
            self._usual = (count, usual_delay_s(self._ledger))
        return self._usual[1]

    def _with_result(self, view: StudyView, updated_utc: str) -> StudyView:
        if view.status not in (StudyStatus.RESULT, StudyStatus.NO_RESULT, StudyStatus.FAILED):
            # A withdrawn result must not be shown, but the screen says that there was one (R10).
            times = self._ledger.result_times(view.study_uid)
            return replace(view, result_instance_id=times[2] if times else 0)
        known = self._results.get(view.study_uid)
        if known is None or known[0] != updated_utc:
            times = self._ledger.result_times(view.study_uid)
            known = (
                updated_utc,
                replace(
                    view,
                    result=self._ledger.latest_result(view.study_uid),
                    # Monotonic times of an earlier boot are larger than now or mean nothing; they cannot be told
                    # from this boot's except through the instances, which carry the boot's id.
                    result_s=times[1] if times and view.last_image_s is not None else None,
                    result_instance_id=times[2] if times else 0,
                ),
            )
            self._results[view.study_uid] = known
        cached = known[1]
        return replace(
            view, result=cached.result, result_s=cached.result_s, result_instance_id=cached.result_instance_id
        )


def _is_closed(seen: _Arrivals, closed: CrewEntry | None) -> bool:
    """Return whether the crew has ended the case; images that came afterwards are of a patient who is still there."""
    return closed is not None and seen.last_id <= int(closed.body.get("last_instance_id", seen.last_id))


def _is_old(seen: _Arrivals) -> bool:
    """Return whether the last image came so long ago that the case has ended; the wall clock counts after a reboot."""
    if seen.last_image_s is not None:
        return monotonic_s() - seen.last_image_s > CASE_ENDS_S
    if not seen.last_utc:
        return False
    return (utc_now() - _utc(seen.last_utc)).total_seconds() > CASE_ENDS_S


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
