"""What the hospital found in the end, imported when the vehicle is back at its base."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import InputError
from edge_app.store.ledger import Ledger

__all__ = ["Outcome", "all_outcomes", "import_outcomes", "outcome_of"]

_YES, _NO = frozenset({"1", "yes", "true", "ja"}), frozenset({"0", "no", "false", "nein"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The hospital's answer for a study; `ischemic` is None where it did not say."""

    study_uid: str
    hemorrhage: bool
    ischemic: bool | None
    source: str


def import_outcomes(ledger: Ledger, path: Path) -> tuple[int, int]:
    """Read a CSV file with ``study_uid``, ``hemorrhage`` and, optionally, ``ischemic`` and ``source``.

    A study that has an outcome gets the new one. All of the file is taken in, or nothing.

    Returns
    -------
    tuple of int
        How many were taken in, and how many belong to studies that this store does not know.

    Raises
    ------
    InputError
        If the file cannot be read, or a value is neither yes nor no; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(enumerate(csv.DictReader(file), 2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}", remedy="Give a CSV file in UTF-8.") from error
    outcomes = [_outcome(path, number, line) for number, line in lines]
    known = {row[0] for row in ledger.read("SELECT DISTINCT study_uid FROM results")}
    mine = [outcome for outcome in outcomes if outcome.study_uid in known]
    now = utc_iso(utc_now())
    with ledger.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)",
            [
                (o.study_uid, int(o.hemorrhage), None if o.ischemic is None else int(o.ischemic), o.source, now)
                for o in mine
            ],
        )
        ledger.audit("outcomes_imported", {"count": len(mine), "unknown": len(outcomes) - len(mine)})
    return len(mine), len(outcomes) - len(mine)


def outcome_of(ledger: Ledger, study_uid: str) -> Outcome | None:
    """Return a study's outcome, or None."""
    return all_outcomes(ledger).get(study_uid)


def all_outcomes(ledger: Ledger) -> dict[str, Outcome]:
    """Return all outcomes by study."""
    rows = ledger.read("SELECT study_uid, hemorrhage, ischemic, source FROM outcomes")
    return {row[0]: Outcome(row[0], bool(row[1]), None if row[2] is None else bool(row[2]), row[3]) for row in rows}


def _outcome(path: Path, number: int, line: Mapping[str, str | None]) -> Outcome:
    study_uid = (line.get("study_uid") or "").strip()
    if not study_uid:
        raise InputError(
            f"{path}, line {number}: study_uid is missing", remedy="`msu cases --data DIR --json` has them."
        )
    hemorrhage = _answer(path, number, line, "hemorrhage")
    if hemorrhage is None:
        raise InputError(f"{path}, line {number}: hemorrhage is missing", remedy="Write 1 or 0.")
    return Outcome(study_uid, hemorrhage, _answer(path, number, line, "ischemic"), (line.get("source") or "").strip())


def _answer(path: Path, number: int, line: Mapping[str, str | None], key: str) -> bool | None:
    text = (line.get(key) or "").strip().lower()
    if not text:
        return None
    if text not in _YES | _NO:
        raise InputError(f"{path}, line {number}: {key} = {text!r} is neither yes nor no", remedy="Write 1 or 0.")
    return text in _YES
