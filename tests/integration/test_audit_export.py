"""The audit trail at a syslog server: every record, in order, also over a break."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge_app.receiver.certificates import make_certificates
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.delivering import deliver
from tests.peers import free_port
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@contextmanager
def syslog(certificates: Path, port: int, taken: list[bytes]) -> Iterator[None]:
    """Take what comes over TLS until told to stop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "repository.pem", certificates / "repository.key.pem")
    context.load_verify_locations(certificates / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(0.05)

    def run() -> None:
        while not stop.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            with plain, context.wrap_socket(plain, server_side=True) as secure:
                while chunk := secure.recv(65536):
                    taken.append(chunk)
                secure.unwrap().close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        listener.close()


def messages(taken: list[bytes]) -> list[bytes]:
    """Return the frames that came whole (RFC 5425 Section 4.3); the last one may still be on its way."""
    content, found = b"".join(taken), []
    while b" " in content:
        length, _, content = content.partition(b" ")
        if len(content) < int(length):
            break
        found.append(content[: int(length)])
        content = content[int(length) :]
    return found


@pytest.mark.requirement("R82")
def test_every_record_reaches_the_server_once_and_in_order(tmp_path: Path) -> None:
    certificates, port = tmp_path / "certificates", free_port()
    make_certificates(certificates, ["msu", "repository"])
    options = {
        "audit_server": f"127.0.0.1:{port}",
        "tls_authority": str(certificates / "authority.pem"),
        "tls_certificate": str(certificates / "msu.pem"),
        "tls_key": str(certificates / "msu.key.pem"),
    }
    taken: list[bytes] = []
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger)
        ledger.add_result(study_result(), last_instance_id=6)
        with deliver(ledger, "", **options):
            with syslog(certificates, port, taken):
                wait_until(lambda: messages(taken), "the first records are there")
            for number in range(300):
                ledger.audit("screen_shown", {"study_uid": ct_uid(1), "number": number})
            with syslog(certificates, port, taken):
                wait_until(lambda: _seen(taken) >= {301}, "the last record is there")
    frames = messages(taken)
    assert all(frame.startswith(b"<85>1 2") and b" msu-triage " in frame for frame in frames)
    records = [ElementTree.fromstring(frame.partition(b"\xef\xbb\xbf")[2]) for frame in frames]
    assert [_number(record) for record in records] == list(range(1, 302))
    first = records[0]
    assert first.find("EventIdentification/EventID").get("csd-code") == "110103"  # type: ignore[union-attr]
    assert ct_uid(1) in frames[0].decode()
    assert b"PAT-1" not in b"".join(frames)


def _number(record: ElementTree.Element) -> int:
    return int(record.findall("ParticipantObjectIdentification")[-1].get("ParticipantObjectID", ""))


def _seen(taken: list[bytes]) -> set[int]:
    return {_number(ElementTree.fromstring(frame.partition(b"\xef\xbb\xbf")[2])) for frame in messages(list(taken))}
