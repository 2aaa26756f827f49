"""The packages of a wheelhouse, or of the environment this runs in, as their own metadata describe them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from edge_app.core.errors import InputError
from edge_app.deploy.licences import licence_of

__all__ = ["Component", "installed_components", "wheelhouse_components"]


@dataclass(frozen=True, slots=True)
class Component:
    """One package."""

    name: str
    version: str
    licence: str
    """SPDX expression, "" where it cannot be told."""
    home: str
    needs: tuple[str, ...]
    """Names of what it requires, optional things left out."""
    file: str = ""
    sha256: str = ""

    @property
    def purl(self) -> str:
        """Return the package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def wheelhouse_components(folder: Path) -> list[Component]:
    """Return what lies in a folder of wheels and source archives, by name.

    Raises
    ------
    InputError
        If a file has no metadata.
    """
    found = []
    for path in sorted(folder.iterdir()):
        metadata = BytesParser().parsebytes(_metadata_file(path))
        found.append(_component(metadata, path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return sorted(found, key=lambda component: component.name)


def installed_components(project: str = "msu-triage") -> list[Component]:
    """Return what is installed here because `project` needs it, without the project itself.

    Raises
    ------
    InputError
        If the project is not installed.
    """
    try:
        waiting = list(_needs(importlib.metadata.requires(project) or [], marker_extra=""))
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"{project} is not installed here", remedy="pip install it first.") from error
    found: dict[str, Component] = {}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        component = _component(importlib.metadata.metadata(name))
        found[name] = component
        waiting += [
            need for need in _needs(importlib.metadata.requires(name) or [], marker_extra="") if need not in found
        ]
    return [found[name] for name in sorted(found)]


def _component(metadata: Message | importlib.metadata.PackageMetadata, file: str = "", sha256: str = "") -> Component:
    def one(key: str) -> str:
        return str(metadata[key] or "") if key in metadata else ""

    name = canonicalize_name(one("Name"))
    classifiers = [str(text) for text in metadata.get_all("Classifier") or []]
    return Component(
        name=name,
        version=one("Version"),
        licence=licence_of(name, one("License-Expression"), one("License"), classifiers),
        home=_home(metadata, one("Home-page")),
        needs=tuple(sorted(set(_needs([str(text) for text in metadata.get_all("Requires-Dist") or []])))),
        file=file,
        sha256=sha256,
    )


def _home(metadata: Message | importlib.metadata.PackageMetadata, home: str) -> str:
    links = [str(text).partition(", ")[2] for text in metadata.get_all("Project-URL") or []]
    return next((link for link in (home, *links) if link.startswith("http")), "")


def _needs(requirements: Iterable[str], marker_extra: str | None = None) -> Iterator[str]:
    """Yield names; markers are looked at only where they speak of this machine, that is for what is installed here."""
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is not None:
            if marker_extra is None and "extra" in str(marker):
                continue
            if marker_extra is not None and not marker.evaluate({"extra": marker_extra}):
                continue
        yield canonicalize_name(requirement.name)


def _metadata_file(path: Path) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.count("/") == 1 and name.endswith(".dist-info/METADATA"):
                    return wheel.read(name)
    elif path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith("/PKG-INFO"):
                    content = archive.extractfile(member)
                    if content is not None:
                        return content.read()
    raise InputError(f"{path} has no metadata", remedy="Only wheels and source archives belong in a wheelhouse.")
