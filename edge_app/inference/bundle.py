"""A model bundle: a folder or a zip of it, read-only, and believed only after every hash has been checked.

The manifest (`edge_app.inference.manifest`) lists each file with its SHA-256. A file that is missing, changed or not
listed is refused, so that what runs is what was evaluated. The manifest itself is signed
(`edge_app.inference.signature`). Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from edge_app.core.errors import BundleError
from edge_app.core.types import ModelIdentity
from edge_app.inference.manifest import MANIFEST_FILE, Manifest, parse_manifest
from edge_app.inference.sealed import open_sealed
from edge_app.inference.signature import (
    Signature,
    Signer,
    TrustedKeys,
)
from edge_app.store.containers import (
    CHUNK_BYTES,
    UNREADABLE,
    Files,
    refusal,
)

__all__ = ["MAX_BUNDLE_BYTES", "Bundle", "demo_bundle_path", "inspect_bundle", "load_bundle"]

MAX_BUNDLE_BYTES = 4 << 30
"""Most that all files of a bundle may hold together: a ViT-L/16 in FP32 is 1.2 GB."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were all found to be what its manifest says."""

    path: Path
    """Where it lies, links followed: a link that is turned to another bundle later does not change this one."""
    manifest: Manifest
    manifest_bytes: bytes
    """What the signature signs."""
    signature: Signature | None
    signer: Signer | None
    """Who signed it, if it was loaded with keys to check with."""
    identity: ModelIdentity
    _files: Files

    @property
    def sha256(self) -> str:
        """Return the hash of the manifest, which holds the hashes of all other files."""
        return self.identity.sha256

    def read(self, name: str) -> bytes:
        """Return a file's bytes, hashed again: what runs is what was checked, even if somebody wrote in between.

        Raises
        ------
        BundleError
            If the manifest does not list the file, or it has changed.
        """
        if name not in self.manifest.files:
            raise _refusal(self.path, f"the manifest lists no file {name}")
        try:
            with self._files.open(name) as file:
                content = file.read(MAX_BUNDLE_BYTES)
        except UNREADABLE as error:
            raise _refusal(self.path, f"{name} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name]:
            raise _refusal(self.path, f"{name} has changed since the bundle was loaded")
        return content

    def chunks(self, name: str) -> Iterator[bytes]:
        """Return a file's bytes piece by piece, for copying; whoever copies checks the copy's hash.

        Raises
        ------
        BundleError
            If the file cannot be read.
        """
        try:
            with self._files.open(name) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except UNREADABLE as error:
            raise _refusal(self.path, f"{name} cannot be read: {error}") from error


def demo_bundle_path() -> Path:
    """Return the folder of the SYNTHETIC demo bundle that the package ships."""
    return Path(str(resources.files("edge_app") / "bundles" / "demo"))


def load_bundle(path: Path | None = None, keys: TrustedKeys | None = None) -> Bundle:
    """Open a bundle and check every file in it against the manifest.

    Whether the preprocessing of the manifest is this program's, and whether the networks can be opened, is checked
    where the stages meet: `edge_app.worker.models.open_models`.

    Parameters
    ----------
    path
        Folder or zip; None for the SYNTHETIC demo bundle.
    keys
        Refuse a bundle that none of them signed, before anything but its manifest is read; None in the workshop, where
        bundles are made. The vehicle runs nothing that was loaded without keys.

    Raises
    ------
    BundleError
        Naming the file or field that is missing, changed, superfluous or not understood, or who signed it.
    """
    path = (path or demo_bundle_path()).resolve()
    if not path.exists():
        raise BundleError(f"bundle {path} does not exist", remedy="Check the path given as `bundle`.")
    try:
        sealed = open_sealed(path, "bundle", MANIFEST_FILE, keys)
        manifest, sha256 = parse_manifest(sealed.raw, str(path))
        sealed.check_files(manifest.files, called="the manifest", most_bytes=MAX_BUNDLE_BYTES)
    except UNREADABLE as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    signer = sealed.signer
    identity = ModelIdentity(
        manifest.name,
        manifest.version,
        sha256,
        manifest.synthetic,
        signer is not None and signer.development,
    )
    return Bundle(path, manifest, sealed.raw, sealed.signature, signer, identity, sealed.files)


def inspect_bundle(bundle: Bundle) -> dict[str, object]:
    """Return what `msu bundle inspect` shows: identity, what the model expects, and how it was judged."""
    manifest = bundle.manifest
    return {
        "path": str(bundle.path),
        "sha256": bundle.sha256,
        "signature": bundle.signature.model_dump(mode="json") if bundle.signature else None,
        **manifest.model_dump(mode="json", exclude={"calibration": {"reliability"}}),
    }


def _refusal(path: Path, what: str) -> BundleError:
    return refusal("bundle", path, what)
