"""What a disk holds after a power cut: a pessimist's file system, fed with recorded operations.

Only what was synced is sure: the bytes of a file by an fsync of the file, its name by an fsync of its folder. Of the
rest, each operation may have reached the disk or not, in any order; a random choice, or none, or all.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Operation", "read_operations", "write_disk"]


@dataclass(frozen=True)
class Operation:
    """One record of record_io.c."""

    kind: str
    path: str
    offset: int
    data: bytes


def read_operations(log: Path) -> list[Operation]:
    """Return what was recorded, in order."""
    content, at = log.read_bytes(), 0
    operations = []
    while at < len(content):
        kind, size = struct.unpack_from("<cI", content, at)
        at += 5
        path = content[at : at + size].decode()
        offset, length = struct.unpack_from("<QI", content, at + size)
        at += size + 12
        operations.append(Operation(kind.decode(), path, offset, content[at : at + length]))
        at += length
    return operations


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        self.safe = self._with(self.pending)
        self.pending = []

    def after_cut(self, survives: Iterator[bool]) -> bytes:
        return bytes(self._with([operation for operation in self.pending if next(survives)]))

    def _with(self, operations: list[Operation]) -> bytearray:
        content = bytearray(self.safe)
        for operation in operations:
            end = operation.offset + len(operation.data)
            if operation.kind == "T":
                del content[operation.offset :]
                end = operation.offset
            content.extend(bytes(max(0, end - len(content))))
            if operation.kind == "W":
                content[operation.offset : end] = operation.data
        return content


@dataclass
class _Folder:
    """Names now, and the changes of names since the last sync."""

    names: dict[str, _File | _Folder] = field(default_factory=dict)
    safe: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[tuple[tuple[str, _File | _Folder | None], ...]] = field(default_factory=list)

    def change(self, *changes: tuple[str, _File | _Folder | None]) -> None:
        self.pending.append(changes)
        _apply(self.names, changes)

    def sync(self) -> None:
        self.safe, self.pending = dict(self.names), []

    def write(self, folder: Path, survives: Iterator[bool]) -> None:
        folder.mkdir()
        names = dict(self.safe)
        for changes in self.pending:
            if next(survives):
                _apply(names, changes)
        for name, thing in names.items():
            if isinstance(thing, _Folder):
                thing.write(folder / name, survives)
            else:
                (folder / name).write_bytes(thing.after_cut(survives))


def _apply(names: dict[str, _File | _Folder], changes: tuple[tuple[str, _File | _Folder | None], ...]) -> None:
    for name, thing in changes:
        if thing is None:
            names.pop(name, None)
        else:
            names[name] = thing


def write_disk(operations: list[Operation], root: str, target: Path, survives: str, seed: int) -> None:
    """Write to `target` what the folder `root` may hold when power fails after the last of `operations`.

    Parameters
    ----------
    survives
        What becomes of operations that were not synced: "none", "all", or "some" (each by a coin of `seed`).
    """
    top = _Folder()
    for operation in operations:
        *folders, name = Path(operation.path).relative_to(root).parts or ("",)
        folder = top
        for part in folders:
            child = folder.names[part]
            assert isinstance(child, _Folder)
            folder = child
        _play(operation, folder, name, top, root)
    coin = random.Random(seed)
    top.write(target, iter(lambda: survives == "all" or (survives == "some" and coin.random() < 0.5), None))


def _play(operation: Operation, folder: _Folder, name: str, top: _Folder, root: str) -> None:
    thing = folder.names.get(name) if name else top
    if operation.kind == "C":
        folder.change((name, _File()))
    elif operation.kind == "M":
        folder.change((name, _Folder())) if name else None
    elif operation.kind == "U":
        folder.change((name, None))
    elif operation.kind == "R":
        assert thing is not None
        new = Path(operation.data.decode())
        assert new.parent == Path(operation.path).parent, "a rename within one folder is one operation"
        folder.change((name, None), (new.name, thing))
    elif operation.kind == "S":
        if thing is not None:
            thing.sync()
    elif isinstance(thing, _File):
        thing.pending.append(operation)
