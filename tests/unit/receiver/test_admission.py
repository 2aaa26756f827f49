"""Who is let in (PS3.8 Table 9-21)."""

from __future__ import annotations

from edge_app.receiver.admission import Admission

ADMISSION = Admission("MSU1", max_associations=2, self_check_aet="SELF-1")


def test_any_peer_may_call_us_by_our_name() -> None:
    assert ADMISSION.refuse(calling_aet="ANY", called_aet="MSU1  ", others=1) is None


def test_a_peer_that_calls_somebody_else_is_refused_for_good() -> None:
    refusal = ADMISSION.refuse(calling_aet="ANY", called_aet="OTHER", others=0)
    assert refusal and (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 7)


def test_one_too_many_is_refused_for_now() -> None:
    refusal = ADMISSION.refuse(calling_aet="ANY", called_aet="MSU1", others=2)
    assert refusal and (refusal.result, refusal.source, refusal.diagnostic) == (2, 3, 2)


def test_our_own_check_comes_in_when_all_places_are_taken() -> None:
    assert ADMISSION.refuse(calling_aet="SELF-1", called_aet="MSU1", others=2) is None
