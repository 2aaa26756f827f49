"""A folder, or a zip of it, whose files are read by name: what bundles and releases come in. Nothing is unpacked here.

Names that would lead out of it, links, and names that are there twice are refused before a byte is read.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from edge_app.core.errors import BundleError

__all__ = ["CHUNK_BYTES", "UNREADABLE", "Files", "hash_file", "open_container", "refusal", "small_file"]

CHUNK_BYTES = 1 << 20
UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What may be raised while a damaged container is read."""


class Files(Protocol):
    """The files of a container by their relative names."""

    def sizes(self) -> dict[str, int]:
        """Return each file's size in bytes."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file."""


class _Folder:
    def __init__(self, root: Path, what: str) -> None:
        self._root, self._what = root, what

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root).as_posix()
            if path.is_symlink():
                raise refusal(self._what, self._root, f"{name} is a link")
            if not path.is_dir():
                found[name] = path.stat().st_size
        return found

    def open(self, name: str) -> IO[bytes]:
        return (self._root / name).open("rb")


class _Zip:
    """The files of a zip; a single folder that holds everything is looked through."""

    def __init__(self, path: Path, what: str, index: str) -> None:
        self._path, self._what, self._index = path, what, index
        self._archive = zipfile.ZipFile(path)
        self._top = ""

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self._archive.infolist():
            name = entry.filename
            parts = PurePosixPath(name).parts
            if "\\" in name or ":" in name or name.startswith("/") or ".." in parts or not parts:
                raise refusal(self._what, self._path, f"entry {name!r} would leave the {self._what}")
            if entry.is_dir():
                continue
            if name in found:
                raise refusal(self._what, self._path, f"entry {name} is there twice")
            if entry.flag_bits & 1 or stat.S_ISLNK(entry.external_attr >> 16):
                raise refusal(self._what, self._path, f"entry {name} is encrypted or a link")
            found[name] = entry.file_size
        tops = {name.split("/", 1)[0] for name in found}
        self._top = f"{tops.pop()}/" if self._index not in found and len(tops) == 1 else ""
        return {name.removeprefix(self._top): size for name, size in found.items()}

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._top + name)


def open_container(path: Path, what: str, index: str) -> Files:
    """Open a folder or zip; `what` and `path` are named in refusals, `index` is the file that lists all others."""
    return _Folder(path, what) if path.is_dir() else _Zip(path, what, index)


def small_file(files: Files, sizes: dict[str, int], name: str, most: int, what: str, path: Path) -> bytes:
    """Return a file of at most `most` bytes.

    Raises
    ------
    BundleError
        If it is missing or larger.
    """
    if name not in sizes:
        raise refusal(what, path, f"{name} is missing")
    if sizes[name] > most:
        raise refusal(what, path, f"{name} holds {sizes[name]} bytes, at most {most} are read")
    with files.open(name) as file:
        return file.read(most)


def hash_file(files: Files, name: str) -> str:
    """Return a file's SHA-256."""
    digest = hashlib.sha256()
    with files.open(name) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def refusal(what: str, path: Path, why: str) -> BundleError:
    """Return the error that refuses a container."""
    return BundleError(
        f"{what} {path}: {why}", remedy=f"Copy the {what} again from its source; `msu {what} verify` checks it."
    )
