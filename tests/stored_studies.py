"""Small studies in a real store, as the receiver and the worker leave them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

from edge_app.core.types import (
    ModelIdentity,
    Reason,
    SliceResult,
    StudyResult,
    StudyStatus,
    Verdict,
)
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import FrameRow, Ledger

__all__ = ["add_ct_study", "ct_slice", "ct_uid", "encoded", "study_result"]


def ct_uid(study: int, number: int | None = None) -> str:
    """Return the UID of a study, or of one of its slices."""
    return f"1.2.826.0.1.3680043.10.999.{study}" + ("" if number is None else f".{number}")


def ct_slice(study: int, number: int, *, size: int = 64, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """Return one valid CT Image Storage instance: a bright disc that grows from slice to slice."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ct_uid(study, number)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260314"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "140200"
    ds.AccessionNumber = f"A-{study:04d}"
    ds.Modality = "CT"
    ds.Manufacturer = "SYNTHETIC Testwerk"
    ds.ManufacturerModelName = "SIM Test 1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Head"
    ds.SeriesDescription = "Head 5 mm soft"
    ds.PatientName = "Müster^Erika"
    ds.PatientID = f"PAT-{study}"
    ds.PatientBirthDate = "19510402"
    ds.PatientSex = "F"
    ds.PatientAge = "074Y"
    ds.KVP = "120"
    ds.SliceThickness = "5"
    ds.ConvolutionKernel = "H30"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = ct_uid(study)
    ds.SeriesInstanceUID = ct_uid(study, 0)
    ds.StudyID = str(study)
    ds.SeriesNumber = 3
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [-32, -32, 5 * number]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.FrameOfReferenceUID = ct_uid(study, 99_999)
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = size
    ds.PixelSpacing = [1, 1]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = "40", "80"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    y, x = np.mgrid[:size, :size] - size / 2
    disc = x**2 + y**2 < (5 + number) ** 2
    ds.PixelData = np.where(disc, 1024 + 60, 1024 + 30).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def encoded(ds: Dataset) -> bytes:
    """Return the bytes of the data set as they cross the wire."""
    syntax = ds.file_meta.TransferSyntaxUID
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(buffer, ds)
    return buffer.getvalue()


def add_ct_study(
    ledger: Ledger, study: int = 1, slices: int = 6, *, size: int = 64, syntax: str = ExplicitVRLittleEndian
) -> list[str]:
    """Take a study in as the receiver does, with the worker's frames; returns its SOP Instance UIDs."""
    inbox = Inbox(ledger, min_free_bytes=0)
    uids = []
    for number in range(1, slices + 1):
        ds = ct_slice(study, number, size=size, syntax=syntax)
        inbox.add_instance(
            encoded(ds),
            sop_uid=ds.SOPInstanceUID,
            sop_class_uid=ds.SOPClassUID,
            transfer_syntax_uid=syntax,
            association_id="test",
            source_aet="SCANNER",
        )
        uids.append(str(ds.SOPInstanceUID))
        add_frame(ledger, ds)
    return uids


def add_frame(ledger: Ledger, ds: Dataset) -> None:
    """Publish a slice as the worker does."""
    path = ledger.paths.frame(ds.StudyInstanceUID, ds.SOPInstanceUID)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = int(ds.Rows)
    hu = np.full((size, size), 30, np.int16)
    hu[size // 4 : size // 2, size // 4 : size // 2] = 75
    np.save(path, hu)
    ledger.put_frame(
        FrameRow(
            str(ds.SOPInstanceUID), str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID),
            float(ds.ImagePositionPatient[2]), 1.0, 1.0, size, size,
            path.relative_to(ledger.paths.root).as_posix(), "",
        )
    )  # fmt: skip


def study_result(
    study: int = 1,
    slices: int = 6,
    *,
    verdict: Verdict | None = Verdict.HEMORRHAGE,
    reasons: tuple[Reason, ...] = (),
    synthetic: bool = True,
    **changes: Any,
) -> StudyResult:
    """Return a result for the study that `add_ct_study` made."""
    with_scores = verdict is not None
    result = StudyResult(
        study_uid=ct_uid(study),
        patient_id=f"PAT-{study}",
        status=StudyStatus.RESULT if with_scores else StudyStatus.NO_RESULT,
        verdict=verdict,
        probabilities={"negative": 0.1, "hemorrhage": 0.87, "ischemic": 0.03} if with_scores else None,
        reasons=reasons,
        series_uid=ct_uid(study, 0),
        slices=tuple(
            SliceResult(
                ct_uid(study, n), 5.0 * n, {"negative": 0.2, "hemorrhage": 0.1 * n, "ischemic": 0.05} if n < 9 else {}
            )
            for n in range(1, slices + 1)
        ),
        model=ModelIdentity("demo", "1.0.0", "9f3c" * 16, synthetic) if with_scores else None,
        backend="onnxruntime-cpu" if with_scores else None,
        timings_ms={"last_slice_to_result": 812.0},
        key_slices=tuple(ct_uid(study, n) for n in (4, 2, 6) if n <= slices) if with_scores else (),
        quality=(),
    )
    return replace(result, **changes)
