"""What people have said of a study up to an entry: who the patient is, and what they see in the images.

The entries are the screen's (`edge_app.store.crew`); this is what the rest of the program may rely on in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_app.store.crew import CrewEntry, crew_entries, note_crew
from edge_app.store.ledger import Ledger

__all__ = ["CorrectedIdentity", "Reading", "Statements", "add_second_reading", "correct_identity", "statements_of"]

_LONGEST = 64
"""Characters of a text that people typed; longer ones are cut (PS3.5 Section 6.2, LO)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody's own view.

    `about` is "result" (then `word` is agree, disagree or unsure) or "blood" (seen, not_seen or unsure); `name` is ""
    on board, where roles are kept and not names. `reviews` is False for what was said without the AI's answer, which
    is a reading of the images and no review of the answer.
    """

    about: str
    word: str
    by: str
    name: str
    at_utc: str
    reviews: bool = True


@dataclass(frozen=True, slots=True)
class CorrectedIdentity:
    """Who the patient is, where the images say something else. Empty: not known."""

    patient_id: str
    patient_name: str
    patient_birth_date: str
    by: str
    at_utc: str


@dataclass(frozen=True, slots=True)
class Statements:
    """All of it; the newest word of each role counts."""

    confirmed_by: str = ""
    """Role that compared the identity with a second source, or "" for nobody."""
    confirmed_utc: str = ""
    corrected: CorrectedIdentity | None = None
    readings: tuple[Reading, ...] = ()


def statements_of(ledger: Ledger, study_uid: str, *, revision: int, crew_id: int) -> Statements:
    """Return what was said by entry `crew_id`; what was said of another revision's answer does not count."""
    confirmed_by = confirmed_utc = ""
    corrected: CorrectedIdentity | None = None
    readings: dict[tuple[str, str], Reading] = {}
    for entry in crew_entries(ledger, study_uid=study_uid):
        if entry.id > crew_id:
            break
        by = _text(entry.body, "by")
        if entry.kind == "identity":
            confirmed_by, confirmed_utc = by or "crew", entry.at_utc
        elif entry.kind == "corrected_identity":
            corrected = CorrectedIdentity(
                _text(entry.body, "patient_id"),
                _text(entry.body, "patient_name"),
                _text(entry.body, "patient_birth_date"),
                by,
                entry.at_utc,
            )
        reading = _reading(entry, revision)
        if reading is not None:
            readings.pop((reading.about, by), None)
            readings[reading.about, by] = reading
    return Statements(confirmed_by, confirmed_utc, corrected, tuple(readings.values()))


def add_second_reading(
    ledger: Ledger, study_uid: str, word: str, *, revision: int, by: str, name: str, source: str
) -> None:
    """Keep what a second reader sees (``seen``, ``not_seen`` or ``unsure``: blood); the report goes out again (R79).

    Parameters
    ----------
    by, name
        Role and name, as the centre gave them.
    source
        The destination that it came from, or "screen".
    """
    body = {"reading": word, "by": by, "name": name, "revision": revision, "source": source}
    note_crew(ledger, study_uid, "second_reading", body)


def correct_identity(
    ledger: Ledger, study_uid: str, *, patient_id: str, patient_name: str = "", patient_birth_date: str = "", by: str
) -> None:
    """Keep who the patient really is. Images stay as they came; the report goes out again and names both."""
    body = {
        "patient_id": patient_id,
        "patient_name": patient_name,
        "patient_birth_date": patient_birth_date,
        "by": by,
    }
    note_crew(ledger, study_uid, "corrected_identity", body)


_WORDS = {
    "opinion": ("result", "opinion", ("agree", "disagree", "unsure")),
    "impression": ("blood", "impression", ("seen", "not_seen", "unsure")),
    "second_reading": ("blood", "reading", ("seen", "not_seen", "unsure")),
}


def _reading(entry: CrewEntry, revision: int) -> Reading | None:
    about, key, words = _WORDS.get(entry.kind, ("", "", ()))
    word, of = entry.body.get(key), entry.body.get("revision") or 0
    if word not in words:
        return None
    blind = entry.kind == "impression" or (entry.kind == "second_reading" and not of)
    if not blind and of != revision:
        return None
    by, name = _text(entry.body, "by"), _text(entry.body, "name")
    return Reading(about, str(word), by, name, entry.at_utc, reviews=not blind)


def _text(body: Mapping[str, Any], key: str) -> str:
    return str(body.get(key) or "")[:_LONGEST]
