"""Snapshots made by hand."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from edge_app.core.types import ModelIdentity, Reason, SliceResult, StudyResult, StudyStatus, Verdict
from edge_app.store.crew import CrewEntry
from edge_app.store.ledger import HeartbeatRow
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import Snapshot, StudyView

NOW_S = 1000.0
MOMENT = Moment(NOW_S, datetime(2026, 3, 14, 14, 9, 31, tzinfo=timezone.utc))
BOOT = "boot"


def heart(process: str, at_s: float = NOW_S - 0.5, boot: str = BOOT, **detail: Any) -> HeartbeatRow:
    return HeartbeatRow(process=process, pid=1, boot_id=boot, at_s=at_s, at_utc="", detail=detail)


def alive() -> dict[str, HeartbeatRow]:
    return {
        "receive": heart("receive", aet="MSU1", host="10.0.0.5", port=11112),
        "work": heart("work", version="1.4.2", synthetic=False),
        "deliver": heart("deliver", link="up"),
    }


def result(verdict: Verdict | None = None, *reasons: Reason, **more: Any) -> StudyResult:
    values: dict[str, Any] = {
        "study_uid": "1.2",
        "patient_id": "P",
        "status": StudyStatus.RESULT if verdict else StudyStatus.NO_RESULT,
        "verdict": verdict,
        "probabilities": {"negative": 0.1, "hemorrhage": 0.87, "ischemic": 0.03} if verdict else None,
        "reasons": reasons,
        "series_uid": "1.2.3",
        "slices": tuple(
            SliceResult(f"1.2.3.{i}", 5.0 * i, {"negative": 0.9, "hemorrhage": i / 10, "ischemic": 0.05})
            for i in range(10)
        ),
        "model": ModelIdentity("m", "1.4.2", "0" * 64, synthetic=False),
        "backend": "CPU",
        "timings_ms": {},
        "key_slices": ("1.2.3.9", "1.2.3.7", "1.2.3.5", "1.2.3.3", "1.2.3.1"),
    }
    return StudyResult(**{**values, **more})


def study(status: StudyStatus | None = StudyStatus.RECEIVING, **more: Any) -> StudyView:
    values: dict[str, Any] = {"study_uid": "1.2", "status": status, "images": 21, "last_image_s": NOW_S - 1}
    return StudyView(**{**values, **more})


def finished(verdict: Verdict | None, *reasons: Reason, **more: Any) -> StudyView:
    status = StudyStatus.RESULT if verdict else StudyStatus.NO_RESULT
    return study(status, result=result(verdict, *reasons, **more), last_instance_id=9, result_instance_id=9)


def snapshot(*studies: StudyView, **more: Any) -> Snapshot:
    values: dict[str, Any] = {"started_s": 0.0, "boot_id": BOOT, "studies": studies, "heartbeats": alive()}
    values["last_peer_s"] = NOW_S - 60
    return Snapshot(**{**values, **more})


def entry(kind: str, number: int = 1, at_utc: str = "2026-03-14T14:05:00.000000Z", **body: Any) -> CrewEntry:
    return CrewEntry(number, "1.2", kind, body, at_utc)
