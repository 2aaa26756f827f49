"""Sign bundles and releases, and make the keys for it: where the private key is, which is never a vehicle.

`edge_app.inference.signature` checks what is signed here.
"""

from __future__ import annotations

import base64
import os
from getpass import getpass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge_app.core.errors import ConfigError
from edge_app.inference.bundle import load_bundle
from edge_app.inference.signature import SIGNATURE_FILE, Kind, Signature, key_id, to_be_signed
from edge_app.store.paths import write_atomically

__all__ = ["make_key", "read_private_key", "sign", "sign_bundle"]


def make_key(folder: Path, name: str, *, passphrase: str = "") -> str:
    """Write ``NAME.key.pem``, readable by us alone, and ``NAME.pub.pem`` for the vehicles; return the key's id.

    Raises
    ------
    ConfigError
        If one of the files is there already: what was signed with an old key would no longer be trusted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for path, content, mode in (
        (folder / f"{name}.key.pem", private, 0o600),
        (folder / f"{name}.pub.pem", public, 0o644),
    ):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError as error:
            raise ConfigError(f"{path} is there already", remedy="Name another key or another folder.") from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    return key_id(key.public_key())


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key in PEM; asks on the terminal for the passphrase of one that has one.

    Raises
    ------
    ConfigError
        If it cannot be read, or is no Ed25519 key.
    """
    remedy = "Make one with `msu bundle key`, or with openssl genpkey -algorithm ed25519."
    try:
        content = path.read_bytes()
        password = getpass(f"Passphrase of {path.name}: ").encode() if b"ENCRYPTED" in content else None
        key = load_pem_private_key(content, password)
    except (OSError, ValueError, TypeError, EOFError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"private key {path} cannot be read: {error}", remedy=remedy) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"private key {path} is no Ed25519 key", remedy=remedy)
    return key


def sign(kind: Kind, manifest: bytes, key: Ed25519PrivateKey) -> Signature:
    """Return the signature of a manifest."""
    signature = base64.b64encode(key.sign(to_be_signed(kind, manifest))).decode("ascii")
    return Signature(key_id=key_id(key.public_key()), signature=signature)


def sign_bundle(folder: Path, key: Ed25519PrivateKey) -> Signature:
    """Sign a bundle's folder, in the place of a signature that may be there; every hash is checked first.

    Raises
    ------
    BundleError
        If the bundle is not whole: nobody vouches for what does not load.
    ConfigError
        If it is a zip.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder", remedy="Sign the folder, then zip it.")
    signature = sign("bundle", load_bundle(folder).manifest_bytes, key)
    write_atomically(folder / SIGNATURE_FILE, signature.to_bytes())
    return signature
