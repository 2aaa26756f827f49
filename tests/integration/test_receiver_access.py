"""[R80] Who is let in: AE title, address and certificate, with dcmtk as the scanner and openssl as the intruder."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from edge_app.core.config import ReceiverSettings
from edge_app.receiver import tls
from edge_app.receiver.certificates import make_certificates
from tests.instances import write_files
from tests.integration.conftest import dcmtk
from tests.integration.receiving import Running, associating, receiving
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Certificates of one authority, and the same names from another one in `foreign`."""
    folder = tmp_path_factory.mktemp("tls")
    fingerprints = make_certificates(folder / "ours", ["msu", "scanner", "other"])
    make_certificates(folder / "foreign", ["scanner"])
    return {**fingerprints, "folder": str(folder)}


def _tls(authority: dict[str, str], **more: object) -> dict[str, object]:
    folder = f"{authority['folder']}/ours"
    return {
        "tls": True,
        "tls_port": 0,
        "tls_certificate": f"{folder}/msu.pem",
        "tls_key": f"{folder}/msu.key.pem",
        "tls_authority": f"{folder}/authority.pem",
        **more,
    }


def _storescu(
    running: Running, authority: dict[str, str], files: Path, *options: str, who: str = "ours/scanner"
) -> subprocess.CompletedProcess[str]:
    folder = authority["folder"]
    certificates = ["+tls", f"{folder}/{who}.key.pem", f"{folder}/{who}.pem", "+cf", f"{folder}/ours/authority.pem"]
    target = ["-aec", "MSU1", "127.0.0.1", str(running.receiver.tls_port)]
    command = [dcmtk("storescu"), "+sd", *certificates, *options, *target, str(files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _refused(running: Running) -> list[str]:
    rows = running.ledger.read("SELECT body FROM audit WHERE event = 'refused' ORDER BY seq")
    return [json.loads(row[0])["why"] for row in rows]


def _wait_for_refusal(running: Running, why: str) -> None:
    wait_until(lambda: any(why in reason for reason in _refused(running)), why)


@pytest.mark.requirement("R80")
@pytest.mark.parametrize("profile", ["--profile-bcp195", "--profile-bcp195-nd", "--profile-bcp195-ex"])
def test_dcmtk_pushes_over_tls_by_each_bcp_195_profile(tmp_path: Path, authority: dict[str, str], profile: str) -> None:
    write_files(tmp_path / "study", 3)
    peers = (f"STORESCU@127.0.0.1#{authority['scanner']}",)
    with receiving(tmp_path / "store", **_tls(authority, access="listed", peers=peers)) as running:
        pushed = _storescu(running, authority, tmp_path / "study", profile)
        assert pushed.returncode == 0, pushed.stderr
        assert len(running.ledger.instances()) == 3
        running.receiver.check_self()
        assert _refused(running) == []


@pytest.mark.requirement("R80")
@pytest.mark.parametrize(
    ("who", "why"),
    [("ours/other", "certificate is not the one of this peer"), ("foreign/scanner", "certificate not accepted")],
)
def test_another_certificate_than_the_peers_own_is_refused(
    tmp_path: Path, authority: dict[str, str], who: str, why: str
) -> None:
    write_files(tmp_path / "study", 1)
    peers = (f"STORESCU@127.0.0.1#{authority['scanner']}",)
    with receiving(tmp_path / "store", **_tls(authority, access="listed", peers=peers)) as running:
        assert _storescu(running, authority, tmp_path / "study", who=who).returncode != 0
        _wait_for_refusal(running, why)
        assert running.ledger.instances() == []


@pytest.mark.requirement("R80")
def test_a_peer_without_certificate_is_refused(tmp_path: Path, authority: dict[str, str]) -> None:
    write_files(tmp_path / "study", 1)
    with receiving(tmp_path / "store", **_tls(authority)) as running:
        target = ["-aec", "MSU1", "127.0.0.1", str(running.receiver.tls_port), str(tmp_path / "study")]
        command = [dcmtk("storescu"), "+sd", "+tla", "-ic", *target]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0
        _wait_for_refusal(running, "peer did not return a certificate")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_tls_before_1_2_is_not_spoken(tmp_path: Path, authority: dict[str, str], version: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = f"{authority['folder']}/ours"
    with receiving(tmp_path, **_tls(authority)) as running:
        options = ["-cert", f"{folder}/scanner.pem", "-key", f"{folder}/scanner.key.pem", "-cipher", "ALL:@SECLEVEL=0"]
        command = ["openssl", "s_client", version, *options, "-connect", f"127.0.0.1:{running.receiver.tls_port}"]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        _wait_for_refusal(running, "TLS handshake failed")


def test_without_plain_port_there_is_only_tls_and_the_self_check_passes(
    tmp_path: Path, authority: dict[str, str]
) -> None:
    with receiving(tmp_path, **_tls(authority, plain=False)) as running:
        running.receiver.check_self()
        assert running.port == 0


def test_a_peer_that_never_shakes_hands_holds_up_nobody(tmp_path: Path, authority: dict[str, str]) -> None:
    write_files(tmp_path / "study", 1)
    with receiving(tmp_path / "store", **_tls(authority, request_timeout_s=2.0)) as running:
        port = running.receiver.tls_port
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            assert _storescu(running, authority, tmp_path / "study").returncode == 0
            _wait_for_refusal(running, "it took too long")


def test_bytes_that_are_no_tls_on_the_tls_port_are_noted(tmp_path: Path, authority: dict[str, str]) -> None:
    with receiving(tmp_path, **_tls(authority)) as running:
        with socket.create_connection(("127.0.0.1", running.receiver.tls_port)) as connection:
            connection.sendall(b"\x01\x00\x00\x00\x00\x44" + bytes(68))
            _wait_for_refusal(running, "TLS handshake failed")
        running.receiver.check_self()


def test_the_suites_are_those_of_the_profile(authority: dict[str, str]) -> None:
    context = tls.server_context(ReceiverSettings(**_tls(authority)))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    older = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert older == list(tls.TLS_1_2_SUITES)


class TestPlainPort:
    def test_a_listed_scanner_pushes_and_any_other_is_refused(self, tmp_path: Path) -> None:
        with receiving(tmp_path, access="listed", peers=("CT1@127.0.0.1",)) as running:
            with associating(running.port, calling_aet="CT1") as association:
                assert association.is_established
            with associating(running.port, calling_aet="CT2") as association:
                assert association.is_rejected
                assert association.acceptor.primitive.diagnostic == 0x03
            running.receiver.check_self()
            assert _refused(running) == ["calling AE title is not in receiver.peers"]

    def test_a_peer_with_a_certificate_cannot_be_played_on_the_plain_port(self, tmp_path: Path) -> None:
        peers = (f"CT1@127.0.0.1#{'ab' * 32}",)
        with (
            receiving(tmp_path, access="listed", peers=peers) as running,
            associating(running.port, calling_aet="CT1") as association,
        ):
            assert association.is_rejected
            assert _refused(running) == ["this peer may only come over TLS, with its certificate"]

    def test_an_address_that_is_not_listed_is_hung_up_on(self, tmp_path: Path) -> None:
        with receiving(tmp_path, access="listed", peers=("CT1@10.0.0.5",), host="127.0.0.2") as running:
            with socket.create_connection(
                ("127.0.0.2", running.port), source_address=("127.0.0.3", 0), timeout=30
            ) as connection:
                assert connection.recv(1) == b""
            running.receiver.check_self()
            assert _refused(running) == ["connection from an address that is not in receiver.peers"]
