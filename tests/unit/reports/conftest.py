"""One report of each kind of result."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from edge_app.core.reasons import reason
from edge_app.core.types import SliceImage, StudyResult, Verdict
from edge_app.reports.header import ModelFacts, ReportInput
from tests.stored_studies import ct_slice, ct_uid, study_result

CREATED = datetime(2026, 3, 14, 14, 5, tzinfo=timezone.utc)
FACTS = ModelFacts({"hemorrhage": (0.12, 0.5), "ischemic": (0.3, 0.6)})

RESULTS: dict[str, StudyResult] = {
    "haemorrhage": study_result(),
    "revised": study_result(verdict=Verdict.NONE_DETECTED, revision=2),
    "ischaemic": study_result(verdict=Verdict.ISCHEMIC, synthetic=False),
    "indeterminate": study_result(verdict=Verdict.INDETERMINATE, reasons=(reason("Q-19", "haemorrhage"),)),
    "refused": study_result(verdict=None, reasons=(reason("Q-02", "3"), reason("Q-09"))),
    "failed": study_result(verdict=None, reasons=(reason("E-104"),), slices=0, series_uid=None),
    "not-assessed": study_result(quality=("ischaemic signs: not assessed",)),
}


def _scored(hemorrhage: float, ischemic: float, **changes: object) -> StudyResult:
    own = {"negative": 1 - max(hemorrhage, ischemic), "hemorrhage": hemorrhage, "ischemic": ischemic}
    return study_result(probabilities=own, **changes)  # type: ignore[arg-type]


INDEPENDENT: dict[str, StudyResult] = {
    "both": _scored(0.9, 0.8, quality=("ischaemic signs also suspected",)),
    "one-open": _scored(0.9, 0.45),
    "ischaemia-open": _scored(0.05, 0.45, verdict=Verdict.INDETERMINATE, reasons=(reason("Q-19", "ischaemic signs"),)),
    "doubtful": _scored(0.05, 0.05, verdict=Verdict.INDETERMINATE, reasons=(reason("Q-16", "motion"),)),
}
"""Of a network that answers each finding for itself."""


def make_input(result: StudyResult, **changes: object) -> ReportInput:
    hu = np.full((64, 64), 30, np.int16)
    pictures = {ct_uid(1, n): SliceImage(ct_uid(1, n), hu, (0.5, 0.5)) for n in (2, 4)}
    sources = [ct_slice(1, n) for n in range(1, 7)]
    arguments: dict[str, object] = {"created": CREATED, "facts": FACTS, "pictures": pictures, "sources": sources}
    return ReportInput(result, **{**arguments, **changes})  # type: ignore[arg-type]


@pytest.fixture(params=RESULTS, ids=str)
def report(request: pytest.FixtureRequest) -> ReportInput:
    return make_input(RESULTS[request.param])
