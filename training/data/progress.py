"""What was found in a batch of files, kept until the index is written: a reading that was killed goes on from there.

A batch's file is named by the paths, sizes and times of its members, so files that changed are read again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edge_app.core.types import SliceHeader
from training.data.atomic import replacing
from training.data.files import FileFacts, examine
from training.data.records import Reject

__all__ = ["Batch", "examine_batch"]

_FORMAT = 2
"""Raise it with every change of what `examine` finds: older batches are then read again."""

_TUPLES = ("image_type", "image_position_mm", "image_orientation", "pixel_spacing_mm")


@dataclass(frozen=True, slots=True)
class Batch:
    """Files to examine together; `kept` is the folder for what was found, None keeps nothing."""

    source: str
    root: Path
    paths: tuple[Path, ...]
    kept: Path | None = None


def examine_batch(batch: Batch) -> list[FileFacts | Reject]:
    """Examine the files of a batch, or recall what an earlier run found in them."""
    if batch.kept is None:
        return [examine(batch.root, path, batch.source) for path in batch.paths]
    path = batch.kept / f"{_signature(batch)}.json.gz"
    try:
        return [_revive(body) for body in json.loads(gzip.decompress(path.read_bytes()))]
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        pass  # not there yet, or not whole: then the files are read
    found = [examine(batch.root, path, batch.source) for path in batch.paths]
    with replacing(path) as file:
        file.write(gzip.compress(json.dumps([asdict(item) for item in found]).encode(), compresslevel=1, mtime=0))
    return found


def _signature(batch: Batch) -> str:
    names = [str(_FORMAT), batch.source, *(f.name for f in fields(SliceHeader))]
    for path in batch.paths:
        status = path.stat()
        names.append(f"{path.relative_to(batch.root).as_posix()} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _revive(body: dict[str, Any]) -> FileFacts | Reject:
    if "code" in body:
        return Reject(**body)
    header: dict[str, Any] = {
        name: _tuple(value) if name in _TUPLES else value for name, value in body["header"].items()
    }
    return FileFacts(body["path"], SliceHeader(**header), body["pixel_hash"], body["fingerprint"], body["synthetic"])


def _tuple(value: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if value is None else tuple(value)
