"""The bundles that were installed into a store, and the links that say which of them runs.

::

    <data>/bundles/
        current  -> NAME     what runs
        previous -> NAME     what ran before it; `msu bundle rollback` goes back to it
        next     -> NAME     asked for; the worker takes it up between cases
        trial    -> NAME     being tried just now; whoever finds it at a start knows that the one who tried it died
        refused.json         which bundle was refused last, when and why
        NAME/                NAME is <name>-<version>-<first 8 digits of the hash>; never changed once it is there
        NAME.engines/        its TensorRT engines

Every change is one rename, so that a power cut finds the old state or the new one. Only the worker moves ``current``
(`edge_app.worker.changeover`): it alone knows whether a study is under way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.config import AnalysisSettings, Settings
from edge_app.core.errors import BundleError, StoreError
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import MANIFEST_FILE
from edge_app.inference.signature import SIGNATURE_FILE, TrustedKeys
from edge_app.store.lock import hold_in_turn
from edge_app.store.paths import fsync_folder, write_atomically

__all__ = ["BundleStore", "trusted_keys", "with_installed_bundle"]

Link = Literal["current", "previous", "next", "trial"]

_LINKS: tuple[Link, ...] = ("current", "previous", "next", "trial")


def trusted_keys(settings: AnalysisSettings) -> TrustedKeys:
    """Return the keys that the settings name.

    Raises
    ------
    BundleError
        If one cannot be read.
    """
    return TrustedKeys.read([Path(file) for file in settings.trusted_keys], development=settings.development_key)


def with_installed_bundle(settings: Settings) -> AnalysisSettings:
    """Return the analysis settings with the bundle that runs: the one they name, or else the one that is installed."""
    store = BundleStore.of(settings)
    if settings.analysis.bundle or not store.has("current"):
        return settings.analysis
    return settings.analysis.model_copy(update={"bundle": str(store.root / "current")})


class BundleStore:
    """The folder of installed bundles; nothing is made before something is installed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, settings: Settings) -> BundleStore:
        """Return the store that belongs to the settings' data folder."""
        return cls(settings.data / "bundles")

    def has(self, link: Link) -> bool:
        """Return whether a link is there; where it leads to may be gone all the same."""
        return (self.root / link).is_symlink()

    def name(self, link: Link) -> str:
        """Return which bundle a link names, or "" where there is none."""
        return (self.root / link).readlink().name if self.has(link) else ""

    def path(self, link: Link) -> Path:
        """Return the folder that a link names.

        Raises
        ------
        BundleError
            If there is none.
        """
        if not self.has(link):
            raise BundleError(f"there is no {link} bundle in {self.root}", remedy="Install one: `msu bundle install`.")
        return self.root / self.name(link)

    @property
    def refusal(self) -> dict[str, Any] | None:
        """Return which bundle was refused since the last switch: ``name``, ``why``, ``at_utc``; None if none was."""
        try:
            body: dict[str, Any] = json.loads((self.root / "refused.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return body

    # What `msu bundle` does ---------------------------------------------------------------------------------------

    def add(self, bundle: Bundle, keys: TrustedKeys) -> str:
        """Copy a bundle into the store, whole or not at all, and return its name; it does not run yet.

        Raises
        ------
        BundleError
            If the copy is not what was signed.
        StoreError
            If the disk does not take it.
        """
        try:
            return self._add(bundle, keys)
        except OSError as error:
            raise StoreError(
                f"the bundle cannot be copied to {self.root}: {error}",
                remedy="Check the folder's permissions and free space; what ran runs on.",
            ) from error

    def _add(self, bundle: Bundle, keys: TrustedKeys) -> str:
        self.root.mkdir(parents=True, exist_ok=True)
        name = _name_of(bundle)
        with self._alone():
            for left in self.root.glob(".installing-*"):
                shutil.rmtree(left)
            target = self.root / name
            if target.is_dir():
                load_bundle(target, keys)  # damaged since: say so rather than call it installed
                return name
            beside = Path(tempfile.mkdtemp(prefix=".installing-", dir=self.root))
            try:
                beside.chmod(0o755)
                _copy(bundle, beside)
                load_bundle(beside, keys)
                beside.rename(target)
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
            fsync_folder(self.root)
        return name

    def ask_for(self, name: str) -> None:
        """Let the worker take up a bundle between cases.

        Raises
        ------
        BundleError
            If it is gone: another one was taken up since it was added, and all that no link named went.
        """
        with self._alone():
            if not (self.root / name).is_dir():
                raise BundleError(f"bundle {name} was removed meanwhile", remedy="Install it again.")
            self._point("next", name)

    # What the worker does -----------------------------------------------------------------------------------------

    def begin_trial(self) -> Path:
        """Turn what was asked for into what is being tried, and return its folder."""
        with self._alone():
            (self.root / "next").replace(self.root / "trial")
            fsync_folder(self.root)
        return self.path("trial")

    def keep_trial(self) -> None:
        """Make what was tried the one that runs; what ran is kept, all older ones go."""
        with self._alone():
            if self.has("current") and self.name("current") != self.name("trial"):
                self._point("previous", self.name("current"))
            (self.root / "trial").replace(self.root / "current")
            fsync_folder(self.root)
            (self.root / "refused.json").unlink(missing_ok=True)
            self._clear()

    def end_trial(self, why: str) -> None:
        """Refuse what was tried: what ran goes on."""
        with self._alone():
            name = self.name("trial")
            (self.root / "trial").unlink()
            fsync_folder(self.root)
            self._note(name, why)

    def fall_back(self, why: str) -> None:
        """Go back to what ran before, because what runs cannot be loaded any more."""
        with self._alone():
            name = self.name("current")
            (self.root / "previous").replace(self.root / "current")
            fsync_folder(self.root)
            self._note(name, why)

    def _point(self, link: Link, name: str) -> None:
        beside = self.root / f".{link}.{os.getpid()}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(name)
        beside.replace(self.root / link)
        fsync_folder(self.root)

    def _note(self, name: str, why: str) -> None:
        body = {"name": name, "why": why, "at_utc": utc_iso(utc_now())}
        with suppress(OSError):  # a full disk must not turn a refusal into a worker that dies again and again
            write_atomically(self.root / "refused.json", (json.dumps(body) + "\n").encode())

    def _clear(self) -> None:
        """Remove bundles that no link names, and their engines."""
        kept = {self.name(link) for link in _LINKS} - {""}
        for path in self.root.iterdir():
            folder = path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
            if folder and path.name.removesuffix(".engines") not in kept:
                shutil.rmtree(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with hold_in_turn(self.root / ".lock"):
            yield


def _name_of(bundle: Bundle) -> str:
    readable = re.sub(r"[^0-9A-Za-z.+-]+", "-", f"{bundle.manifest.name}-{bundle.manifest.version}").strip(".-")
    return f"{readable[:48]}-{bundle.sha256[:8]}"


def _copy(bundle: Bundle, folder: Path) -> None:
    content = {MANIFEST_FILE: bundle.manifest_bytes}
    if bundle.signature is not None:
        content[SIGNATURE_FILE] = bundle.signature.to_bytes()
    for name, wanted in bundle.manifest.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in bundle.chunks(name):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != wanted:
            raise BundleError(f"{name} changed while it was copied", remedy="Copy the bundle again from its source.")
    for name, raw in content.items():
        write_atomically(folder / name, raw)
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        fsync_folder(path)
