from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import ConfigError, NetworkError, SendError
from edge_app.delivery.address import parse_address
from edge_app.delivery.items import Item, item_of_document
from edge_app.delivery.web import WebLink, _stow_status
from tests.web_centre import WebCentre, web_centre

ITEM = Item("1.2.3", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", Path(), "")


def answer(*, stored: str = "", failed: tuple[str, int] | None = None) -> bytes:
    body = {}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [stored]}}]}
    if failed:
        uid, reason = failed
        entry = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
        body["00081198"] = {"vr": "SQ", "Value": [entry]}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, answer(stored="1.2.3"), 0x0000),
        (202, answer(stored="1.2.3", failed=("1.2.4", 0xA700)), 0x0000),
        (202, answer(failed=("1.2.3", 0xA700)), 0xA700),
        (409, answer(failed=("1.2.3", 0x0122)), 0x0122),
        (409, answer(failed=("1.2.4", 0x0122)), 0xC000),
        (200, b'{"00081199": {"vr": "SQ"}}', 0xC000),
        (200, b"<xml/>", 0x0000),
        (409, b"<xml/>", 0xC000),
        (200, b"[]", 0x0000),
        (400, b"", 0xC000),
        (507, b"", 0xA700),
    ],
)
def test_a_stow_answer_is_read_as_a_status(status: int, content: bytes, expected: int) -> None:
    assert _stow_status(status, content, ITEM) == expected


def test_a_server_that_takes_no_such_object_refuses_it_and_one_that_is_down_refuses_nothing() -> None:
    with pytest.raises(SendError):
        _stow_status(415, b"", ITEM)
    for status in (401, 403, 429, 500, 503):
        with pytest.raises(NetworkError):
            _stow_status(status, b"", ITEM)


@pytest.fixture
def centre() -> Iterator[WebCentre]:
    with web_centre() as running:
        yield running


def always() -> bool:
    return True


def link(centre: WebCentre, **settings: object) -> WebLink:
    address = parse_address(f"notify+http://127.0.0.1:{centre.port}/results")
    return WebLink(address, DeliverySettings(connect_timeout_s=60.0, **settings), always)  # type: ignore[arg-type]


def test_one_connection_serves_several_requests(centre: WebCentre, tmp_path: Path) -> None:
    path = tmp_path / "message.json"
    path.write_text('{"id": "1.2.3"}')
    with link(centre) as open_link:
        receipts = [open_link.send(item_of_document(path, "1.2.3")) for _ in range(3)]
        assert open_link.get_json("/1.2.3/acknowledgement") is None
        centre.acknowledge({"id": "1.2.3"}, by="somebody")
        assert open_link.get_json("/1.2.3/acknowledgement") == {"by": "somebody"}
    assert all(receipt.accepted for receipt in receipts)
    assert {header["Idempotency-Key"] for header in centre.headers} == {"1.2.3"}


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (409, True), (400, False)])
def test_a_notification_s_answer_is_read(centre: WebCentre, tmp_path: Path, status: int, accepted: bool) -> None:
    path = tmp_path / "message.json"
    path.write_text("{}")
    centre.status = status
    with link(centre) as open_link:
        assert open_link.send(item_of_document(path, "1.2.3")).accepted is accepted


def test_user_and_password_come_from_a_file_and_go_to_their_host_alone(centre: WebCentre, tmp_path: Path) -> None:
    (tmp_path / "message.json").write_text("{}")
    for host, told in (("127.0.0.1", True), ("elsewhere", False)):
        (tmp_path / "netrc").write_text(f"machine {host} login me password secret\n")
        (tmp_path / "netrc").chmod(0o600)
        centre.headers.clear()
        with link(centre, credentials=str(tmp_path / "netrc")) as open_link:
            open_link.send(item_of_document(tmp_path / "message.json", "1"))
        assert ("Authorization" in centre.headers[0]) is told


def test_a_credentials_file_that_is_missing_is_named(centre: WebCentre, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="credentials"):
        link(centre, credentials=str(tmp_path / "none"))


def test_a_server_that_is_not_there_is_a_broken_link() -> None:
    from tests.peers import free_port

    address = parse_address(f"stow+http://127.0.0.1:{free_port()}")
    with pytest.raises(NetworkError), WebLink(address, DeliverySettings(), always):
        pass
