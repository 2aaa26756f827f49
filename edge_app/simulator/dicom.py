"""Synthetic studies as DICOM objects: CT Image Storage (PS3.3 A.3), with a localizer and a dose screen if wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from edge_app.core.clock import utc_now
from edge_app.simulator.imaging import reconstruction_circle
from edge_app.simulator.study import SyntheticStudy

__all__ = ["UID_ROOT", "to_datasets", "write_study"]

UID_ROOT = "1.2.826.0.1.3680043.8.498."
"""Root of every UID made here (pydicom's own); the rest is a hash of seed and purpose."""
IMPLEMENTATION_UID = generate_uid(UID_ROOT, ["msu-triage simulator"])

_ENCODERS = {JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls", RLELossless: None}


def _uid(study: SyntheticStudy, study_key: str, *purpose: object) -> str:
    """Derive a UID that depends on nothing but its arguments (PS3.5 Section 9)."""
    words = [study.seed, study.label, study.personality.name, *(t.kind.value for t in study.lesions), study_key]
    return generate_uid(UID_ROOT, [str(w) for w in (*words, *purpose)])


def _file(sop_class: str, sop_instance: str, transfer_syntax: str) -> FileDataset:
    """Start an empty object with its file meta information (PS3.10 Section 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MSU_SIMULATOR"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_instance
    return ds


def _identify(ds: Dataset, study: SyntheticStudy, study_key: str, at: datetime, series: int, description: str) -> None:
    """Patient, study, series and equipment modules (PS3.3 C.7.1 to C.7.5)."""
    p, patient = study.personality, study.patient
    ds.SpecificCharacterSet = "ISO_IR 192" if p.names == "ideographic" else "ISO_IR 100"
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = patient.birth_date.strftime("%Y%m%d")
    ds.PatientSex = patient.sex
    if p.writes_age:
        ds.PatientAge = f"{patient.age_years:03d}Y"
    ds.PatientComments = "SYNTHETIC study made by a simulator; no person was scanned"
    ds.StudyInstanceUID = _uid(study, study_key, "study")
    ds.StudyDate, ds.StudyTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    ds.StudyID = str(study.seed % 10**9)
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "CT HEAD (SYNTHETIC)"
    ds.Modality = "CT"
    ds.SeriesInstanceUID = _uid(study, study_key, "series", series)
    ds.SeriesNumber = series
    ds.SeriesDate, ds.SeriesTime = ds.StudyDate, ds.StudyTime
    ds.SeriesDescription = description
    # Empty is allowed (Type 2C), and asked for when no body part tells that there is no left and right of it.
    ds.Laterality = ""
    ds.Manufacturer = p.manufacturer
    ds.ManufacturerModelName = p.model
    ds.InstitutionName = "SYNTHETIC"
    ds.StationName = p.name.upper()[:16]
    ds.SoftwareVersions = "msu-triage simulator"
    ds.DeviceSerialNumber = "SYNTHETIC"
    offset = at.utcoffset()
    if offset is not None:
        minutes = int(offset.total_seconds()) // 60
        ds.TimezoneOffsetFromUTC = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _stamp(ds: Dataset, at: datetime) -> None:
    ds.AcquisitionDate, ds.AcquisitionTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    ds.ContentDate, ds.ContentTime = ds.AcquisitionDate, ds.AcquisitionTime


def _describe_ct(ds: Dataset, study: SyntheticStudy, study_key: str) -> None:
    """Frame of reference, image plane and CT image modules (PS3.3 C.7.4.1, C.7.6.2, C.8.2.1)."""
    p = study.personality
    ds.PatientPosition = p.patient_position
    ds.FrameOfReferenceUID = _uid(study, study_key, "frame of reference")
    ds.PositionReferenceIndicator = ""
    if p.writes_body_part:
        ds.BodyPartExamined = "HEAD"
        del ds.Laterality
    ds.KVP = p.kvp
    ds.ConvolutionKernel = p.kernel
    ds.XRayTubeCurrent = 250
    ds.ExposureTime = 1000
    ds.GantryDetectorTilt = round(study.tilt_deg, 2)
    ds.ImageComments = "SYNTHETIC"


def _set_pixels(ds: Dataset, hu: npt.NDArray[np.int16], study: SyntheticStudy, *, padded: bool) -> None:
    """Image pixel, rescale and window (PS3.3 C.7.6.3, C.11.1, C.11.2)."""
    p = study.personality
    stored = hu.astype(np.int32) - p.intercept
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, p.bits_stored, p.bits_stored - 1
    ds.PixelRepresentation = int(p.signed)
    if padded and p.padding is not None:
        ds.PixelPaddingValue = p.padding
        stored[~reconstruction_circle(hu.shape[0])] = p.padding
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = p.intercept, 1, "HU"
    centres, widths = ([w[i] for w in p.windows] for i in (0, 1))
    ds.WindowCenter, ds.WindowWidth = (centres, widths) if len(centres) > 1 else (centres[0], widths[0])
    ds.PixelData = stored.astype("<i2" if p.signed else "<u2").tobytes()
    ds["PixelData"].VR = "OW"


def _encode(ds: Dataset, transfer_syntax: str) -> Dataset:
    """Compress where the scanner does (PS3.5 Annex A.4)."""
    if transfer_syntax in _ENCODERS:
        plugin = _ENCODERS[transfer_syntax]  # type: ignore[index]
        ds.compress(transfer_syntax, encoding_plugin=plugin or "", generate_instance_uid=False)
    return ds


def _instance_number(study: SyntheticStudy, index: int) -> int:
    count = len(study.hu)
    return {"ascending": index + 1, "descending": count - index, "all_one": 1}[study.personality.instance_numbers]


def to_datasets(
    study: SyntheticStudy,
    *,
    localizer: bool = False,
    dose_screen: bool = False,
    acquired_at: datetime | None = None,
    study_key: str = "",
) -> list[FileDataset]:
    """Turn a study into the objects its scanner would send, slices from the skull base upwards.

    Parameters
    ----------
    localizer, dose_screen
        Add a lateral LOCALIZER image before the slices, and a Secondary Capture dose page after them.
    acquired_at
        Start of the acquisition, with its time zone; now if None.
    study_key
        Varies all UIDs, for sending one study more than once.

    Returns
    -------
    list of FileDataset
        Complete with file meta information, encoded in the personality's transfer syntax.
    """
    at = acquired_at if acquired_at is not None else utc_now().astimezone()
    p = study.personality
    native = p.transfer_syntax if p.transfer_syntax == ImplicitVRLittleEndian else ExplicitVRLittleEndian
    found: list[FileDataset] = []
    if localizer:
        found.append(_localizer(study, study_key, at, native))
    for k, hu in enumerate(study.hu):
        ds = _file(CTImageStorage, _uid(study, study_key, "slice", k), native)
        _identify(ds, study, study_key, at, 2, f"HEAD {p.slice_mm:g} mm {p.kernel}")
        _stamp(ds, at + timedelta(seconds=0.7 * k))
        _describe_ct(ds, study, study_key)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.AcquisitionNumber = 1
        ds.InstanceNumber = _instance_number(study, k)
        ds.PixelSpacing = [p.spacing_mm, p.spacing_mm]
        ds.ImageOrientationPatient = [round(v, 8) for v in study.orientation]
        ds.ImagePositionPatient = [round(float(v), 5) for v in study.positions[k]]
        ds.SliceThickness = p.slice_mm
        ds.SliceLocation = round(float(study.positions[k][2]), 3)
        _set_pixels(ds, hu, study, padded=True)
        _encode(ds, p.transfer_syntax)
        found.append(ds)
    if dose_screen:
        found.append(_dose_screen(study, study_key, at, native))
    return found


def _localizer(study: SyntheticStudy, study_key: str, at: datetime, transfer_syntax: str) -> FileDataset:
    """Project the head from the side, its top at the top."""
    step = abs(float(study.positions[1][2] - study.positions[0][2]))
    pixel = study.spacing_mm[1]
    lateral = study.hu.mean(axis=2, dtype=np.float32)[::-1]
    rows = max(2, round(len(lateral) * step / pixel))
    image = cv2.resize(lateral, (lateral.shape[1], rows), interpolation=cv2.INTER_LINEAR)
    ds = _file(CTImageStorage, _uid(study, study_key, "localizer"), transfer_syntax)
    _identify(ds, study, study_key, at, 1, "LOCALIZER")
    _stamp(ds, at - timedelta(seconds=20))
    _describe_ct(ds, study, study_key)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = 1
    ds.PixelSpacing = [pixel, pixel]
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.ImagePositionPatient = [
        0,
        round(float(study.positions[0][1]), 5),
        round(float(study.positions[-1][2]) + step / 2, 5),
    ]
    ds.SliceThickness = None
    floor = max(-1024, study.personality.intercept)
    _set_pixels(ds, np.clip(image, floor, 3071).astype(np.int16), study, padded=False)
    del ds.RescaleType  # a projection is not in HU (PS3.3 C.8.2.1.1.2)
    return ds


def _dose_screen(study: SyntheticStudy, study_key: str, at: datetime, transfer_syntax: str) -> FileDataset:
    """Draw a page of text that claims Modality CT as real ones do (PS3.3 A.8.1)."""
    p = study.personality
    page = np.zeros((384, 512), dtype=np.uint8)
    lines = ("SYNTHETIC DOSE REPORT", p.model, f"kV {p.kvp}   mAs 250", "CTDIvol 48.2 mGy", "DLP 812 mGy*cm")
    for i, line in enumerate(lines):
        cv2.putText(page, line, (30, 60 + 44 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1, cv2.LINE_AA)
    ds = _file(SecondaryCaptureImageStorage, _uid(study, study_key, "dose screen"), transfer_syntax)
    _identify(ds, study, study_key, at, 999, "DOSE REPORT")
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.InstanceNumber = 1
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation = "NO"
    ds.ContentDate, ds.ContentTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = page.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = page.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def write_study(
    study: SyntheticStudy,
    folder: Path,
    *,
    localizer: bool = False,
    dose_screen: bool = False,
    acquired_at: datetime | None = None,
    study_key: str = "",
) -> list[Path]:
    """Write a study's objects into a folder, one Part 10 file each, and return the files in the order of sending."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    datasets = to_datasets(
        study, localizer=localizer, dose_screen=dose_screen, acquired_at=acquired_at, study_key=study_key
    )
    for number, ds in enumerate(datasets, start=1):
        path = folder / f"IM{number:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
