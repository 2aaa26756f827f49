"""What the objects may say: the closed vocabulary of SCREEN.md R02, in ASCII, because not every PACS knows more."""

from __future__ import annotations

from edge_app.core.types import StudyResult, StudyStatus, Verdict
from edge_app.reports.header import ReportInput
from edge_app.store.statements import Reading, Statements

__all__ = [
    "AID",
    "HEADLINES",
    "LIMITS",
    "NO_RESULT",
    "SYNTHETIC",
    "aid",
    "headline",
    "identity",
    "lines",
    "minute",
    "percent",
    "readings",
    "who",
]

HEADLINES = {
    Verdict.HEMORRHAGE: "HAEMORRHAGE SUSPECTED",
    Verdict.ISCHEMIC: "ISCHAEMIC SIGNS SUSPECTED",
    Verdict.NONE_DETECTED: "NO HAEMORRHAGE DETECTED",
    Verdict.INDETERMINATE: "INDETERMINATE",
}

NO_RESULT = "NO AI RESULT"
NO_RESULT_YET = "NO AI RESULT YET"

SYNTHETIC = "SYNTHETIC MODEL - trained on simulated images, not for patients"

AID = "AI triage aid, not reviewed. A clinician must read the images."
"""Stands in every object about an answer that no reader has spoken of (R01, R75)."""

LIMITS = {
    Verdict.NONE_DETECTED: "Does not exclude haemorrhage or stroke.",
    Verdict.INDETERMINATE: "Higher risk: read the images now.",
    None: "Read the images now.",
}
"""The second line that a headline never goes without (R03, SCREEN.md F8)."""

UNCONFIRMED = "Patient identity UNCONFIRMED on board."
"""R75: said until somebody has compared it with a second source."""

_AGREES = {"agree": "AGREES", "disagree": "DISAGREES", "unsure": "is UNSURE"}
_SEES = {"seen": "sees BLOOD", "not_seen": "sees NO BLOOD", "unsure": "is UNSURE about blood"}
_CHANGES = {
    "identity": "identity confirmed",
    "corrected_identity": "identity corrected",
    "opinion": "opinion of a reader",
    "impression": "reading on board",
    "second_reading": "second reading",
}


def headline(result: StudyResult) -> str:
    """Return the one thing that is said."""
    if result.status in (StudyStatus.RECEIVING, StudyStatus.ANALYSING):
        return NO_RESULT_YET
    return HEADLINES[result.verdict] if result.verdict else NO_RESULT


def percent(probability: float) -> str:
    """Return a whole percentage, clipped at both ends (R26)."""
    if probability < 0.01:
        return "<1 %"
    return ">99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def lines(report: ReportInput) -> tuple[str, ...]:
    """Return what stands under the headline: limits, what people say, reasons, remarks, marks, and who it is about."""
    result = report.result
    said = [LIMITS[result.verdict]] if result.verdict in LIMITS else []
    said += readings(report.said)
    said += [f"{reason.code} {reason.text}" for reason in result.reasons]
    said += [remark[:1].upper() + remark[1:] for remark in result.quality]
    if result.verdict and report.unvalidated_ischaemia:
        said.append("Ischaemic signs: UNVALIDATED output")
    if report.edition > 1:
        said.append(f"REVISED: {_CHANGES.get(report.why, 'new statements')}, the AI's answer is the same")
    elif result.revision > 1:
        said.append(f"REVISED: replaces revision {result.revision - 1}")
    return (*said, identity(report))


def readings(said: Statements) -> list[str]:
    """Return what readers say, also against the AI (R79)."""
    found = []
    for reading in said.readings:
        does = _AGREES[reading.word] + " with the AI" if reading.about == "result" else _SEES[reading.word]
        found.append(f"Read by {who(reading)}: {does} ({minute(reading.at_utc)})")
    return found


def who(reading: Reading) -> str:
    """Return role and name of a reader."""
    return " ".join(word for word in (_role(reading), reading.name) if word)


def _role(reading: Reading) -> str:
    return reading.by or "reader"


def aid(said: Statements) -> str:
    """Return what stands in every object (R01, R75): only who spoke knowing this answer has reviewed it."""
    roles = list(dict.fromkeys(_role(reading) for reading in said.readings if reading.reviews))
    return AID if not roles else f"AI triage aid, reviewed by {', '.join(roles)}. A clinician must read the images."


def identity(report: ReportInput) -> str:
    """Return what is known of whose images these are."""
    said = report.said
    if said.corrected is not None:
        images = report.result.patient_id or "none"
        return f"Patient identity CORRECTED on board: ID {said.corrected.patient_id}, in the images {images}."
    if said.confirmed_by:
        return f"Patient identity confirmed on board by {said.confirmed_by} ({minute(said.confirmed_utc)})."
    return UNCONFIRMED


def minute(at_utc: str) -> str:
    """Return a moment to the minute, as it is kept."""
    return f"{at_utc[:10]} {at_utc[11:16]} UTC"
