"""One DICOM file of a data set → its header and HU, with the known faults of published data sets put right.

Data sets are not scanners. Kaggle's RSNA files have no SOPClassUID, and some of them hold negative CT numbers wrapped
round at 4096. Both are repaired here and nowhere else: the vehicle stays strict.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from edge_app.core.errors import InputError, NotDicomError
from edge_app.core.types import SliceHeader, SliceImage
from edge_app.series.headers import MAX_FILE_BYTES, PYDICOM_ERRORS, quiet_pydicom, read_header
from edge_app.series.pixels import decode_slice
from edge_app.series.selection import CT_IMAGE_STORAGE
from training.data.lookalikes import slice_fingerprint
from training.data.records import Reject

__all__ = ["SYNTHETIC", "FileFacts", "dicom_files", "examine", "load_header", "load_image"]

SYNTHETIC = "SYNTHETIC"
"""What the simulator writes into headers, or into the file meta information of a layout that has no such attribute."""

_NOT_DICOM_SUFFIXES = frozenset((".csv", ".txt", ".png", ".json", ".md", ".zip", ".gz"))
_WRAP = 4096
_WRAP_INTERCEPT = 100
_WRAPPED_FROM = 3000
"""Stored values from here on are air in a wrapped image; in a sound one only metal reaches them."""

_WRAPPED_SHARE = 0.05
_REMEDY = "The file is damaged; download it again."


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the index needs of one CT image file."""

    path: str
    """Relative to the source's root."""
    header: SliceHeader
    pixel_hash: str
    fingerprint: str
    """How the slice looks (`training.data.lookalikes`)."""
    synthetic: bool = False
    """Made by a simulator: its header or its file meta information says so."""


def dicom_files(folder: Path) -> list[Path]:
    """Return the files below `folder` that may be DICOM, sorted by path."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() not in _NOT_DICOM_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def examine(root: Path, path: Path, source: str, *, patient: str = "") -> FileFacts | Reject:
    """Read one file wholly; what cannot be used comes back as a `Reject` with its reason.

    Parameters
    ----------
    root, path, source
        The data set's folder, the file in it, and the data set's name.
    patient
        Takes the place of an empty PatientID, where the layout tells patients apart.
    """
    name = path.relative_to(root).as_posix()
    try:
        header, ds = load_header(path)
        if header.modality != "CT" or header.sop_class_uid != CT_IMAGE_STORAGE:
            return Reject(source, name, "not_ct", f"Modality is {header.modality!r}, not a CT image")
        if "LOCALIZER" in header.image_type:
            return Reject(source, name, "localizer", "a localizer, not a slice")
        if patient and not header.patient_id:
            header = replace(header, patient_id=patient)
        if not header.patient_id:
            return Reject(source, name, "no_patient", "PatientID is missing: the study cannot be split by patient")
        if header.image_position_mm is None or header.image_orientation is None:
            return Reject(source, name, "no_geometry", "ImagePositionPatient or ImageOrientationPatient is missing")
        image = decode_slice(ds, header)
    except InputError as error:
        return Reject(source, name, "unreadable", error.message)
    return FileFacts(name, header, _pixel_hash(image), slice_fingerprint(image.hu), _is_synthetic(ds))


def load_image(path: Path) -> SliceImage:
    """Read one slice as the index saw it.

    Raises
    ------
    InputError
        If the file cannot be read or decoded.
    """
    header, ds = load_header(path)
    return decode_slice(ds, header)


def load_header(path: Path) -> tuple[SliceHeader, pydicom.Dataset]:
    """Read a data set's file; fill in SOPClassUID and unwrap CT numbers where the data set's makers lost them.

    Raises
    ------
    InputError
        If it cannot be read, is no DICOM object, or lacks a UID; naming the file.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path} is larger than any CT image", remedy=_REMEDY)
        with quiet_pydicom():
            ds = pydicom.dcmread(io.BytesIO(path.read_bytes()))
            if "SOPClassUID" not in ds and str(ds.get("Modality", "")) == "CT":
                meta = getattr(ds, "file_meta", pydicom.Dataset())
                ds.SOPClassUID = meta.get("MediaStorageSOPClassUID", CT_IMAGE_STORAGE)
            _unwrap(ds)
    except InvalidDicomError as error:
        raise NotDicomError(f"{path} is not a DICOM object", remedy="Remove it from the data set.") from error
    except PYDICOM_ERRORS as error:
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}", remedy=_REMEDY) from error
    return read_header(ds), ds


def _is_synthetic(ds: pydicom.Dataset) -> bool:
    said = [str(ds.get(keyword, "")) for keyword in ("Manufacturer", "InstitutionName", "ImageComments")]
    said.append(str(getattr(ds, "file_meta", pydicom.Dataset()).get("ImplementationVersionName", "")))
    return any(SYNTHETIC in words for words in said)


def _unwrap(ds: pydicom.Dataset) -> None:
    """Undo the wrap of unsigned 12-bit images with a RescaleIntercept about 0, in which air is stored as 3096.

    Read as they stand, air would be denser than bone. Sound images have next to nothing at such values.
    """
    if ds.get("BitsStored") != 12 or ds.get("PixelRepresentation") != 0 or ds.get("BitsAllocated") != 16:
        return
    intercept = ds.get("RescaleIntercept")
    if intercept is None or abs(float(intercept)) > _WRAP_INTERCEPT or ds.get("RescaleSlope", 1) != 1:
        return
    data = ds.get("PixelData")
    if not isinstance(data, bytes) or len(data) != 2 * int(ds.Rows) * int(ds.Columns):
        return
    stored = np.frombuffer(data, "<u2")
    if np.count_nonzero(stored >= _WRAPPED_FROM) < _WRAPPED_SHARE * stored.size:
        return
    ds.PixelData = ((stored.astype(np.int32) + 1000) % _WRAP).astype("<u2").tobytes()
    ds.RescaleIntercept = float(intercept) - 1000


def _pixel_hash(image: SliceImage) -> str:
    if image.hu.min() == image.hu.max():
        return ""
    digest = hashlib.blake2b(np.asarray(image.hu.shape, "<i4").tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(image.hu, "<i2").tobytes())
    return digest.hexdigest()
