"""DICOM data set → `SliceHeader`: parsed once, tolerant of what is odd, strict about what identifies an image.

Scanners, PACS and anonymisers leave attributes out, write several values where one belongs, or text where a number
belongs. Such optional attributes become None (or ""): the gate decides what their absence means. Without its UIDs an
image cannot be told from another, so a missing UID raises.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import HeaderError, InputError, NotDicomError
from edge_app.core.types import SliceHeader
from edge_app.series.codestream import is_irreversible_jpeg2000
from edge_app.series.deflated import check_inflated_size
from edge_app.series.syntaxes import JPEG_2000_SYNTAXES, LOSSY_SYNTAXES

__all__ = ["MAX_FILE_BYTES", "load_instance", "quiet_pydicom", "read_header"]

MAX_FILE_BYTES = 256 << 20
"""No single-frame CT image comes near this; a bigger file is refused unread."""

_LARGEST, _SMALLEST = 1e12, 1e-12
"""What numbers in a header may be: no length, angle, scale or count of a CT image comes near either."""

_PREAMBLE_BYTES = 128
_FIRST_TAGS = (b"\x02\x00\x00\x00", b"\x02\x00\x01\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")
_MOMENT = re.compile(r"(\d{14})((?:\.\d+)?)([+-]\d{4})?", re.ASCII)
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Read without pydicom's validation warnings: odd values are judged here, not printed."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def load_instance(source: Path | bytes) -> tuple[SliceHeader, pydicom.Dataset]:
    """Read one DICOM object and its header.

    Parameters
    ----------
    source
        A file, or its bytes. A file without preamble is accepted if it begins like a data set (group 0002 or 0008).

    Raises
    ------
    NotDicomError
        If it is not a DICOM object.
    HeaderError
        If a UID is missing.
    InputError
        If it cannot be read, is too large, or would inflate to more than a CT image can need.
    """
    name = "object" if isinstance(source, bytes) else source.name
    data = _read_bytes(source, name)
    plausible = data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"
    if not plausible and data[:4] not in _FIRST_TAGS:
        raise NotDicomError(f"{name} is not a DICOM object", remedy="Give files that a scanner or PACS has written.")
    check_inflated_size(data, name)
    try:
        with quiet_pydicom():
            ds = pydicom.dcmread(io.BytesIO(data), force=not plausible)
            if _text(getattr(ds, "file_meta", pydicom.Dataset()), "MediaStorageSOPClassUID") == _DIRECTORY_CLASS:
                raise NotDicomError(f"{name} is a DICOMDIR, not an image", remedy="It lists images; give those.")
            return read_header(ds), ds
    except InvalidDicomError as error:
        raise NotDicomError(f"{name} is not a DICOM object: {error}", remedy="Give files a scanner wrote.") from error
    except PYDICOM_ERRORS as error:
        raise InputError(
            f"{name} cannot be read as DICOM: {type(error).__name__}: {error}",
            remedy="The file is damaged; send it again.",
        ) from error


def _read_bytes(source: Path | bytes, name: str) -> bytes:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{name} has {size} bytes, more than the {MAX_FILE_BYTES} a CT image may have",
                remedy="Only single-frame CT images are analysed.",
            )
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error}", remedy="Check the path and its permissions.") from error


def read_header(ds: pydicom.Dataset) -> SliceHeader:
    """Parse what the stages need of one data set.

    Raises
    ------
    HeaderError
        If SOPInstanceUID, SOPClassUID, StudyInstanceUID or SeriesInstanceUID is missing, naming the keyword.
    """
    with quiet_pydicom():
        position = _numbers(ds, "ImagePositionPatient", 3)
        orientation = _numbers(ds, "ImageOrientationPatient", 6)
        spacing = _numbers(ds, "PixelSpacing", 2)
        syntax = _transfer_syntax(ds)
        return SliceHeader(
            sop_uid=_uid(ds, "SOPInstanceUID"),
            sop_class_uid=_uid(ds, "SOPClassUID"),
            study_uid=_uid(ds, "StudyInstanceUID"),
            series_uid=_uid(ds, "SeriesInstanceUID"),
            transfer_syntax_uid=syntax,
            modality=_text(ds, "Modality"),
            image_type=_texts(ds, "ImageType"),
            rows=_integer(ds, "Rows") or 0,
            columns=_integer(ds, "Columns") or 0,
            image_position_mm=None if position is None else (position[0], position[1], position[2]),
            image_orientation=_orientation(orientation),
            pixel_spacing_mm=None if spacing is None or min(spacing) <= 0 else (spacing[0], spacing[1]),
            slice_thickness_mm=_positive(ds, "SliceThickness"),
            rescale_slope=_number(ds, "RescaleSlope"),
            rescale_intercept=_number(ds, "RescaleIntercept"),
            pixel_padding_value=_integer(ds, "PixelPaddingValue"),
            frame_of_reference_uid=_text(ds, "FrameOfReferenceUID"),
            instance_number=_integer(ds, "InstanceNumber"),
            acquisition_number=_integer(ds, "AcquisitionNumber"),
            series_number=_integer(ds, "SeriesNumber"),
            series_description=_text(ds, "SeriesDescription"),
            convolution_kernel=" ".join(_texts(ds, "ConvolutionKernel")),
            contrast_agent=_text(ds, "ContrastBolusAgent"),
            lossy=_is_lossy(ds, syntax),
            manufacturer=_text(ds, "Manufacturer"),
            manufacturer_model_name=_text(ds, "ManufacturerModelName"),
            images_in_acquisition=_integer(ds, "ImagesInAcquisition"),
            patient_id=_whole_text(ds, "PatientID"),
            patient_name=_whole_text(ds, "PatientName"),
            patient_birth_date=_text(ds, "PatientBirthDate"),
            patient_sex=_text(ds, "PatientSex"),
            patient_age=_text(ds, "PatientAge"),
            accession_number=_text(ds, "AccessionNumber"),
            study_date=_text(ds, "StudyDate"),
            study_time=_text(ds, "StudyTime"),
            study_description=_text(ds, "StudyDescription"),
            acquired_at=_acquired_at(ds),
        )


def _values(ds: pydicom.Dataset, keyword: str) -> list[object]:
    """Return an attribute's values; an absent, empty or unreadable attribute has none."""
    try:
        value = ds.get(keyword)
    except PYDICOM_ERRORS:
        return []
    if value is None or isinstance(value, pydicom.Sequence):
        return []
    return list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]


def _text(ds: pydicom.Dataset, keyword: str) -> str:
    values = _values(ds, keyword)
    if not values or isinstance(values[0], bytes):
        return ""
    return str(values[0]).strip(" \0")


def _whole_text(ds: pydicom.Dataset, keyword: str) -> str:
    """Return the text of an identity, also what stands behind a backslash: its first part alone is another's."""
    if any(isinstance(value, bytes) for value in _values(ds, keyword)):
        return ""
    return "\\".join(_texts(ds, keyword))


def _texts(ds: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(str(value).strip(" \0") for value in _values(ds, keyword))


def _number(ds: pydicom.Dataset, keyword: str) -> float | None:
    values = _values(ds, keyword)
    return _finite(values[0]) if values else None


def _positive(ds: pydicom.Dataset, keyword: str) -> float | None:
    value = _number(ds, keyword)
    return value if value is not None and value > 0 else None


def _integer(ds: pydicom.Dataset, keyword: str) -> int | None:
    value = _number(ds, keyword)
    return int(value) if value is not None and value == int(value) else None


def _numbers(ds: pydicom.Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    numbers = [_finite(value) for value in _values(ds, keyword)]
    if len(numbers) != count:
        return None
    found = tuple(number for number in numbers if number is not None)
    return found if len(found) == count else None


def _finite(value: object) -> float | None:
    """Return a number; None for none, and for one so large that differences of such numbers overflow.

    One so small that a quotient by it overflows is 0.
    """
    try:
        number = float(str(value).strip(" \0").replace(",", "."))
    except ValueError:
        return None
    if not math.isfinite(number) or abs(number) > _LARGEST:
        return None
    return number if abs(number) >= _SMALLEST else 0.0


def _orientation(values: tuple[float, ...] | None) -> tuple[float, float, float, float, float, float] | None:
    """Return row and column cosines as unit vectors; None where they are not two perpendicular directions."""
    if values is None:
        return None
    row_length, column_length = math.hypot(*values[:3]), math.hypot(*values[3:])
    if not (0.9 < row_length < 1.1 and 0.9 < column_length < 1.1):
        return None
    rx, ry, rz = (value / row_length for value in values[:3])
    cx, cy, cz = (value / column_length for value in values[3:])
    if abs(rx * cx + ry * cy + rz * cz) > 0.05:
        return None
    return (rx, ry, rz, cx, cy, cz)


def _uid(ds: pydicom.Dataset, keyword: str) -> str:
    values = _values(ds, keyword)
    uid = str(values[0]).strip(" \0") if len(values) == 1 else ""
    if not uid:
        what = "has several values" if len(values) > 1 else "is missing"
        raise HeaderError(f"{keyword} {what}", remedy="The sender must write it; send the study again.")
    return uid


def _transfer_syntax(ds: pydicom.Dataset) -> str:
    meta = getattr(ds, "file_meta", None)
    return "" if meta is None else _text(meta, "TransferSyntaxUID")


def _is_lossy(ds: pydicom.Dataset, syntax: str) -> bool:
    if _text(ds, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES:
        return True
    # .91 and .203 may hold either; the code stream tells, where the sender forgot to.
    return syntax in JPEG_2000_SYNTAXES and is_irreversible_jpeg2000(ds.get("PixelData", b""))


def _acquired_at(ds: pydicom.Dataset) -> str:
    zone, joined = _text(ds, "TimezoneOffsetFromUTC"), _text(ds, "AcquisitionDateTime")
    if joined:
        return _here(joined, zone)
    for prefix in ("Acquisition", "Content", "Series"):
        date, time = _text(ds, f"{prefix}Date"), _text(ds, f"{prefix}Time")
        if date:
            return _here(date + time, zone)
    return ""


def _here(said: str, zone: str) -> str:
    """Return a moment in this vehicle's time zone, where the image names its own (PS3.3 C.12.1.1.8), else as it is."""
    found = _MOMENT.fullmatch(said)
    zone = (found[3] if found else "") or zone
    if not found or not zone:
        return said
    try:
        at = datetime.strptime(found[1] + zone, "%Y%m%d%H%M%S%z").astimezone()
    except (ValueError, OverflowError):
        return said
    return f"{at:%Y%m%d%H%M%S}{found[2]}"
