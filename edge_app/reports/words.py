"""What the objects may say: the closed vocabulary of SCREEN.md R02, in ASCII, because not every PACS knows more."""

from __future__ import annotations

from edge_app.core.types import StudyResult, Verdict

__all__ = ["AID", "HEADLINES", "LIMITS", "NO_RESULT", "SYNTHETIC", "headline", "lines", "percent"]

HEADLINES = {
    Verdict.HEMORRHAGE: "HAEMORRHAGE SUSPECTED",
    Verdict.ISCHEMIC: "ISCHAEMIC SIGNS SUSPECTED",
    Verdict.NONE_DETECTED: "NO HAEMORRHAGE DETECTED",
    Verdict.INDETERMINATE: "INDETERMINATE",
}

NO_RESULT = "NO AI RESULT"

SYNTHETIC = "SYNTHETIC MODEL - trained on simulated images, not for patients"

AID = "AI triage aid, not reviewed. A clinician must read the images."
"""Stands in every object (R01, R75)."""

LIMITS = {
    Verdict.NONE_DETECTED: "Does not exclude haemorrhage or stroke.",
    Verdict.INDETERMINATE: "Higher risk: read the images now.",
    None: "Read the images now.",
}
"""The second line that a headline never goes without (R03, SCREEN.md F8)."""

IDENTITY = "Patient identity UNCONFIRMED on board."
"""R75. Confirming it is a function of the screen that does not exist yet, so it is true of every result."""


def headline(result: StudyResult) -> str:
    """Return the one thing that is said."""
    return HEADLINES[result.verdict] if result.verdict else NO_RESULT


def percent(probability: float) -> str:
    """Return a whole percentage, clipped at both ends (R26)."""
    if probability < 0.01:
        return "<1 %"
    return ">99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def lines(result: StudyResult, *, unvalidated_ischaemia: bool) -> tuple[str, ...]:
    """Return what stands under the headline: limits, reasons, remarks, marks."""
    said = [LIMITS[result.verdict]] if result.verdict in LIMITS else []
    said += [f"{reason.code} {reason.text}" for reason in result.reasons]
    said += [remark[:1].upper() + remark[1:] for remark in result.quality]
    if result.verdict and unvalidated_ischaemia:
        said.append("Ischaemic signs: UNVALIDATED output")
    if result.revision > 1:
        said.append(f"REVISED: replaces revision {result.revision - 1}")
    return (*said, IDENTITY)
