"""Where the model looked, as a Parametric Map of each key slice (PS3.3 A.75): off by default, none for "not detected".

The map is as coarse as the model made it, in a frame of its own (PS3.3 C.7.6.16.2.3): nothing is interpolated, so that
no square edge pretends to be the border of a lesion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from edge_app.core.saliency import evidence
from edge_app.core.types import Verdict
from edge_app.reports.header import (
    DEVICE_SERIAL_NUMBER,
    Kind,
    Looked,
    ReportInput,
    equipment,
    finish,
    reference,
    software,
)

__all__ = ["MODEL_INPUT", "make_parametric_maps"]

MODEL_INPUT = 224
"""Pixels of the model input, in which `Looked.to_slice` counts."""

_LABELS = {
    Verdict.HEMORRHAGE: "hemorrhage",
    Verdict.INDETERMINATE: "hemorrhage",
    Verdict.ISCHEMIC: "ischemic",
}
"""Whose map goes out; a result that found nothing has none (SCREEN.md R37)."""

_STEPS = 65535
"""Stored values run from 0 to this."""

_SQUARE = 1e-3
"""How far the axes of a map may be from perpendicular (cosine): beyond, the frame cannot be written in DICOM."""


def make_parametric_maps(report: ReportInput) -> list[Dataset]:
    """Return a map for each key slice that has one, most suspicious first."""
    label = _LABELS.get(report.result.verdict) if report.result.verdict else None
    if label is None:
        return []
    made = []
    for number, source in enumerate(report.key_sources(), 1):
        looked = report.looked.get(str(source.SOPInstanceUID))
        picture = report.pictures.get(str(source.SOPInstanceUID))
        if looked is None or picture is None:
            continue
        frame = _frame(source, looked, picture.spacing_mm)
        if frame is not None:
            made.append(_map(report, number, source, evidence(looked.maps, label), label, *frame))
    return made


def _map(
    report: ReportInput,
    number: int,
    source: Dataset,
    values: NDArray[np.float32],
    label: str,
    measures: PixelMeasuresSequence,
    orientation: PlaneOrientationSequence,
    position: PlanePositionSequence,
) -> Dataset:
    finite = np.nan_to_num(values).astype(np.float32)
    low, high = float(finite.min()), float(finite.max())
    # 16-bit numbers and the line back to the values: more viewers show these than floats.
    step = (high - low) / _STEPS if high > low else 1.0
    stored = np.round((finite - low) / step).astype(np.uint16)
    arguments: dict[str, Any] = equipment(report, Kind.MAP, number)
    ds = ParametricMap(
        source_images=[reference(source)],
        pixel_array=stored[np.newaxis],
        manufacturer_model_name="msu-triage",
        software_versions=software(),
        device_serial_number=DEVICE_SERIAL_NUMBER,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=label[:16],
                lut_explanation=f"where the model looked for {label}",
                unit=codes.UCUM.NoUnits,
                value_range=(0, _STEPS),
                slope=step,
                intercept=low,
                quantity_definition=codes.DCM.ClassActivation,
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(_STEPS / 2, float(_STEPS))],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label=f"AI_LOOKED_{number}",
        content_description="Shows where the model looked, not the lesion border",
        content_creator_name="msu-triage^",
        pixel_measures=measures,
        plane_orientation=orientation,
        plane_positions=[position],
        **arguments,
    )
    ds.Laterality = ""  # Type 2C (PS3.3 C.7.3.1); the head is not a paired body part
    return finish(ds, report, Kind.MAP)


def _frame(
    source: Dataset, looked: Looked, spacing_mm: tuple[float, float]
) -> tuple[PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence] | None:
    """Return the map's place in the patient, or None where the source's is not known or the map lies askew."""
    if any(source.get(keyword) is None for keyword in ("ImageOrientationPatient", "ImagePositionPatient")):
        return None
    to_left, to_back, corner = _turned(source, spacing_mm)
    (a, b, x), (c, d, y) = looked.to_slice.tolist()
    rows, columns = looked.maps.shape[1:]
    step_x, step_y = MODEL_INPUT / columns, MODEL_INPUT / rows
    # A step to the next column and row of the map, and its first pixel's centre, in mm in the patient.
    across = (a * to_left + c * to_back) * step_x
    down = (b * to_left + d * to_back) * step_y
    first_x, first_y = step_x / 2 - 0.5, step_y / 2 - 0.5
    origin = corner + (a * first_x + b * first_y + x) * to_left + (c * first_x + d * first_y + y) * to_back
    across_mm, down_mm = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if min(across_mm, down_mm) == 0 or abs(float(across @ down)) > _SQUARE * across_mm * down_mm:
        return None
    thickness_mm = float(source.get("SliceThickness") or 1.0)
    directions = [float(value) for value in (*across / across_mm, *down / down_mm)]
    return (
        PixelMeasuresSequence((down_mm, across_mm), thickness_mm),
        PlaneOrientationSequence("PATIENT", directions),
        PlanePositionSequence("PATIENT", [float(value) for value in origin]),
    )


def _turned(
    source: Dataset, spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return one pixel's step to the left and to the back of the decoded slice, and its first pixel's centre, in mm.

    The decoder flips and transposes slices so that columns run to the patient's left and rows to the back
    (`SliceImage`); here the same is done to the header's geometry.
    """
    numbers = np.array([float(value) for value in source.ImageOrientationPatient])
    row_mm, column_mm = (float(value) for value in source.PixelSpacing)
    # Along a row the column index counts, and the other way round (PS3.3 C.7.6.2.1.1).
    steps = ((numbers[:3] * column_mm, int(source.Columns)), (numbers[3:] * row_mm, int(source.Rows)))
    left, back = steps if abs(numbers[0]) >= abs(numbers[3]) else steps[::-1]
    corner = np.array([float(value) for value in source.ImagePositionPatient])
    turned = []
    for (step, count), axis in ((left, 0), (back, 1)):
        if step[axis] < 0:
            corner = corner + step * (count - 1)
            step = -step
        turned.append(step / np.linalg.norm(step))
    return turned[0] * spacing_mm[1], turned[1] * spacing_mm[0], corner
