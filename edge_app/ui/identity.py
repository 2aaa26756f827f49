"""Who this is: name or case tag, confirmed or not, hidden or not, and who looks alike today (R58 to R61). No Qt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from edge_app.ui import formats
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import text

__all__ = ["HIDDEN", "case_tag", "display_name", "identifier_words", "is_corrected", "order_lines", "similar_today"]

HIDDEN = "• • •"
"""What the privacy curtain leaves of an identity."""

COLOURS = ("blue", "red", "yellow", "white", "black", "orange", "violet", "silver")
MOST_EDITS = 2
_SHIFT = timedelta(hours=12)


def case_tag(study: StudyView, language: str) -> str:
    """Return the large tag of a patient without a name: colour, number and time, the same whenever it is asked for."""
    digest = hashlib.sha256(study.study_uid.encode("utf-8", "surrogateescape")).digest()
    colour = text(f"colour.{COLOURS[digest[0] % len(COLOURS)]}", language)
    clock = str(study.patient.get("study_time") or "")
    when = f" {clock[:2]}:{clock[2:4]}" if clock[:4].isascii() and clock[:4].isdigit() else ""
    return f"{colour} {10 + digest[1] % 90}{when}"


def display_name(study: StudyView, language: str, limit: int = 40, *, hidden: bool = False) -> str:
    """Return the name to show: the patient's, or the case tag when the scanner sent none."""
    if hidden:
        return HIDDEN
    raw = str(study.patient.get("name") or "")
    name = formats.person_name(raw, limit)
    if name and not raw.upper().startswith("EMERGENCY"):
        return name
    return text("name_unknown", language, tag=case_tag(study, language))


def is_corrected(study: StudyView) -> bool:
    """Return whether somebody on board has said that the images name the wrong patient."""
    return "corrected_identity" in study.crew


def identifier_words(study: StudyView, language: str) -> str:
    """Return the patient's identifier, "" without one; where it was corrected on board, that one and the images'.

    Every report that leaves names both (`edge_app.reports.words`): the crew must not read out the other one alone.
    """
    images, entry = formats.clean(study.patient.get("id"), 20), study.crew.get("corrected_identity")
    if entry is not None:
        identifier = formats.clean(entry.body.get("patient_id"), 20)
        return text("id.corrected", language, id=identifier or "-", images=images or "-")
    return text("id", language, id=images) if images else ""


def order_lines(study: StudyView, language: str) -> tuple[str, ...]:
    """Return the hospital's order for a study, to compare with, and what in it is not as the scanner says (R59)."""
    if study.order is None:
        return ()
    order = study.order.order
    birth = formats.date_text(order.patient_birth_date, language)
    parts = (
        formats.person_name(order.patient_name, 28),
        f"*{birth}" if birth else "",
        text("id", language, id=formats.clean(order.patient_id, 20)) if order.patient_id else "",
        text("accession", language, accession=formats.clean(order.accession_number, 16))
        if order.accession_number
        else "",
    )
    lines = [text("order.line", language, order=" · ".join(part for part in parts if part))]
    if study.order.differs:
        names = ", ".join(text(f"order.{name}", language) for name in study.order.differs if name in _COMPARED)
        lines.append(text("order.not_same", language, names=names))
    return tuple(lines)


_COMPARED = ("patient_id", "patient_name", "patient_birth_date", "accession_number")


def similar_today(study: StudyView | None, studies: Sequence[StudyView]) -> bool:
    """Return whether another patient of the same day, or shift, has nearly the same name or birth date (R60)."""
    if study is None or not study.patient.get("name"):
        return False
    name, born = str(study.patient["name"]).upper(), str(study.patient.get("birth_date") or "")
    for other in studies:
        patient = other.patient
        same_person = (patient.get("id"), patient.get("name")) == (study.patient.get("id"), study.patient.get("name"))
        if other.study_uid == study.study_uid or same_person or not patient.get("name"):
            continue
        if patient.get("study_date") != study.patient.get("study_date") and not _same_shift(study, other):
            continue
        its_born = str(patient.get("birth_date") or "")
        if _edits(name, str(patient["name"]).upper()) <= MOST_EDITS:
            return True
        if born and its_born and _edits(born, its_born) <= MOST_EDITS:
            return True
    return False


def _same_shift(study: StudyView, other: StudyView) -> bool:
    """Return whether the first images of both came within a shift: midnight does not tell patients apart."""
    if not study.first_utc or not other.first_utc:
        return False
    first, second = (datetime.fromisoformat(view.first_utc.replace("Z", "+00:00")) for view in (study, other))
    return abs(first - second) < _SHIFT


def _edits(first: str, second: str) -> int:
    """Return the Levenshtein distance."""
    if abs(len(first) - len(second)) > MOST_EDITS:
        return MOST_EDITS + 1
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (letter != other))
    return row[-1]
