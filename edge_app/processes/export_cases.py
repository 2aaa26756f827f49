"""`msu cases export --deid`: images and results without the patients, for those who improve the model."""

from __future__ import annotations

import csv
import secrets
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import HeaderError, StoreError
from edge_app.core.logs import get_logger
from edge_app.core.types import StudyResult
from edge_app.reports.deidentified import deidentified, may_leave
from edge_app.store import outcomes
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import self_test_uids

__all__ = ["export_cases"]

_log = get_logger(__name__)

_COLUMNS = (
    "case", "images", "left_out", "verdict", "hemorrhage", "ischemic", "reasons", "model", "model_sha256", "backend",
    "true_hemorrhage", "true_ischemic",
)  # fmt: skip


def export_cases(ledger: Ledger, out: Path) -> list[dict[str, object]]:
    """Write every analysed study to ``out/<case>/`` and a table ``out/cases.csv``; returns the table.

    Case names are drawn by lot. Which study a case is stands in the audit trail alone, which stays on board.

    Raises
    ------
    StoreError
        If `out` exists and holds something, or cannot be written.
    """
    try:
        if out.exists() and any(out.iterdir()):
            raise StoreError(f"{out} is not empty", remedy="Name a new folder: an export is never mixed with another.")
        own = self_test_uids(ledger)
        rows = [_export(ledger, study.study_uid, out) for study in ledger.studies() if study.study_uid not in own]
        table = [row for row in rows if row is not None]
        out.mkdir(parents=True, exist_ok=True)
        with (out / "cases.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(table)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}", remedy="Name another folder.") from error
    return table


def _export(ledger: Ledger, study_uid: str, out: Path) -> dict[str, object] | None:
    result = ledger.latest_result(study_uid)
    if result is None:
        return None
    case = f"case-{secrets.token_hex(6)}"
    written, left_out = 0, 0
    for instance in ledger.instances(study_uid=study_uid):
        try:
            ds = dcmread(ledger.paths.root / instance.path)
            if not may_leave(ds):
                left_out += 1
                continue
            content = deidentified(ds, case)
        except (HeaderError, InvalidDicomError, *PYDICOM_ERRORS) as error:
            left_out += 1
            _log.event(415, "image not exported", problem=type(error).__name__)
            continue
        (out / case).mkdir(parents=True, exist_ok=True)
        written += 1
        content.save_as(out / case / f"{written:04d}.dcm", enforce_file_format=True)
    ledger.audit("case_exported", {"study_uid": study_uid, "case": case, "images": written, "left_out": left_out})
    return _row(case, written, left_out, result, outcomes.outcome_of(ledger, study_uid))


def _row(
    case: str, written: int, left_out: int, result: StudyResult, outcome: outcomes.Outcome | None
) -> dict[str, object]:
    scores = result.probabilities or {}
    return {
        "case": case,
        "images": written,
        "left_out": left_out,
        "verdict": result.verdict.value if result.verdict else "",
        "hemorrhage": scores.get("hemorrhage", ""),
        "ischemic": scores.get("ischemic", ""),
        # The codes alone: the words may hold what the scanner's operator typed.
        "reasons": " ".join(reason.code for reason in result.reasons),
        "model": f"{result.model.name} {result.model.version}" if result.model else "",
        "model_sha256": result.model.sha256 if result.model else "",
        "backend": result.backend or "",
        "true_hemorrhage": "" if outcome is None else int(outcome.hemorrhage),
        "true_ischemic": "" if outcome is None or outcome.ischemic is None else int(outcome.ischemic),
    }
