"""[R80] A test authority and key pairs for both sides of a TLS connection."""

from __future__ import annotations

import hashlib
import ssl
import stat
from pathlib import Path

import pytest

from edge_app.cli import main
from edge_app.core.config import ReceiverSettings, load_settings
from edge_app.core.errors import ConfigError
from edge_app.receiver import certificates, tls
from edge_app.receiver.certificates import make_certificates


@pytest.fixture(autouse=True)
def small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "KEY_BITS", 2048)


def _settings(folder: Path, name: str, key: str = "") -> ReceiverSettings:
    return ReceiverSettings(
        tls=True,
        tls_certificate=str(folder / f"{name}.pem"),
        tls_key=str(folder / f"{key or name}.key.pem"),
        tls_authority=str(folder / "authority.pem"),
    )


def test_the_pairs_can_be_used_and_the_fingerprints_are_those_of_the_certificates(tmp_path: Path) -> None:
    fingerprints = make_certificates(tmp_path, ["msu", "scanner"], hosts=["10.0.0.5", "box.local"])
    for name, fingerprint in fingerprints.items():
        tls.server_context(_settings(tmp_path, name))
        der = ssl.PEM_cert_to_DER_cert((tmp_path / f"{name}.pem").read_text())
        assert hashlib.sha256(der).hexdigest() == fingerprint
        assert stat.S_IMODE((tmp_path / f"{name}.key.pem").stat().st_mode) == 0o600


def test_a_folder_that_holds_an_authority_is_not_written_over(tmp_path: Path) -> None:
    make_certificates(tmp_path, [])
    with pytest.raises(ConfigError, match="is there already"):
        make_certificates(tmp_path, [])


def test_a_key_of_another_certificate_is_refused_by_name(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["msu", "scanner"])
    with pytest.raises(ConfigError, match=r"scanner\.key\.pem"):
        tls.server_context(_settings(tmp_path, "msu", "scanner"))


def test_a_missing_certificate_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"msu\.pem"):
        tls.server_context(_settings(tmp_path, "msu"))


def test_the_command_prints_what_the_settings_want(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certs", "--out", str(tmp_path), "--name", "scanner"]) == 0
    name, fingerprint = capsys.readouterr().out.split()
    assert ReceiverSettings(peers=(f"CT1@10.0.0.5#{fingerprint}",)) and name == "scanner"


def test_the_vehicles_settings_let_nobody_in_until_a_scanner_is_listed() -> None:
    receiver = load_settings(Path(__file__).parents[3] / "deploy" / "vehicle.toml").receiver
    assert (receiver.access, receiver.peers) == ("listed", ("MSU-SELFTEST@127.0.0.1",)), "only the vehicle itself"
