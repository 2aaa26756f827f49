"""A package registry, read file by file (the simple repository API as JSON, PEP 691)."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from edge_app.core.errors import NetworkError
from edge_app.deploy.targets import Target

__all__ = ["Registry", "RegistryFile"]

PUBLIC = "https://pypi.org/simple/"
_TIMEOUT_S = 60.0
_AT_ONCE = 8
_ACCEPT = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """One file of a project."""

    name: str
    url: str
    sha256: str
    version: str
    requires_python: str
    yanked: bool

    def rank(self, target: Target) -> int | None:
        """Return how well a wheel fits a target, 0 the best; None where it does not run there."""
        if not self.name.endswith(".whl") or not self._takes(target):
            return None
        try:
            tags = parse_wheel_filename(self.name)[3]
        except InvalidWheelFilename:
            return None
        return min((target.tags[tag] for tag in tags if tag in target.tags), default=None)

    def is_source_for(self, target: Target) -> bool:
        """Return whether this is source that the target's Python may build."""
        return not self.name.endswith(".whl") and self._takes(target)

    def _takes(self, target: Target) -> bool:
        try:
            return f"{target.python_text}.0" in SpecifierSet(self.requires_python)
        except InvalidSpecifier:
            return False


class Registry:
    """Reads project pages and files; a page is read once.

    Parameters
    ----------
    index
        Address of the simple repository API; by default PIP_INDEX_URL, else the public one.
    """

    def __init__(self, index: str = "") -> None:
        self._index = (index or os.environ.get("PIP_INDEX_URL") or PUBLIC).rstrip("/") + "/"
        self._pages: dict[str, tuple[RegistryFile, ...]] = {}

    def files(self, project: str) -> tuple[RegistryFile, ...]:
        """Return all files of a project.

        Raises
        ------
        NetworkError
            If the registry cannot be asked.
        """
        project = canonicalize_name(project)
        if project not in self._pages:
            url = urljoin(self._index, f"{project}/")
            page = json.loads(_read(url, accept=_ACCEPT))
            self._pages[project] = tuple(_parsed(page, url))
        return self._pages[project]

    def look_up(self, projects: Iterable[str]) -> None:
        """Read the pages of several projects at once; see `files`."""
        with ThreadPoolExecutor(_AT_ONCE, "registry") as pool:
            list(pool.map(self.files, projects))

    def best(self, project: str, version: str, target: Target, *, source: bool = False) -> RegistryFile | None:
        """Return the file of that version that a target should take, None where there is none."""
        files = [file for file in self.files(project) if file.version == version and not file.yanked]
        if source:
            return next((file for file in files if file.is_source_for(target)), None)
        ranked = [(rank, file) for file in files if (rank := file.rank(target)) is not None]
        return min(ranked, key=lambda pair: pair[0])[1] if ranked else None

    def download(self, file: RegistryFile, folder: Path) -> Path:
        """Write a file into a folder, after its hash was found right.

        Raises
        ------
        NetworkError
            If it cannot be read, or is another one than was asked for.
        """
        content = _read(file.url)
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise NetworkError(
                f"{file.name} has the hash {found}, not {file.sha256}", remedy="Do not use it; try another registry."
            )
        path = folder / file.name
        path.write_bytes(content)
        return path


def _read(url: str, *, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return bytes(answer.read())
    except (OSError, urllib.error.URLError) as error:
        raise NetworkError(
            f"{url} cannot be read: {error}", remedy="Check the network, or set PIP_INDEX_URL to a mirror."
        ) from error


def _parsed(page: Any, url: str) -> Iterator[RegistryFile]:
    for file in page["files"]:
        name = file["filename"]
        try:
            version = (parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename)(name)[1]
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue  # eggs, installers and names from before the rules
        yield RegistryFile(
            name=name,
            url=urljoin(url, file["url"]),
            sha256=file["hashes"].get("sha256", ""),
            version=str(version),
            requires_python=file.get("requires-python") or "",
            yanked=bool(file.get("yanked")),
        )
