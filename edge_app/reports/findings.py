"""The two findings as codes: what they are called, and what is said of each. SR and FHIR say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from edge_app.core.types import StudyResult, Verdict
from edge_app.reports.header import ReportInput

__all__ = ["Finding", "findings"]

# "Present" and "Absent" (CID 240) would say more than this program may (SCREEN.md R02, R03), and DICOM has no code for
# "not detected" or ischaemic stroke. The second and third are therefore SNOMED CT concepts that pydicom's dictionary
# does not hold, checked against what HL7 publishes: 260415000 |Not detected (qualifier value)| is in the value set
# DetNotDetIncVS of its COVID-19 guide, 422504002 |Ischemic stroke (disorder)| in FHIR's example of a stroke.
_SUSPECTED = codes.SCT.Suspected
_NOT_DETECTED = CodedConcept("260415000", "SCT", "Not detected")
_ISCHAEMIC_STROKE = CodedConcept("422504002", "SCT", "Ischaemic stroke")
_HAEMORRHAGE = CodedConcept("1386000", "SCT", "Intracranial haemorrhage")
_INDETERMINATE = codes.SCT.Indeterminate
_NOT_EVALUATED = codes.SCT.NotEvaluated

_BETWEEN_THRESHOLDS = "Q-19"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `code` and `value` are coded concepts; `label` is the class whose probability goes with it."""

    name: str
    code: Any
    label: str
    value: Any


def findings(report: ReportInput) -> tuple[Finding, ...]:
    """Return what is said: haemorrhage always, ischaemic signs where they were assessed."""
    said = [Finding("haemorrhage", _HAEMORRHAGE, "hemorrhage", _haemorrhage_value(report))]
    if report.result.verdict and not _ischaemia_off(report.result):
        said.append(Finding("ischaemic signs", _ISCHAEMIC_STROKE, "ischemic", _ischaemia_value(report)))
    return tuple(said)


def _ischaemia_off(result: StudyResult) -> bool:
    return any("not assessed" in remark for remark in result.quality)


def _haemorrhage_value(report: ReportInput) -> Any:
    verdict = report.result.verdict
    if verdict is None:
        return _NOT_EVALUATED
    if verdict is Verdict.HEMORRHAGE:
        return _SUSPECTED
    if verdict is Verdict.INDETERMINATE:
        return _by_score(report, "hemorrhage")
    return _NOT_DETECTED


def _ischaemia_value(report: ReportInput) -> Any:
    result = report.result
    if result.verdict is Verdict.ISCHEMIC or any("ischaemic signs also" in remark for remark in result.quality):
        return _SUSPECTED
    return _NOT_DETECTED if result.verdict is Verdict.NONE_DETECTED else _by_score(report, "ischemic")


def _by_score(report: ReportInput, label: str) -> Any:
    """Return what a finding's own score says where the headline is not about it (SCREEN.md R22).

    A score means nothing where the images were in doubt. Suspected is only what the headline, or a remark, says too.
    """
    result = report.result
    point = report.facts.operating_points.get(label) if report.facts else None
    doubtful = any(reason.code != _BETWEEN_THRESHOLDS for reason in result.reasons)
    if doubtful or point is None or result.probabilities is None:
        return _INDETERMINATE
    return _NOT_DETECTED if result.probabilities[label] < point[0] else _INDETERMINATE
