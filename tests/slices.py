"""Slices made of numbers: headers, stacks, measures, images and data sets for the tests of the pure stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from edge_app.core.types import SliceHeader, SliceImage, SliceMeasures
from edge_app.series.geometry import Stack, order_slices

__all__ = ["AXIAL", "CT", "dataset", "header", "headers_at", "measures", "phantom_head", "stack_of"]

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CT = "1.2.840.10008.5.1.4.1.1.2"


def header(z_mm: float = 0.0, **changes: Any) -> SliceHeader:
    """Return the header of an ordinary axial head CT slice at a height; keyword arguments replace its fields."""
    fields: dict[str, Any] = {
        "sop_uid": f"1.2.3.{round(z_mm * 1000) + 10_000_000}",
        "sop_class_uid": CT,
        "study_uid": "1.2.1",
        "series_uid": "1.2.2",
        "transfer_syntax_uid": str(ExplicitVRLittleEndian),
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "rows": 512,
        "columns": 512,
        "image_position_mm": (-115.0, -115.0, z_mm),
        "image_orientation": AXIAL,
        "pixel_spacing_mm": (0.45, 0.45),
        "slice_thickness_mm": 5.0,
        "rescale_slope": 1.0,
        "rescale_intercept": -1024.0,
        "pixel_padding_value": None,
        "frame_of_reference_uid": "1.2.4",
        "instance_number": 1,
        "acquisition_number": 1,
        "series_number": 2,
        "series_description": "HEAD",
        "convolution_kernel": "H31s",
        "contrast_agent": "",
        "lossy": False,
        "manufacturer": "MAKER",
        "manufacturer_model_name": "MODEL",
        "images_in_acquisition": None,
        "patient_id": "P1",
        "patient_name": "Doe^Jane",
        "patient_birth_date": "19500101",
        "patient_sex": "F",
        "patient_age": "074Y",
        "accession_number": "A1",
        "study_date": "20240501",
        "study_time": "120000",
        "study_description": "",
        "acquired_at": "20240501120000",
    }
    fields.update(changes)
    return SliceHeader(**fields)


def headers_at(positions_mm: Sequence[float], **changes: Any) -> list[SliceHeader]:
    """Return headers at the given heights."""
    return [header(z, **changes) for z in positions_mm]


def stack_of(count: int = 30, spacing_mm: float = 5.0, **changes: Any) -> Stack:
    """Return a regular stack."""
    return order_slices(headers_at([index * spacing_mm for index in range(count)], **changes))


def measures(sop_uid: str, **changes: Any) -> SliceMeasures:
    """Return the measures of an ordinary slice through the brain; keyword arguments replace them."""
    fields: dict[str, Any] = {
        "sop_uid": sop_uid,
        "air_hu": -1000.0,
        "body_fraction": 0.5,
        "skull_area_mm2": 3500.0,
        "inside_area_mm2": 15000.0,
        "brain_area_mm2": 13500.0,
        "brain_median_hu": 32.0,
        "brain_p99_hu": 50.0,
        "noise_hu": 4.0,
        "head_width_mm": 150.0,
        "head_height_mm": 190.0,
    }
    fields.update(changes)
    return SliceMeasures(**fields)


def phantom_head(
    rows: int = 512,
    columns: int = 512,
    spacing_mm: tuple[float, float] = (0.45, 0.45),
    *,
    lean_deg: float = 0.0,
    centre: tuple[float, float] | None = None,
    brain_hu: int = 32,
    table: bool = True,
    axes_mm: tuple[float, float] = (70.0, 90.0),
) -> SliceImage:
    """Return an elliptic head (scalp, skull, brain) in air, with a mark in its upper half and a table below.

    `centre` is (x, y) in pixels, `lean_deg` leans the top to the right, `axes_mm` are half the width and the height.
    """
    x0, y0 = centre or ((columns - 1) / 2, (rows - 1) / 2)
    y, x = np.mgrid[:rows, :columns]
    dx, dy = (x - x0) * spacing_mm[1], (y - y0) * spacing_mm[0]
    lean = np.radians(lean_deg)
    u, v = dx * np.cos(lean) + dy * np.sin(lean), -dx * np.sin(lean) + dy * np.cos(lean)
    hu = np.full((rows, columns), -1000, np.int16)
    if table:
        hu[(np.abs(dy - axes_mm[1] - 12) < 1.0) & (np.abs(dx) < 95)] = 150
    for shrink, value in ((0.0, 20), (6.0, 1100), (12.0, brain_hu)):
        hu[(u / (axes_mm[0] - shrink)) ** 2 + (v / (axes_mm[1] - shrink)) ** 2 < 1] = value
    hu[u**2 + (v + axes_mm[1] / 2) ** 2 < 64] = 70
    return SliceImage("1.2.3.1", hu, spacing_mm)


def dataset(stored: np.ndarray[Any, Any] | None = None, **changes: Any) -> FileDataset:
    """Return a small valid CT data set; keyword arguments set attributes, None removes them."""
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) if stored is None else stored
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = changes.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    fields: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.5",
        "Modality": "CT",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": 8 * pixels.dtype.itemsize,
        "HighBit": 8 * pixels.dtype.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "PixelSpacing": ["0.5", "0.4"],
        "ImagePositionPatient": ["1", "2", "3"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelData": pixels.tobytes(),
    }
    fields.update(changes)
    for keyword, value in fields.items():
        if value is not None:
            setattr(ds, keyword, value)
    ds["PixelData"].VR = "OW"
    return ds
