"""A release: app, bundle, thresholds and everything the installer needs, as one signed file for USB or network.

It is a zip of the medium that deploy/README.md describes, and beside it ``release.json`` with the hash of every file
and ``signature.json`` over that (`edge_app.inference.signature`). Nothing is unpacked before the signature and all
hashes have been checked, and each file is hashed once more while it is unpacked. Engines are not in it: they are built
on the device that runs them, from the bundle that is (the thresholds stand in the bundle's manifest).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_app.core.errors import BundleError
from edge_app.inference.sealed import open_sealed
from edge_app.inference.signature import Signer, TrustedKeys
from edge_app.store.containers import (
    CHUNK_BYTES,
    UNREADABLE,
    Files,
    refusal,
)
from edge_app.store.paths import fsync_folder

__all__ = ["RELEASE_FILE", "Release", "ReleaseManifest", "load_release", "version_key"]

RELEASE_FILE = "release.json"

MAX_RELEASE_BYTES = 8 << 30
"""Most that all files of a release may hold together."""


class ReleaseBundle(BaseModel):
    """Which model bundle the release brings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str
    synthetic: bool


class ReleaseManifest(BaseModel):
    """What `RELEASE_FILE` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[0-9A-Za-z.-]{1,64}$")
    """The installer's name of it: version and hash."""
    version: str = Field(min_length=1)
    target: str
    """The platform that it is for, e.g. ``jetpack6``."""
    created_utc: str
    bundle: ReleaseBundle | None
    """None: the demo bundle of the package."""
    files: dict[str, str]
    """SHA-256 of every other file."""
    executable: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the manifest as it is written."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose signature and hashes were all found right."""

    path: Path
    manifest: ReleaseManifest
    signer: Signer
    _files: Files

    @property
    def size_bytes(self) -> int:
        """Return what it takes when it is unpacked."""
        return sum(self._files.sizes().values())

    def unpack(self, folder: Path) -> None:
        """Write all files below `folder`, durable; what comes from the medium is hashed again as it is written.

        Raises
        ------
        BundleError
            If a file has changed since it was checked (the stick was taken out, say): nothing of it may be used.
        OSError
            If the disk does not take it.
        """
        for name, wanted in sorted(self.manifest.files.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            mode = 0o755 if name in self.manifest.executable else 0o644
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
                try:
                    with self._files.open(name) as source:
                        while chunk := source.read(CHUNK_BYTES):
                            digest.update(chunk)
                            target.write(chunk)
                except UNREADABLE as error:
                    raise refusal("release", self.path, f"{name} cannot be read: {error}") from error
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != wanted:
                raise refusal("release", self.path, f"{name} has changed since it was checked")
        fsync_folder(folder)


def load_release(path: Path, keys: TrustedKeys) -> Release:
    """Open a release and check it: signature first, then the names, then every hash.

    Raises
    ------
    BundleError
        Naming what is missing, changed, superfluous or not understood, or who signed it.
    """
    if not path.exists():
        raise BundleError(f"release {path} does not exist", remedy="Check the path; is the stick mounted?")
    try:
        sealed = open_sealed(path, "release", RELEASE_FILE, keys)
        manifest = _parse(sealed.raw, path)
        sealed.check_files(manifest.files, called=RELEASE_FILE, most_bytes=MAX_RELEASE_BYTES)
    except UNREADABLE as error:
        raise refusal("release", path, f"cannot be read: {error}") from error
    assert sealed.signer is not None  # where there are keys, one of them has signed
    return Release(path, manifest, sealed.signer, sealed.files)


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, for comparing."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def _parse(raw: bytes, path: Path) -> ReleaseManifest:
    try:
        return ReleaseManifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or RELEASE_FILE
        raise refusal("release", path, f"{RELEASE_FILE}: field '{field}': {first['msg']}") from error
