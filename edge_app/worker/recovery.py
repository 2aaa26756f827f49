"""What still has to be done for a study, from the ledger alone: after a start, a crash, or images that came late."""

from __future__ import annotations

from collections.abc import Sequence

from edge_app.core.types import StudyStatus
from edge_app.series.selection import CT_IMAGE_STORAGE
from edge_app.store.choices import series_choice
from edge_app.store.ledger import InstanceRow, Ledger

__all__ = ["MAX_ATTEMPTS", "conflict_counts", "group_by_study", "has_missed_conflict", "is_settled"]

MAX_ATTEMPTS = 2
"""Attempts that may crash or fail before a study is given up (until new images come)."""


def group_by_study(rows: Sequence[InstanceRow]) -> dict[str, list[InstanceRow]]:
    """Return instances by study, both in order of arrival."""
    studies: dict[str, list[InstanceRow]] = {}
    for row in rows:
        studies.setdefault(row.study_uid, []).append(row)
    return studies


def is_settled(ledger: Ledger, rows: Sequence[InstanceRow]) -> bool:
    """Say whether the newest result of a study covers all of its images, and the crew's choice of a series.

    A dose report or a screenshot that comes after the result changes nothing that was looked at.
    """
    times = ledger.result_times(rows[0].study_uid)
    if times is None or any(row.id > times[2] and row.sop_class_uid == CT_IMAGE_STORAGE for row in rows):
        return False
    result = ledger.latest_result(rows[0].study_uid)
    if result is None or result.series_entry < series_choice(ledger, rows[0].study_uid).entry:
        return False
    return not has_missed_conflict(ledger, rows[0].study_uid)


def conflict_counts(ledger: Ledger) -> dict[str, int]:
    """Return the studies in which images came again with other pixels, and how many did."""
    return dict(ledger.read("SELECT study_uid, COUNT(*) FROM conflicts GROUP BY study_uid"))


def has_missed_conflict(ledger: Ledger, study_uid: str) -> bool:
    """Say whether an image came again with other pixels and the newest result does not know it.

    One that the program did not get through (failed, timed out) says nothing that other pixels could make wrong.
    """
    if not ledger.conflicts(study_uid):
        return False
    result = ledger.latest_result(study_uid)
    return (
        result is not None
        and result.status is not StudyStatus.FAILED
        and not any(item.code in ("Q-17", "E-102") for item in result.reasons)
    )
