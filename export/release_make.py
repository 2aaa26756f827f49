"""`msu release make`: pack a medium into one signed file."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import stat
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import ConfigError
from edge_app.deploy.release import RELEASE_FILE, ReleaseBundle, ReleaseManifest
from edge_app.inference.bundle import load_bundle
from edge_app.inference.signature import DEVELOPMENT_KEY, SIGNATURE_FILE
from edge_app.store.containers import open_container
from edge_app.store.paths import fsync_folder
from export.signing import read_private_key, sign

__all__ = ["main", "make_release"]

_INSTALLER = "deploy/install.sh"
_REMEDY = "Make the medium with `msu deploy wheelhouse` (deploy/README.md)."


def main(argv: Sequence[str]) -> int:
    """Run ``msu release make``.

    Raises
    ------
    MsuError
        If the medium is not one, or the key cannot be read.
    """
    parser = argparse.ArgumentParser(prog="msu release make", description=__doc__.splitlines()[0])
    parser.add_argument("medium", type=Path, metavar="MEDIUM", help="folder of `msu deploy wheelhouse`")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.msu beside the medium")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM, Ed25519)")
    which.add_argument("--development", action="store_true", help="the DEVELOPMENT KEY, which everybody has")
    arguments = parser.parse_args(argv)
    key = DEVELOPMENT_KEY if arguments.development else read_private_key(arguments.key)
    path, manifest = make_release(arguments.medium, key, arguments.out)
    sys.stdout.write(f"{path}: {manifest.name} for {manifest.target}, {path.stat().st_size / 1e6:.1f} MB\n")
    return 0


def make_release(medium: Path, key: Ed25519PrivateKey, out: Path | None = None) -> tuple[Path, ReleaseManifest]:
    """Write a release, whole or not at all, and return where it is, and its manifest.

    Raises
    ------
    ConfigError
        If the folder is no medium.
    BundleError
        If the bundle in it is not whole, or bears no signature.
    """
    names = sorted(_names(medium))
    for needed in ("medium.json", _INSTALLER):
        if needed not in names:
            raise ConfigError(f"{medium} is no medium: {needed} is missing", remedy=_REMEDY)
    try:
        about = json.loads((medium / "medium.json").read_text(encoding="utf-8"))
        manifest = ReleaseManifest(
            name=about["name"],
            version=about["version"],
            target=about["target"],
            created_utc=utc_iso(utc_now()),
            bundle=_bundle_of(medium),
            files={name: _hash(medium / name) for name in names},
            executable=tuple(name for name in names if (medium / name).stat().st_mode & stat.S_IXUSR),
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ConfigError(f"{medium / 'medium.json'}: {error}", remedy=_REMEDY) from error
    path = out or medium.with_name(f"{manifest.name}.msu")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    raw = manifest.to_bytes()
    try:
        # Wheels and packages are compressed already; what is checked first stands first.
        with beside.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(RELEASE_FILE, raw)
                archive.writestr(SIGNATURE_FILE, sign("release", raw, key).to_bytes())
                for name in names:
                    archive.write(medium / name, name)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    fsync_folder(path.parent.resolve())
    return path, manifest


def _names(medium: Path) -> list[str]:
    if not medium.is_dir():
        raise ConfigError(f"{medium} is no folder", remedy=_REMEDY)
    names = list(open_container(medium, "release", RELEASE_FILE).sizes())
    return [name for name in names if name not in (RELEASE_FILE, SIGNATURE_FILE)]


def _bundle_of(medium: Path) -> ReleaseBundle | None:
    if not (medium / "bundle").is_dir():
        return None
    bundle = load_bundle(medium / "bundle")
    if bundle.signature is None:
        raise ConfigError(f"the bundle in {medium} is not signed", remedy="Sign it first: `msu bundle sign`.")
    identity = bundle.identity
    return ReleaseBundle(
        name=identity.name, version=identity.version, sha256=identity.sha256, synthetic=identity.synthetic
    )


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
