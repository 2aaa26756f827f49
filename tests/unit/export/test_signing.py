"""Keys and signatures, as made in the workshop."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_app.core.errors import BundleError, ConfigError
from edge_app.inference.bundle import load_bundle
from edge_app.inference.manifest import IMAGE_FILE
from edge_app.inference.signature import TrustedKeys
from export import signing
from export.signing import make_key, read_private_key, sign_bundle
from tests.bundles import write_tiny_bundle


def test_a_bundle_signed_with_a_made_key_loads_where_its_public_half_is_trusted(tmp_path: Path) -> None:
    made = make_key(tmp_path / "keys", "release")
    private, public = tmp_path / "keys" / "release.key.pem", tmp_path / "keys" / "release.pub.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    folder = write_tiny_bundle(tmp_path / "bundle", key=None)
    assert sign_bundle(folder, read_private_key(private)).key_id == made
    signer = load_bundle(folder, TrustedKeys.read([public], development=False)).signer
    assert signer is not None and (signer.name, signer.key_id) == ("release", made)


def test_a_key_with_a_passphrase_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path, "release", passphrase="correct horse")
    monkeypatch.setattr(signing, "getpass", lambda _: "correct horse")
    read_private_key(tmp_path / "release.key.pem")
    monkeypatch.setattr(signing, "getpass", lambda _: "wrong")
    with pytest.raises(ConfigError, match=r"release\.key\.pem cannot be read"):
        read_private_key(tmp_path / "release.key.pem")


def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path, "release")
    with pytest.raises(ConfigError, match="there already"):
        make_key(tmp_path, "release")


def test_nobody_signs_what_does_not_load(tmp_path: Path) -> None:
    make_key(tmp_path, "release")
    key = read_private_key(tmp_path / "release.key.pem")
    folder = write_tiny_bundle(tmp_path / "bundle")
    (folder / IMAGE_FILE).write_bytes(b"damaged")
    with pytest.raises(BundleError, match=IMAGE_FILE):
        sign_bundle(folder, key)
    with pytest.raises(ConfigError, match="no folder"):
        sign_bundle(tmp_path / "release.key.pem", key)


def test_a_public_key_is_no_private_one(tmp_path: Path) -> None:
    make_key(tmp_path, "release")
    with pytest.raises(ConfigError, match=r"release\.pub\.pem cannot be read"):
        read_private_key(tmp_path / "release.pub.pem")
