"""The crew's choice of another series of a study: an entry that makes the worker analyse the study again.

The newest entry counts. One with an empty series gives the choice back to the rule (`edge_app.series.selection`). A
result says up to which entry it knows (`StudyResult.series_entry`), so that nothing is done twice, or forgotten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger

__all__ = ["SERIES_CHOSEN", "SeriesChoice", "choose_series", "series_choice", "studies_chosen_for"]

SERIES_CHOSEN = "series_chosen"
"""Kind of the crew's entry; its body has ``series_uid`` and ``by``."""


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """A choice; `entry` is the id of the crew's entry, `series_uid` is empty where the rule shall decide."""

    entry: int
    series_uid: str


def choose_series(ledger: Ledger, study_uid: str, series_uid: str, *, by: str) -> None:
    """Keep the choice of a series, with its audit record; "" for the rule's."""
    note_crew(ledger, study_uid, SERIES_CHOSEN, {"series_uid": series_uid, "by": by})


def series_choice(ledger: Ledger, study_uid: str) -> SeriesChoice:
    """Return the newest choice for a study; entry 0 where there is none."""
    rows = ledger.read(
        "SELECT id, body FROM crew WHERE study_uid = ? AND kind = ? ORDER BY id DESC LIMIT 1", study_uid, SERIES_CHOSEN
    )
    return SeriesChoice(rows[0][0], str(json.loads(rows[0][1])["series_uid"])) if rows else SeriesChoice(0, "")


def studies_chosen_for(ledger: Ledger, *, after_entry: int) -> dict[str, SeriesChoice]:
    """Return the studies with a choice after an entry, each with its newest one."""
    rows = ledger.read("SELECT DISTINCT study_uid FROM crew WHERE kind = ? AND id > ?", SERIES_CHOSEN, after_entry)
    return {uid: series_choice(ledger, uid) for (uid,) in rows}
