"""Who may vouch for a bundle, and that nothing else gets in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_app.core.errors import BundleError
from edge_app.inference.bundle import demo_bundle_path, load_bundle
from edge_app.inference.manifest import MANIFEST_FILE
from edge_app.inference.signature import (
    DEVELOPMENT_KEY,
    SIGNATURE_FILE,
    TrustedKeys,
    key_id,
    parse_signature,
    read_public_key,
)
from export.signing import sign
from tests.bundles import write_tiny_bundle, zip_bundle

OURS = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()
KEYS = TrustedKeys([("release", OURS.public_key())])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle", key=OURS)


def test_a_bundle_signed_by_a_trusted_key_loads_and_says_by_whom(folder: Path, tmp_path: Path) -> None:
    for path in (folder, zip_bundle(folder, tmp_path / "bundle.zip"), zip_bundle(folder, tmp_path / "b.zip", top="b/")):
        bundle = load_bundle(path, KEYS)
        assert bundle.signer is not None and (bundle.signer.name, bundle.signer.development) == ("release", False)
        assert not bundle.identity.development_key


@pytest.mark.parametrize(
    ("key", "named"),
    [(None, "is not signed"), (STRANGER, "is not trusted here"), (DEVELOPMENT_KEY, "by the DEVELOPMENT KEY")],
)
def test_a_bundle_that_nobody_trusted_has_signed_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey | None, named: str
) -> None:
    with pytest.raises(BundleError, match=f"E-101 .*{named}"):
        load_bundle(write_tiny_bundle(tmp_path / "bundle", key=key), KEYS)


def test_a_manifest_that_was_changed_after_it_was_signed_is_refused(folder: Path) -> None:
    path = folder / MANIFEST_FILE
    path.write_bytes(path.read_bytes().replace(b'"t_lo": 0.3', b'"t_lo": 0.5'))
    load_bundle(folder)  # whole by its hashes, so that the signature alone finds it
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder, KEYS)


def test_a_strangers_signature_under_the_name_of_our_key_is_refused(folder: Path) -> None:
    forged = sign("bundle", (folder / MANIFEST_FILE).read_bytes(), STRANGER)
    named = forged.model_copy(update={"key_id": key_id(OURS.public_key())})
    (folder / SIGNATURE_FILE).write_bytes(named.to_bytes())
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder, KEYS)


def test_a_signature_of_a_release_does_not_serve_for_a_bundle(folder: Path) -> None:
    other = sign("release", (folder / MANIFEST_FILE).read_bytes(), OURS)
    (folder / SIGNATURE_FILE).write_bytes(other.to_bytes())
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder, KEYS)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda body: body.pop("key_id"), "key_id"),
        (lambda body: body.update(algorithm="none"), "algorithm"),
        (lambda body: body.update(surprise=1), "surprise"),
        (lambda body: body.update(signature="!"), "does not fit"),
        (lambda body: body.update(signature=base64.b64encode(b"short").decode()), "does not fit"),
    ],
)
def test_a_signature_file_that_is_none_is_refused_by_field(
    folder: Path, change: Callable[[dict[str, object]], object], named: str
) -> None:
    body = json.loads((folder / SIGNATURE_FILE).read_text())
    change(body)
    (folder / SIGNATURE_FILE).write_text(json.dumps(body))
    with pytest.raises(BundleError, match=named):
        load_bundle(folder, KEYS)


def test_the_signature_does_not_change_which_bundle_it_is(folder: Path, tmp_path: Path) -> None:
    again = load_bundle(write_tiny_bundle(tmp_path / "again", key=STRANGER))
    assert again.sha256 == load_bundle(folder).sha256


def test_the_development_key_gets_in_only_where_it_is_let_in_and_leaves_its_mark(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    bundle = load_bundle(folder, TrustedKeys(development=True))
    assert bundle.identity.development_key
    # Nor does it help to list it as if it were a key like others.
    disguised = TrustedKeys([("release", DEVELOPMENT_KEY.public_key())])
    assert load_bundle(folder, disguised).identity.development_key


def test_the_bundle_in_the_package_is_signed_with_the_development_key() -> None:
    assert load_bundle(demo_bundle_path(), TrustedKeys(development=True)).identity.development_key


def test_a_trusted_key_that_is_missing_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"release\.pub\.pem cannot be read"):
        TrustedKeys.read([tmp_path / "release.pub.pem"], development=False)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "ec.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(BundleError, match="no Ed25519 key"):
        read_public_key(tmp_path / "ec.pem")
    (tmp_path / "noise.pem").write_bytes(b"noise")
    with pytest.raises(BundleError, match=r"noise\.pem cannot be read"):
        read_public_key(tmp_path / "noise.pem")


def test_what_is_no_json_is_no_signature() -> None:
    with pytest.raises(BundleError, match=SIGNATURE_FILE):
        parse_signature(b"{", "bundle")
