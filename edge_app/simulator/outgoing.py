"""What is to be sent: find DICOM files in folders and read the little that an association must know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from edge_app.core.errors import InputError, NotDicomError

__all__ = ["Outgoing", "Skipped", "find_outgoing"]

_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One object on its way: a file, or a data set in memory."""

    source: Path | Dataset
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    meta_agrees: bool = True
    """The file meta information names the same class and instance as the data set; some editors forget to."""

    @property
    def name(self) -> str:
        """How to call it in a message."""
        return str(self.source) if isinstance(self.source, Path) else f"data set {self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file found in a folder that is not sent."""

    path: Path
    why: str


def _describe(source: Path | Dataset, ds: Dataset) -> Outgoing:
    meta = getattr(ds, "file_meta", None)
    missing = [k for k in ("SOPClassUID", "SOPInstanceUID") if not ds.get(k)]
    if meta is None or "TransferSyntaxUID" not in meta:
        missing.append("TransferSyntaxUID")
    if missing or meta is None:
        name = source if isinstance(source, Path) else "a data set"
        raise NotDicomError(f"{name} lacks {', '.join(missing)}", remedy="Send complete DICOM objects (PS3.10).")
    sop_class, sop_instance, study, series = (str(ds.get(keyword, "")) for keyword in _KEYWORDS)
    agrees = (meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")) == (sop_class, sop_instance)
    return Outgoing(source, sop_class, sop_instance, study, series, str(meta.TransferSyntaxUID), agrees)


def _read(path: Path) -> Outgoing | Skipped:
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
    except (InvalidDicomError, EOFError):
        return Skipped(path, "not a DICOM file")
    if ds.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return Skipped(path, "a DICOMDIR, not an image")
    try:
        return _describe(path, ds)
    except NotDicomError as error:
        return Skipped(path, error.message)


def _walk(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def find_outgoing(sources: Iterable[Path | Dataset]) -> tuple[list[Outgoing], list[Skipped]]:
    """Gather what is to be sent: folders in the order of their file names, files and data sets as given.

    Returns
    -------
    tuple
        What goes out, and the files in folders that do not, with the reason.

    Raises
    ------
    InputError
        A path that does not exist, or nothing to send at all.
    NotDicomError
        A file named by itself that is no DICOM file, or a data set that is not complete.
    """
    outgoing: list[Outgoing] = []
    skipped: list[Skipped] = []
    for source in sources:
        if isinstance(source, Dataset):
            outgoing.append(_describe(source, source))
        elif source.is_dir():
            for path in _walk(source):
                found = _read(path)
                (outgoing if isinstance(found, Outgoing) else skipped).append(found)  # type: ignore[arg-type]
        elif source.is_file():
            found = _read(source)
            if isinstance(found, Skipped):
                raise NotDicomError(f"{source} is {found.why}", remedy="Name DICOM files, or a folder that holds some.")
            outgoing.append(found)
        else:
            raise InputError(f"no file or folder {source}", remedy="Check the path.")
    if not outgoing:
        raise InputError("no DICOM file to send", remedy="Name DICOM files, or a folder that holds some.")
    return outgoing, skipped
