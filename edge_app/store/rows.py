"""The rows that `edge_app.store.ledger.Ledger` hands out, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_app.core.types import StudyStatus

__all__ = ["AssociationRow", "FrameRow", "HeartbeatRow", "InstanceRow", "StudyRow"]


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One acknowledged instance. `received_s` is monotonic and only comparable within the same `boot_id`."""

    id: int
    sop_uid: str
    sop_class_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    transfer_syntax_uid: str
    path: str
    sha256: str
    size: int
    association_id: str
    received_utc: str
    received_s: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class AssociationRow:
    """One association; `outcome` is open, released, aborted or lost."""

    id: str
    calling_aet: str
    called_aet: str
    peer: str
    opened_utc: str
    opened_s: float
    closed_utc: str | None
    closed_s: float | None
    outcome: str
    boot_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A slice the worker decoded for the screen; `path` is None (and `problem` says why) when it could not."""

    sop_uid: str
    study_uid: str
    series_uid: str
    position_mm: float | None
    row_spacing_mm: float | None
    column_spacing_mm: float | None
    rows: int | None
    columns: int | None
    path: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as the worker sees it. `patient` and `progress` are the JSON objects the screen shows."""

    study_uid: str
    status: StudyStatus
    patient: dict[str, Any]
    progress: dict[str, Any]
    first_s: float
    first_utc: str
    updated_utc: str


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """The last sign of life of a process."""

    process: str
    pid: int
    boot_id: str
    at_s: float
    at_utc: str
    detail: dict[str, Any]
