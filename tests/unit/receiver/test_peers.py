"""[R80] Who may push: AE title, address and certificate together."""

from __future__ import annotations

import pytest

from edge_app.receiver.peers import PeerList

CERTIFICATE = "ab" * 32
PEERS = PeerList(["CT 1@192.168.10.5", f"CT2@10.0.0.0/24#{CERTIFICATE}", "*@fd00::/64"])


@pytest.mark.parametrize(
    ("aet", "address", "certificate"),
    [
        ("CT 1", "192.168.10.5", ""),
        ("CT 1 ", "::ffff:192.168.10.5", ""),
        ("CT2", "10.0.0.77", CERTIFICATE),
        ("ANYBODY", "fd00::9", ""),
    ],
)
def test_a_listed_peer_is_let_in(aet: str, address: str, certificate: str) -> None:
    assert PEERS.knows_address(address)
    assert PEERS.problem_with(aet, address, certificate) == ""


@pytest.mark.parametrize(
    ("aet", "address", "certificate", "why"),
    [
        ("CT3", "192.168.10.5", "", "not allowed from this address"),
        ("CT 1", "192.168.10.6", "", "not allowed from this address"),
        ("CT2", "192.168.10.5", CERTIFICATE, "not allowed from this address"),
        ("CT2", "10.0.0.77", "cd" * 32, "certificate is not the one"),
        ("CT2", "10.0.0.77", "", "only come over TLS"),
        ("CT 1", "192.168.10.5", CERTIFICATE, "certificate is not the one"),
        ("CT 1", "not an address", "", "not allowed from this address"),
    ],
)
def test_who_differs_in_anything_is_refused_with_the_reason(aet: str, address: str, certificate: str, why: str) -> None:
    assert why in PEERS.problem_with(aet, address, certificate)


def test_an_empty_list_lets_nobody_in() -> None:
    assert not PeerList([]).knows_address("127.0.0.1")
    assert PeerList([]).problem_with("CT1", "127.0.0.1", "")


def test_an_unknown_name_is_refused_as_such() -> None:
    assert "calling AE title is not in" in PeerList(["CT1@10.0.0.5"]).problem_with("CT9", "10.0.0.5", "")
