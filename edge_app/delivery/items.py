"""What one outbox row means in files: originals in the order the centre wants them, or the objects of a result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage

from edge_app.core.errors import SendError
from edge_app.store.paths import StorePaths
from edge_app.store.rows import InstanceRow

__all__ = ["Item", "data_set_of", "item_of_document", "item_of_file", "items_of_instances", "verify"]

_LENGTH_TAG = b"\x02\x00\x00\x00UL\x04\x00"
"""FileMetaInformationGroupLength (0002,0000), always the first element after the prefix (PS3.10 Section 7.1)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to send. `sha256` is over the data set's bytes, the part of the file that crosses the wire."""

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    sha256: str

    @property
    def is_document(self) -> bool:
        """Tell whether it is text for a web server instead of a DICOM object; then `sha256` is over the whole file."""
        return not self.sop_class_uid

    @property
    def is_message(self) -> bool:
        """Tell whether it is what a result says in 4 KB: that waits for nothing."""
        return self.is_document or self.sop_class_uid == BasicTextSRStorage


def item_of_document(path: Path, identifier: str) -> Item:
    """Return the item for a JSON document of ours; `identifier` stands in the place of the SOP Instance UID."""
    return Item(identifier, "", "", path, hashlib.sha256(_content(path)).hexdigest())


def items_of_instances(
    instances: Iterable[InstanceRow], paths: StorePaths, first: Sequence[str] = ()
) -> tuple[Item, ...]:
    """Return a study's originals: the SOP Instance UIDs in `first` (key slices) lead, the rest as they arrived."""
    rank = {uid: number for number, uid in enumerate(first)}
    ordered = sorted(instances, key=lambda row: (rank.get(row.sop_uid, len(rank)), row.id))
    return tuple(
        Item(row.sop_uid, row.sop_class_uid, row.transfer_syntax_uid, paths.root / row.path, row.sha256)
        for row in ordered
    )


def item_of_file(path: Path) -> Item:
    """Return the item for an object of ours."""
    meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
    return Item(
        sop_uid=str(meta.MediaStorageSOPInstanceUID),
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        path=path,
        sha256=hashlib.sha256(data_set_of(path)).hexdigest(),
    )


def data_set_of(path: Path) -> bytes:
    """Return a Part 10 file's data set as it is encoded: everything behind the file meta information.

    Raises
    ------
    SendError
        If the file cannot be read or has no file meta information.
    """
    content = _content(path)
    if content[128:132] != b"DICM" or content[132:140] != _LENGTH_TAG:
        raise SendError(f"{path.name} is not a DICOM file", remedy="Check the store's disk.")
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SendError(f"{path.name} cannot be read: {error}", remedy="Check the store's disk.") from error


def verify(item: Item) -> None:
    """Make sure that the file still holds what was received: a damaged image must not leave under its old UID.

    Raises
    ------
    SendError
        If it does not, or cannot be read.
    """
    content = _content(item.path) if item.is_document else data_set_of(item.path)
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise SendError(f"{item.path.name} has changed on disk", remedy="Check the store's disk.")
