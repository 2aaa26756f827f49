"""Who vouches for a bundle or a release: one Ed25519 signature over its manifest, which holds all other hashes.

The signature lies beside the manifest in `SIGNATURE_FILE` and does not change what is signed: a bundle that is signed
again is the same bundle. The settings name the public keys that are trusted (``analysis.trusted_keys``).

The DEVELOPMENT KEY is no secret: anybody can sign with it, so that demo, tests and bench units need no key of their
own. Where ``analysis.development_key`` lets it in, the screen says so, always.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_app.core.errors import BundleError

__all__ = [
    "DEVELOPMENT_KEY",
    "SIGNATURE_FILE",
    "Signature",
    "Signer",
    "TrustedKeys",
    "key_id",
    "parse_signature",
    "read_public_key",
    "to_be_signed",
]

SIGNATURE_FILE = "signature.json"

MAX_SIGNATURE_BYTES = 1 << 14

DEVELOPMENT_KEY = Ed25519PrivateKey.from_private_bytes(
    hashlib.sha256(b"msu-triage DEVELOPMENT KEY: everybody has it, it proves nothing").digest()
)
"""Made from words that anybody can read here."""

DEVELOPMENT_NAME = "DEVELOPMENT KEY"

Kind = Literal["bundle", "release"]


class Signature(BaseModel):
    """What `SIGNATURE_FILE` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    algorithm: Literal["ed25519"] = "ed25519"
    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the public key's 32 bytes: which key to check with, not a reason to trust it."""
    signature: str

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return (self.model_dump_json(indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Signer:
    """The trusted key that a signature was checked with."""

    name: str
    key_id: str
    development: bool


class TrustedKeys:
    """The keys whose signatures count.

    Parameters
    ----------
    keys
        Public keys with the names they go by.
    development
        Let the DEVELOPMENT KEY in too.
    """

    def __init__(self, keys: Iterable[tuple[str, Ed25519PublicKey]] = (), *, development: bool = False) -> None:
        own = DEVELOPMENT_KEY.public_key()
        known = [(Signer(name, key_id(key), key_id(key) == key_id(own)), key) for name, key in keys]
        if development:
            known.append((Signer(DEVELOPMENT_NAME, key_id(own), True), own))
        self._known = {signer.key_id: (signer, key) for signer, key in known}

    @classmethod
    def read(cls, files: Sequence[Path], *, development: bool) -> TrustedKeys:
        """Read the keys that settings name; each goes by its file's name.

        Raises
        ------
        BundleError
            If a file is missing, or holds no public Ed25519 key.
        """
        return cls(((path.name.split(".")[0], read_public_key(path)) for path in files), development=development)

    def check(self, kind: Kind, manifest: bytes, signature: Signature | None, source: str) -> Signer:
        """Return who signed a manifest.

        Raises
        ------
        BundleError
            If it is not signed, signed by nobody who is trusted, or the signature does not fit.
        """
        if signature is None:
            raise _refusal(f"{kind} {source} is not signed", f"Sign it: `msu {kind} sign`.")
        if signature.key_id not in self._known:
            ours = key_id(DEVELOPMENT_KEY.public_key())
            who = f"the {DEVELOPMENT_NAME}" if signature.key_id == ours else f"key {signature.key_id[:16]}"
            raise _refusal(
                f"{kind} {source} is signed by {who}, which is not trusted here",
                "Take one from your own source, or add its public key to analysis.trusted_keys"
                " (the DEVELOPMENT KEY: analysis.development_key, for bench units only).",
            )
        signer, key = self._known[signature.key_id]
        try:
            key.verify(base64.b64decode(signature.signature, validate=True), to_be_signed(kind, manifest))
        except (InvalidSignature, binascii.Error) as error:
            raise _refusal(
                f"{kind} {source}: the signature of {signer.name} does not fit: it was changed after it was signed",
                "Copy it again from its source.",
            ) from error
        return signer


def to_be_signed(kind: Kind, manifest: bytes) -> bytes:
    """Return the bytes that are signed: what it is, so that no signature serves for anything else, and the manifest."""
    return b"msu-triage " + kind.encode() + b" 1\n" + manifest


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key's 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def parse_signature(raw: bytes, source: str) -> Signature:
    """Read a signature file.

    Raises
    ------
    BundleError
        If it is none.
    """
    try:
        return Signature.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or SIGNATURE_FILE
        raise _refusal(f"{source}: {SIGNATURE_FILE}: field '{field}': {first['msg']}", "Sign it again.") from error


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key in PEM.

    Raises
    ------
    BundleError
        If the file is missing or holds something else.
    """
    remedy = "Put the public key (PEM, Ed25519) of whoever signs your bundles there: analysis.trusted_keys."
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _refusal(f"trusted key {path} cannot be read: {error}", remedy) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _refusal(f"trusted key {path} is no Ed25519 key", remedy)
    return key


def _refusal(message: str, remedy: str) -> BundleError:
    return BundleError(message, remedy=remedy)
