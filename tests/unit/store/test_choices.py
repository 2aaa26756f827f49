"""The crew's newest choice of a series counts, and is in the audit trail."""

from __future__ import annotations

from edge_app.store.choices import SeriesChoice, choose_series, series_choice, studies_chosen_for
from edge_app.store.ledger import Ledger


def test_the_newest_choice_counts_and_none_is_entry_0(ledger: Ledger) -> None:
    assert series_choice(ledger, "1.1") == SeriesChoice(0, "")
    choose_series(ledger, "1.1", "1.1.5", by="nurse")
    choose_series(ledger, "1.2", "1.2.5", by="nurse")
    choose_series(ledger, "1.1", "", by="doctor")
    assert series_choice(ledger, "1.1") == SeriesChoice(3, "")
    assert studies_chosen_for(ledger, after_entry=0) == {"1.1": SeriesChoice(3, ""), "1.2": SeriesChoice(2, "1.2.5")}
    assert studies_chosen_for(ledger, after_entry=2) == {"1.1": SeriesChoice(3, "")}
    assert studies_chosen_for(ledger, after_entry=3) == {}
    rows = ledger.read("SELECT body FROM audit WHERE event = 'crew_series_chosen'")
    assert len(rows) == 3 and "nurse" in rows[0][0]
