"""Who is let in (PS3.8 Table 9-21)."""

from __future__ import annotations

from edge_app.receiver.admission import Admission, Caller
from edge_app.receiver.peers import PeerList

ADMISSION = Admission("MSU1", self_check_aet="SELF-1")


def test_any_peer_may_call_us_by_our_name() -> None:
    assert ADMISSION.refuse(Caller("ANY", "MSU1  ", "10.0.0.5")) is None


def test_a_peer_that_calls_somebody_else_is_refused_for_good() -> None:
    refusal = ADMISSION.refuse(Caller("ANY", "OTHER", "10.0.0.5"))
    assert refusal and (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 7)


def test_our_own_check_is_told_from_others() -> None:
    own, other = Caller("SELF-1", "MSU1", "10.0.0.5"), Caller("ANY", "MSU1", "10.0.0.5")
    assert ADMISSION.is_own(own) and not ADMISSION.is_own(other)
    assert ADMISSION.refuse(own) is None


def test_a_peer_that_is_not_listed_is_refused_for_good() -> None:
    listed = Admission("MSU1", self_check_aet="SELF-1", peers=PeerList(["CT1@10.0.0.5"]))
    assert listed.refuse(Caller("CT1", "MSU1", "10.0.0.5")) is None
    refusal = listed.refuse(Caller("CT9", "MSU1", "10.0.0.5"))
    assert refusal and (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 3)
    assert listed.refuse(Caller("SELF-1", "MSU1", "127.0.0.1")) is None
