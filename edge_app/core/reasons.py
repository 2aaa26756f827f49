"""Why there is no AI result: stable codes and plain words.

A refusal is a normal outcome, not an error (`Reason.code` starts with ``Q-``). Where the program itself failed, the
reason carries the code of the error (``E-``). The texts are the English ones; the screen translates by code.
"""

from __future__ import annotations

from edge_app.core.types import Reason

__all__ = ["FALLBACK_REMARK", "SCANNER_REMARK", "SERIES_TEXTS", "TEXTS", "reason"]

FALLBACK_REMARK = "runs on the CPU, not on a TensorRT engine"
"""Begins the remark of every result that was made on another backend than intended; the screen shows a band."""

TEXTS: dict[str, str] = {
    "Q-01": "Not a head CT with brain",
    "Q-02": "Slices missing",
    "Q-03": "Bone or sharp kernel",
    "Q-04": "Patient under 18",
    "Q-05": "Two patients in one study",
    "Q-06": "Lossy compressed images",
    "Q-07": "Contrast agent suspected",
    "Q-08": "Not an axial series",
    "Q-09": "Head not covered",
    "Q-10": "Too few slices",
    "Q-11": "Several slices at one position",
    "Q-12": "Pixel spacing or matrix out of range",
    "Q-13": "CT numbers not plausible",
    "Q-14": "No CT series that can be analysed",
    "Q-15": "Images cannot be decoded",
    "Q-16": "Image quality",
    "Q-17": "Same image sent twice with different pixels",
    "Q-18": "Slices too thick",
    "Q-19": "Score between the two thresholds",
    "Q-20": "Images unlike those the model was trained on",
    "Q-21": "Scanner not validated",
    "E-101": "AI model missing or damaged",
    "E-102": "AI timed out",
    "E-104": "Analysis failed twice",
    "E-203": "Transfer stopped before the head was complete",
}
"""Every code that may appear in a result, with its words (at most 60 characters, no detail)."""

SCANNER_REMARK = "scanner and kernel not validated for this model"
"""Remark of every result from a scanner that neither bundle nor site has validated; the screen shows a band (R21)."""

SERIES_TEXTS: dict[str, str] = {
    "only": "only series that can be analysed",
    "nearest": "nearest to the training protocol",
    "crew": "chosen by the crew",
    "none": "no series can be analysed",
    "crew_chose_other": "the crew chose another",
    "sharp_kernel": "sharp kernel",
    "contrast": "contrast agent",
    "not_whole": "does not cover a whole head without gaps",
    "not_head": "does not look like a head",
    "spacing_outside": "slice distance outside 2.5–5 mm",
    "spacing_further": "slice distance further from 5 mm",
    "smaller_coverage": "smaller coverage",
    "fewer_slices": "fewer slices",
    "same": "same as the chosen one",
    "no_position": "slices without position or orientation",
    "modality": "not a CT",
    "not_ct": "not CT Image Storage",
    "localizer": "localizer",
    "reformatted": "reformatted images",
    "derived": "derived images",
    "not_axial": "not axial",
}
"""Why a series was analysed, or not (SCREEN.md R18); the screen translates by key."""


def reason(code: str, detail: str = "") -> Reason:
    """Return the reason for a code, with an optional detail in brackets.

    Raises
    ------
    KeyError
        If the code is not in the table: an unknown code must never reach a screen.
    """
    text = TEXTS[code]
    return Reason(code, f"{text} ({detail})" if detail else text)
