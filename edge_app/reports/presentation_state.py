"""How each key slice is meant to be looked at, as a Grayscale Softcopy Presentation State (PS3.3 A.33.1)."""

from __future__ import annotations

from typing import Any

from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextJustificationValues,
    TextObject,
)
from pydicom.dataset import Dataset

from edge_app.core.types import Verdict
from edge_app.reports.header import DEVICE_SERIAL_NUMBER, Kind, ReportInput, equipment, finish, reference, software
from edge_app.reports.words import SYNTHETIC, headline

__all__ = ["BRAIN_WINDOW_HU", "STROKE_WINDOW_HU", "make_presentation_states"]

BRAIN_WINDOW_HU = (40.0, 80.0)
"""Centre and width of the screen's default window (SCREEN.md R50)."""

STROKE_WINDOW_HU = (40.0, 40.0)
"""The narrower one, in which early ischaemic signs are easier to see."""


def make_presentation_states(report: ReportInput) -> list[Dataset]:
    """Return one state for each key slice, most suspicious first: window, rank, and that an AI chose it."""
    sources = report.key_sources()
    return [_state(report, source, number, len(sources)) for number, source in enumerate(sources, 1)]


def _state(report: ReportInput, source: Dataset, number: int, count: int) -> Dataset:
    image = reference(source)
    layer = GraphicLayer("AI", 1, description="AI key slices")
    marks = [f"AI KEY SLICE {number} of {count}, NOT REVIEWED: {headline(report.result)}"]
    if report.result.model and report.result.model.synthetic:
        marks.append(SYNTHETIC)
    text = [
        TextObject(
            mark,
            units=AnnotationUnitsValues.DISPLAY,
            bounding_box=(0.02, top, 0.98, top + 0.05),
            text_justification=TextJustificationValues.LEFT,
        )
        for mark, top in zip(marks, (0.02, 0.93), strict=False)
    ]
    arguments: dict[str, Any] = equipment(report, Kind.PRESENTATION, number)
    ischaemic = report.result.verdict is Verdict.ISCHEMIC
    centre_hu, width_hu = STROKE_WINDOW_HU if ischaemic else BRAIN_WINDOW_HU
    ds = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        manufacturer_model_name="msu-triage",
        software_versions=software(),
        device_serial_number=DEVICE_SERIAL_NUMBER,
        content_label=f"AI_KEY_SLICE_{number}",
        content_description=f"AI key slice, W {width_hu:.0f} L {centre_hu:.0f}",
        graphic_layers=[layer],
        graphic_annotations=[GraphicAnnotation([image], layer, text_objects=text)],
        voi_lut_transformations=[SoftcopyVOILUTTransformation(window_center=centre_hu, window_width=width_hu)],
        content_creator_name="msu-triage^",
        **arguments,
    )
    finish(ds, report, Kind.PRESENTATION)
    ds.Laterality = ""  # Type 2C (PS3.3 C.7.3.1); the head is not a paired body part
    local = report.created.astimezone()
    ds.PresentationCreationDate, ds.PresentationCreationTime = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    return ds
