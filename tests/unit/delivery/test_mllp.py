from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError
from edge_app.delivery.address import parse_address
from edge_app.delivery.items import Item, item_of_document
from edge_app.delivery.mllp import MllpLink
from edge_app.reports.hl7 import make_oru
from tests.mllp_peer import MllpPeer, mllp_peer
from tests.stored_studies import study_result
from tests.unit.reports.conftest import make_input


@pytest.fixture
def peer() -> Iterator[MllpPeer]:
    with mllp_peer() as running:
        yield running


@pytest.fixture
def item(tmp_path: Path) -> Item:
    path = tmp_path / "oru.hl7"
    path.write_bytes(make_oru(make_input(study_result())))
    return item_of_document(path, "1.2.3")


def link(peer: MllpPeer) -> MllpLink:
    address = parse_address(f"hl7://127.0.0.1:{peer.port}")
    return MllpLink(address, DeliverySettings(connect_timeout_s=60.0, answer_timeout_s=60.0), lambda: True)


def test_one_connection_takes_several_messages_as_they_are(peer: MllpPeer, item: Item) -> None:
    with link(peer) as open_link:
        receipts = [open_link.send(item) for _ in range(3)]
    assert all(receipt.accepted for receipt in receipts)
    assert peer.received == [item.path.read_text(encoding="utf-8").replace("\n", "\r")] * 3


@pytest.mark.parametrize(("code", "error", "accepted"), [
    ("AA", "", True), ("CA", "", True), ("AE", "102", False), ("AR", "203", False),
])  # fmt: skip
def test_an_acknowledgement_is_read(peer: MllpPeer, item: Item, code: str, error: str, accepted: bool) -> None:
    peer.code, peer.error = code, error
    with link(peer) as open_link:
        assert open_link.send(item).accepted is accepted


@pytest.mark.parametrize(("code", "about"), [("AR", ""), ("AA", "ANOTHER"), ("", "")])
def test_who_is_out_of_order_is_tried_again(peer: MllpPeer, item: Item, code: str, about: str) -> None:
    peer.code, peer.about = code, about
    with pytest.raises(NetworkError), link(peer) as open_link:
        open_link.send(item)


def test_a_peer_that_hangs_up_is_a_broken_link(peer: MllpPeer, item: Item) -> None:
    peer.hangs_up = True
    with pytest.raises(NetworkError, match="broke"), link(peer) as open_link:
        open_link.send(item)
