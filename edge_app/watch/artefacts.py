"""Are the model's files still what they were? Bundle and engines, hashed again whenever a file has changed.

Hashing a gigabyte takes seconds, so it is done when a file's size, time or inode is another, and now and then in full
(`thorough`), because a disk can also forget without touching them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError
from edge_app.core.findings import Finding
from edge_app.inference.bundle import Bundle, demo_bundle_path, load_bundle
from edge_app.inference.installed import trusted_keys, with_installed_bundle
from edge_app.inference.passport import NETWORKS, engines_folder, passport_path, read_passport, read_plan

__all__ = ["Artefacts"]

_Signature = tuple[tuple[str, int, int, int], ...]


class Artefacts:
    """Looks at the files of the bundle and of its engines."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines = Path(settings.analysis.engines) if settings.analysis.engines else None
        self._bundle: Bundle | None = None
        self._seen: dict[str, tuple[_Signature, Finding]] = {}

    @property
    def sha256(self) -> str:
        """Return the hash of the bundle that was found whole, "" where none was."""
        return self._bundle.sha256 if self._bundle else ""

    def check(self, *, thorough: bool = False) -> list[Finding]:
        """Look at both; `thorough` hashes every byte again although no file seems to have changed."""
        if thorough:
            self._seen.clear()
        named = with_installed_bundle(self._settings).bundle
        bundle = self._cached("bundle", Path(named).resolve() if named else demo_bundle_path(), self._check_bundle)
        if self._bundle is None:
            return [bundle]
        folder = engines_folder(self._bundle.path, self._bundle.sha256, self._engines)
        if not any(passport_path(folder, network).exists() for network in NETWORKS):
            return [bundle]
        return [bundle, self._cached("engines", folder, self._check_engines)]

    def _cached(self, name: str, path: Path, look: Callable[[Path], Finding]) -> Finding:
        signature = _signature(path)
        known = self._seen.get(name)
        if known is None or known[0] != signature:
            known = (signature, look(path))
            self._seen[name] = known
        return known[1]

    def _check_bundle(self, path: Path) -> Finding:
        self._bundle = None
        try:
            self._bundle = load_bundle(path, trusted_keys(self._settings.analysis))
        except BundleError as error:
            return Finding("Model bundle", False, f"{error.code} {error.message}", error.remedy, "F-03")
        manifest = self._bundle.manifest
        found = f"{manifest.name} {manifest.version}, {self._bundle.sha256[:8]}, every hash is right"
        return Finding("Model bundle", True, found, "", "F-03")

    def _check_engines(self, folder: Path) -> Finding:
        names = []
        try:
            for network in NETWORKS:
                if passport_path(folder, network).exists():
                    passport = read_passport(passport_path(folder, network))
                    read_plan(folder, passport)
                    names.append(f"{network} {passport.precision}")
        except BundleError as error:
            return Finding("Engines", False, error.message, error.remedy, "F-04")
        return Finding("Engines", True, ", ".join(names), "", "F-04")


def _signature(path: Path) -> _Signature:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            about = file.stat()
        except OSError:
            continue
        found.append((str(file), about.st_size, about.st_mtime_ns, about.st_ino))
    return tuple(found)
