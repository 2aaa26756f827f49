"""All studies of a store as the command line lists them."""

from __future__ import annotations

from typing import Any

from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store.ledger import Ledger
from edge_app.store.proofs import delivery_of
from edge_app.store.self_tests import self_test_uids

__all__ = ["list_cases"]


def list_cases(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the studies, newest first, in the form of `StudyResult.to_json`, with how far their delivery is.

    A study that is still on its way (or on its way again, because a late slice came) has its status and no verdict:
    an old answer is never shown as if it covered images it has not seen.
    """
    known = {study.study_uid: study for study in ledger.studies()}
    patient_ids = {row.study_uid: row.patient_id for row in ledger.instances()}
    own = self_test_uids(ledger)
    order = [uid for uid in (*known, *(uid for uid in patient_ids if uid not in known)) if uid not in own]
    cases = []
    for study_uid in order:
        status = known[study_uid].status if study_uid in known else StudyStatus.RECEIVING
        result = ledger.latest_result(study_uid)
        if result is None or status in (StudyStatus.RECEIVING, StudyStatus.ANALYSING):
            result = StudyResult(
                study_uid=study_uid,
                patient_id=patient_ids.get(study_uid, ""),
                status=status,
                verdict=None,
                probabilities=None,
                reasons=(),
                series_uid=None,
                slices=(),
                model=None,
                backend=None,
                timings_ms={},
            )
        cases.append({**result.to_json(), "delivery": delivery_of(ledger, study_uid)})
    return cases
