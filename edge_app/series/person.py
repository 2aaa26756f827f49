"""Whose images these are: one adult's, or no AI result (SCREEN.md R19, R60)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from edge_app.core.person_name import plain_group
from edge_app.core.reasons import reason
from edge_app.core.types import Reason, SliceHeader, SliceMeasures
from edge_app.series.head import shows_brain
from edge_app.series.selection import CT_IMAGE_STORAGE

__all__ = ["check_age", "check_patients"]

ADULT_YEARS = 18

SMALL_HEAD_MM2 = 11_000.0
"""Largest section of the inside of the skull: adults have 13 000–20 000; below lie infants and toddlers. An older
child's head has an adult's size, so that only the age tells (R19)."""

_AGE_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def check_patients(headers: Sequence[SliceHeader]) -> Reason | None:
    """Return Q-05 where a study shows two people, or two examinations (R60)."""
    images = [header for header in headers if header.sop_class_uid == CT_IMAGE_STORAGE] or headers
    found = {
        "patient IDs": {header.patient_id.strip() for header in headers},
        "names": _names(headers),
        "birth dates": {header.patient_birth_date for header in headers} - {""},
        "study dates": {header.study_date for header in images} - {""},
    }
    return next((reason("Q-05", f"{len(values)} {what}") for what, values in found.items() if len(values) > 1), None)


def _names(headers: Sequence[SliceHeader]) -> set[str]:
    """Return the different names, without case and padding (PS3.5 Section 6.2.1).

    The alphabetic parts are compared; ideographic ones where nobody has an alphabetic one, phonetic ones at last.
    """
    for group in range(3):
        parts = [[*header.patient_name.split("="), "", ""][group] for header in headers]
        names = set(map(plain_group, parts))
        if names != {""}:
            return names - {""}
    return set()


def check_age(header: SliceHeader, measures: Sequence[SliceMeasures]) -> Reason | None:
    """Return Q-04 for a patient under 18, or of unknown age with a head too small for an adult (R19)."""
    years = _age_years(header)
    if years is not None:
        return reason("Q-04", f"{max(0, int(years))} years") if years < ADULT_YEARS else None
    largest = max((m.inside_area_mm2 for m in measures if shows_brain(m)), default=math.inf)
    return reason("Q-04", f"age unknown, small head: {largest / 100:.0f} cm²") if largest < SMALL_HEAD_MM2 else None


def _age_years(header: SliceHeader) -> float | None:
    """Return the age from the dates, or from PatientAge (PS3.5 Section 6.2, AS); None where neither tells."""
    # StudyDate may be empty (type 2); the images' own date says how old the patient is as well.
    born = _date(header.patient_birth_date)
    studied = _date(header.study_date) or _date(header.acquired_at[:8])
    if born is not None and studied is not None and born <= studied:
        return studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    text = header.patient_age
    if text[:-1].isascii() and text[:-1].isdigit() and text[-1:] in _AGE_YEARS:
        return int(text[:-1]) * _AGE_YEARS[text[-1]]
    return None


def _date(text: str) -> date | None:
    text = text.replace(".", "")  # as ACR-NEMA wrote it, which PS3.5 Section 6.2 still allows to be sent
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 and text.isdigit() else None
    except ValueError:
        return None
