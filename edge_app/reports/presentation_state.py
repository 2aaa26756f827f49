"""How the key slices are meant to be looked at, as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

One object for all of them: they share the brain window, and on a thin link each object costs a round trip.
"""

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

from edge_app.reports.header import DEVICE_SERIAL_NUMBER, Kind, ReportInput, equipment, finish, reference, software
from edge_app.reports.words import SYNTHETIC, headline

__all__ = ["BRAIN_WINDOW_HU", "make_presentation_state"]

BRAIN_WINDOW_HU = (40.0, 80.0)
"""Centre and width of the screen's default window (SCREEN.md R50)."""


def make_presentation_state(report: ReportInput) -> Dataset | None:
    """Return the state for the key slices: brain window, and on each slice that an AI chose it; None without any."""
    images = [reference(source) for source in report.key_sources()]
    if not images:
        return None
    layer = GraphicLayer("AI", 1, description="AI key slices")
    marks = [f"AI KEY SLICE, NOT REVIEWED: {headline(report.result)}"]
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
    arguments: dict[str, Any] = equipment(report, Kind.PRESENTATION)
    centre_hu, width_hu = BRAIN_WINDOW_HU
    ds = GrayscaleSoftcopyPresentationState(
        referenced_images=images,
        manufacturer_model_name="msu-triage",
        software_versions=software(),
        device_serial_number=DEVICE_SERIAL_NUMBER,
        content_label="AI_KEY_SLICES",
        content_description="AI key slices in the brain window",
        graphic_layers=[layer],
        graphic_annotations=[GraphicAnnotation(images, layer, text_objects=text)],
        voi_lut_transformations=[SoftcopyVOILUTTransformation(window_center=centre_hu, window_width=width_hu)],
        content_creator_name="msu-triage^",
        **arguments,
    )
    finish(ds, report, Kind.PRESENTATION)
    ds.Laterality = ""  # Type 2C (PS3.3 C.7.3.1); the head is not a paired body part
    local = report.created.astimezone()
    ds.PresentationCreationDate, ds.PresentationCreationTime = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    return ds
