"""`msu outcomes`: the hospital's answers in, figures of this vehicle's own performance out."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.types import StudyResult
from edge_app.inference.bundle import Bundle
from edge_app.store.ledger import Ledger
from edge_app.store.outcomes import all_outcomes
from edge_app.store.statements import statements_of
from edge_app.triage.performance import DRIFT_ALERT, Case, performance, score_drift, weekly
from edge_app.triage.site_thresholds import choose_site_thresholds

__all__ = ["local_performance", "site_thresholds"]

_NEWEST = sys.maxsize
"""Entries up to the last one count."""

RECENT = 50
"""So many studies are "now" when the drift of scores is judged; those before them are "before"."""


def local_performance(ledger: Ledger) -> dict[str, Any]:
    """Return plain JSON types: figures of all studies, of each scanner and week, and how far the scores have drifted.

    ``drift.index`` is the population stability index of the last 50 haemorrhage scores against those before, or None
    while there are too few.
    """
    outcomes, cases = all_outcomes(ledger), []
    for result, first_utc in _results(ledger):
        outcome = outcomes.get(result.study_uid)
        said = statements_of(ledger, result.study_uid, revision=result.revision, crew_id=_NEWEST)
        cases.append(
            Case(
                scanner=_scanner(ledger, result.study_uid),
                verdict=result.verdict,
                score=result.probabilities["hemorrhage"] if result.probabilities else None,
                truth=None if outcome is None else outcome.hemorrhage,
                week="{}-W{:02}".format(*date.fromisoformat(first_utc[:10]).isocalendar()[:2]),
                disagreed=any(reading.about == "result" and reading.word == "disagree" for reading in said.readings),
                waited_ms=result.timings_ms.get("last_slice_to_result"),
            )
        )
    scores = [case.score for case in cases if case.score is not None]
    index = score_drift(scores[:-RECENT], scores[-RECENT:])
    return {
        "groups": [asdict(group) for group in performance(cases)],
        "weeks": [asdict(week) for week in weekly(cases)],
        "drift": {"index": index, "alert": index is not None and index > DRIFT_ALERT, "recent": RECENT},
    }


def site_thresholds(ledger: Ledger, bundle: Bundle) -> dict[str, Any]:
    """Return plain JSON types: thresholds from this store's own patients, for `msu bundle make --thresholds`.

    Only results of this very bundle count: another one's scores mean something else.

    Raises
    ------
    InputError
        If there are too few patients with an outcome.
    """
    outcomes, known = all_outcomes(ledger), []
    for result, first_utc in _results(ledger):
        outcome = outcomes.get(result.study_uid)
        if outcome is None or result.model is None or result.probabilities is None:
            continue
        if result.model.sha256 == bundle.sha256:
            known.append((first_utc, result.probabilities["hemorrhage"], outcome.hemorrhage))
    point = bundle.manifest.operating_points["hemorrhage"]
    chosen = choose_site_thresholds(
        [score for _, score, _ in known], [truth for _, _, truth in known], (point.t_lo, point.t_hi)
    )
    days = sorted(at[:10] for at, _, _ in known)
    return {
        "schema_version": 1,
        "base_sha256": bundle.sha256,
        "created_utc": utc_iso(utc_now()),
        "operating_points": {"hemorrhage": {"t_lo": chosen.t_lo, "t_hi": chosen.t_hi}},
        "evidence": {"from": days[0], "to": days[-1], **chosen.evidence},
    }


def _results(ledger: Ledger) -> list[tuple[StudyResult, str]]:
    """Return every patient's latest result and when its study came (or was answered), oldest first.

    Results outlive their images (`edge_app.store.retention`): figures of what happens to be on the disk are none.
    """
    rows = ledger.read(
        "SELECT r.study_uid, COALESCE(s.first_utc, MIN(r.created_utc)) AS at FROM results r "
        "LEFT JOIN studies s ON s.study_uid = r.study_uid "
        "WHERE r.study_uid NOT IN (SELECT study_uid FROM self_tests) GROUP BY r.study_uid ORDER BY at, r.study_uid"
    )
    found = ((ledger.latest_result(study_uid), at) for study_uid, at in rows)
    return [(result, at) for result, at in found if result is not None]


def _scanner(ledger: Ledger, study_uid: str) -> str:
    """Return manufacturer and model of the study's first readable image; they are not in the ledger."""
    for row in ledger.instances(study_uid=study_uid):
        try:
            ds = dcmread(
                ledger.paths.root / row.path,
                stop_before_pixels=True,
                specific_tags=["Manufacturer", "ManufacturerModelName"],
            )
        except (OSError, InvalidDicomError):
            continue
        words = (str(ds.get(key, "") or "").strip() for key in ("Manufacturer", "ManufacturerModelName"))
        return " ".join(word for word in words if word) or "unknown"
    return "unknown"
