"""Orders find their studies by what is unique, and say what does not agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from edge_app.store import orders
from edge_app.store.ledger import Ledger
from edge_app.store.orders import Order, StudyIdentity, find_order, match_of, put_match, put_orders

ORDER = Order("s1", "A-1", "P-1", "Müster^Erika", "19510402", "F", "1.2.840.1", "Head", "202603141400")
STUDY = StudyIdentity("1.2.840.1", "A-1", "P-1", "MÜSTER ERIKA", "19510402")


@pytest.mark.parametrize(
    ("study", "how"),
    [
        (STUDY, "study"),
        (replace(STUDY, study_uid="1.9"), "accession"),
        (replace(STUDY, study_uid="1.9", accession_number=""), "patient"),
    ],
)
def test_a_study_finds_its_order(ledger: Ledger, study: StudyIdentity, how: str) -> None:
    put_orders(ledger, [ORDER, replace(ORDER, step_id="s2", accession_number="A-2", patient_id="P-2", study_uid="1.3")])
    match = find_order(ledger, study)
    assert match and (match.order, match.how, match.differs) == (ORDER, how, ())


def test_what_does_not_agree_is_named(ledger: Ledger) -> None:
    put_orders(ledger, [ORDER])
    match = find_order(ledger, replace(STUDY, patient_name="Other^Person", patient_birth_date="19990101"))
    assert match and match.differs == ("patient_name", "patient_birth_date")


@pytest.mark.parametrize(
    ("ordered", "scanned", "differs"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "YAMADA^TAROU", False),
        ("=山田^太郎", "Yamada^Tarou=山田^太郎", False),
        ("=山田^太郎", "Yamada^Tarou=山本^太郎", True),
        ("Yamada^Tarou=山田^太郎", "Yamamoto^Tarou=山田^太郎", True),
        ("Yamada^Tarou", "=山田^太郎", False),
    ],
)
def test_names_are_compared_in_the_script_that_both_are_written_in(
    ledger: Ledger, ordered: str, scanned: str, differs: bool
) -> None:
    put_orders(ledger, [replace(ORDER, patient_name=ordered)])
    match = find_order(ledger, replace(STUDY, patient_name=scanned))
    assert match and match.differs == (("patient_name",) if differs else ())


def test_a_patient_with_two_orders_is_not_guessed_at(ledger: Ledger) -> None:
    put_orders(ledger, [ORDER, replace(ORDER, step_id="s2", accession_number="A-2", study_uid="1.3")])
    assert find_order(ledger, replace(STUDY, study_uid="1.9", accession_number="")) is None


def test_an_identifier_finds_no_order_of_another_day(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 14, 14, 0, tzinfo=timezone.utc)
    monkeypatch.setattr(orders, "utc_now", lambda: now - timedelta(days=1))
    put_orders(ledger, [ORDER])
    monkeypatch.setattr(orders, "utc_now", lambda: now)
    again = replace(STUDY, study_uid="1.9", accession_number="")
    assert find_order(ledger, again) is None
    assert find_order(ledger, replace(again, accession_number="A-1")) is not None
    today = replace(ORDER, step_id="s2", accession_number="A-2", study_uid="1.3")
    put_orders(ledger, [today])
    match = find_order(ledger, again)
    assert match and (match.order, match.how) == (today, "patient")


def test_a_study_that_says_nothing_has_no_order(ledger: Ledger) -> None:
    put_orders(ledger, [replace(ORDER, accession_number="", patient_id="", study_uid="")])
    assert find_order(ledger, StudyIdentity("1.9", "", "", "", "")) is None


def test_a_match_is_kept_for_the_screen(ledger: Ledger) -> None:
    put_orders(ledger, [ORDER])
    match = find_order(ledger, STUDY)
    assert match and match_of(ledger, STUDY.study_uid) is None
    put_match(ledger, STUDY.study_uid, match)
    assert match_of(ledger, STUDY.study_uid) == match
