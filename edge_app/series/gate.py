"""The input gate: every reason why a series gets no AI result, the most fundamental first (SCREEN.md R13–R20).

Each check is one function that returns its reason or None. Their order is the order in which a reader would want to
hear them: what kind of object, can it be read, whose is it, how does it lie, is it whole, are the numbers CT numbers,
is it a head, may the model judge it. A series that shows a body but no head is called that before its gaps are counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from edge_app.core.reasons import reason
from edge_app.core.types import Reason, SliceHeader, SliceMeasures
from edge_app.series.completeness import MIN_COVERAGE_MM, MIN_SLICES
from edge_app.series.geometry import Stack
from edge_app.series.head import (
    MIN_BRAIN_EXTENT_MM,
    brain_extent_mm,
    has_body,
    head_extent_mm,
    looks_like_head,
    shows_brain,
    vertex_seen,
)
from edge_app.series.kernels import is_sharp
from edge_app.series.person import check_age, check_patients
from edge_app.series.selection import CT_IMAGE_STORAGE, MAX_TILT_DEG

__all__ = ["check", "check_conflicts", "pixel_problem"]

MAX_SPACING_MM = 6.0
"""Largest distance of neighbouring slices (R13)."""

SPACING_ROUNDING_MM = 0.05

PIXEL_SPACING_MM = (0.25, 1.1)
"""R13 asks for 0.3–0.8; planning CTs of the head come at 1.0 mm, which is still the resolution the model works at."""

MATRIX = (256, 1024)

AIR_RANGE_HU = (-1060.0, -880.0)
"""−1000 ± 60 (R15); the upper side is wider, because head rests and blankets fill the air of a small field of view."""

PARENCHYMA_HU = (15.0, 50.0)
"""Median of brain slices. R15 asks for 20–50; wide ventricles and a scanner's own offset take a healthy head to 24."""

MAX_VESSEL_P99_HU = 85.0
"""A quarter of the brain slices have their densest 1 % of tissue below this even with diffuse blood; it finds strong
contrast as in CT angiography, not a weak late phase (PS3.3 C.7.6.4 ContrastBolusAgent is asked first)."""

MAX_NOISE_HU = 25.0
"""Robust standard deviation of brain against its surroundings; even a thin slice at low dose stays below 15."""


def check(
    stack: Stack,
    measures: Sequence[SliceMeasures],
    *,
    conflicts: Collection[str] = (),
    study: Collection[SliceHeader] = (),
) -> tuple[Reason, ...]:
    """Return every reason against analysing a series, the most fundamental first; empty means it may be analysed.

    Parameters
    ----------
    stack
        The chosen series.
    measures
        Of every slice that could be decoded; a slice without counts as undecodable.
    conflicts
        SOP Instance UIDs of the study that came twice with different bytes.
    study
        Headers of all images of the study, whatever series they belong to; those of the stack are added.
    """
    first = stack.headers[0]
    own = [m for m in measures if m.sop_uid in {header.sop_uid for header in stack.headers}]
    found = [
        _check_object(stack),
        _check_lossy(stack),
        _check_rescale(stack),
        _check_decoded(stack, own),
        check_patients((*study, *stack.headers)),
        check_conflicts(conflicts),
        _check_orientation(stack),
        _check_duplicates(stack),
        _check_other_body(stack, own),
        _check_missing(stack),
        _check_count(stack),
        _check_spacing(stack),
        _check_pixels(stack),
        _check_air(own),
        _check_head(stack, own),
        _check_coverage(stack, own),
        _check_parenchyma(own),
        _check_kernel(stack),
        check_age(first, own),
        _check_contrast(stack, own),
        _check_noise(own),
    ]
    reasons: dict[str, Reason] = {}
    for item in found:
        if item is not None:
            reasons.setdefault(item.code, item)
    return tuple(reasons.values())


def _check_object(stack: Stack) -> Reason | None:
    for header in stack.headers:
        if header.sop_class_uid != CT_IMAGE_STORAGE:
            return reason("Q-14", "not CT Image Storage")
        if header.modality not in ("CT", ""):
            return reason("Q-14", f"modality {header.modality}")
        if "LOCALIZER" in header.image_type:
            return reason("Q-14", "localizer")
    return None


def _check_lossy(stack: Stack) -> Reason | None:
    count = sum(header.lossy for header in stack.headers)
    return reason("Q-06", f"{count} of {len(stack.headers)}") if count else None


def _check_rescale(stack: Stack) -> Reason | None:
    missing = sum(header.rescale_slope is None or header.rescale_intercept is None for header in stack.headers)
    return reason("Q-13", "rescale values missing") if missing else None


def _check_decoded(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    decoded = {m.sop_uid for m in measures}
    lost = [
        header
        for header in stack.headers
        if header.sop_uid not in decoded and header.rescale_slope is not None and header.rescale_intercept is not None
    ]
    return reason("Q-15", f"{len(lost)} of {len(stack.headers)}") if lost else None


def check_conflicts(conflicts: Collection[str]) -> Reason | None:
    """Return Q-17 where images of the study came twice with different bytes."""
    return reason("Q-17", f"{len(conflicts)} images") if conflicts else None


def _check_orientation(stack: Stack) -> Reason | None:
    if not stack.orientations_agree:
        return reason("Q-08", "slices lie in different directions")
    if stack.tilt_deg > MAX_TILT_DEG:
        return reason("Q-08", f"{stack.tilt_deg:.0f}° from axial")
    if len({header.frame_of_reference_uid for header in stack.headers} - {""}) > 1:
        return reason("Q-08", "several frames of reference")
    return None


def _check_duplicates(stack: Stack) -> Reason | None:
    count = sum(len(group) for group in stack.duplicates)
    return reason("Q-11", f"{count} slices at {len(stack.duplicates)} positions") if count else None


def _check_other_body(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    """Say "not a head" early when most slices show a body and none shows brain: its gaps do not matter then."""
    if has_body(measures) and not any(shows_brain(m) for m in measures):
        return reason("Q-01", "no brain inside a skull")
    return None


def _check_missing(stack: Stack) -> Reason | None:
    if not stack.missing:
        return None
    gap = stack.missing[0]
    more = f" and {len(stack.missing) - 1} more" if len(stack.missing) > 1 else ""
    return reason("Q-02", f"after slice {gap.after + 1}: {gap.to_mm - gap.from_mm:.1f} mm{more}")


def _check_count(stack: Stack) -> Reason | None:
    count = len(stack.headers)
    return reason("Q-10", f"{count}, at least {MIN_SLICES}") if count < MIN_SLICES else None


def _check_spacing(stack: Stack) -> Reason | None:
    if stack.spacing_mm > MAX_SPACING_MM + SPACING_ROUNDING_MM:
        return reason("Q-18", f"{stack.spacing_mm:.1f} mm")
    return None


def pixel_problem(header: SliceHeader) -> str:
    """Return what is wrong with a slice's pixel spacing or matrix, whatever its pixels are; "" if nothing is."""
    spacing = header.pixel_spacing_mm
    if spacing is None:
        return "pixel spacing missing"
    if not PIXEL_SPACING_MM[0] <= min(spacing) <= max(spacing) <= PIXEL_SPACING_MM[1]:
        return f"{spacing[0]:.2f} × {spacing[1]:.2f} mm"
    if not MATRIX[0] <= min(header.rows, header.columns) <= max(header.rows, header.columns) <= MATRIX[1]:
        return f"{header.rows} × {header.columns}"
    return ""


def _check_pixels(stack: Stack) -> Reason | None:
    problem = next(filter(None, map(pixel_problem, stack.headers)), "")
    if problem:
        return reason("Q-12", problem)
    sizes = {(header.rows, header.columns, header.pixel_spacing_mm) for header in stack.headers}
    return reason("Q-12", "differs between slices") if len(sizes) > 1 else None


def _check_air(measures: Sequence[SliceMeasures]) -> Reason | None:
    if not measures:
        return None
    values = [m.air_hu for m in measures if not math.isnan(m.air_hu)]
    if not values:
        return reason("Q-13", "no air around the body")
    median = float(np.median(values))
    if not AIR_RANGE_HU[0] <= median <= AIR_RANGE_HU[1]:
        return reason("Q-13", f"air at {median:.0f} HU")
    return None


def _check_head(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    if not measures or looks_like_head(stack, measures):
        return None
    extent = brain_extent_mm(stack, measures)
    return reason("Q-01", f"brain over {extent:.0f} mm, at least {MIN_BRAIN_EXTENT_MM:.0f}")


def _check_coverage(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    extent = head_extent_mm(stack, measures) if measures else stack.coverage_mm
    if min(extent, stack.coverage_mm) < MIN_COVERAGE_MM:
        return reason("Q-09", f"{min(extent, stack.coverage_mm):.0f} mm, at least {MIN_COVERAGE_MM:.0f}")
    if vertex_seen(stack, measures) is False:
        return reason("Q-09", "top of the head not imaged")
    return None


def _check_parenchyma(measures: Sequence[SliceMeasures]) -> Reason | None:
    values = [m.brain_median_hu for m in measures if shows_brain(m)]
    if not values:
        return None
    median = float(np.median(values))
    if not PARENCHYMA_HU[0] <= median <= PARENCHYMA_HU[1]:
        return reason("Q-13", f"brain at {median:.0f} HU")
    return None


def _check_kernel(stack: Stack) -> Reason | None:
    sharp = next(filter(is_sharp, stack.headers), None)
    return reason("Q-03", sharp.convolution_kernel or sharp.series_description) if sharp else None


def _check_contrast(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    agent = next((header.contrast_agent for header in stack.headers if header.contrast_agent), "")
    if agent:
        return reason("Q-07", agent[:40])
    values = [m.brain_p99_hu for m in measures if shows_brain(m)]
    quarter = float(np.percentile(values, 25)) if values else 0.0
    return reason("Q-07", f"vessels at {quarter:.0f} HU") if quarter > MAX_VESSEL_P99_HU else None


def _check_noise(measures: Sequence[SliceMeasures]) -> Reason | None:
    """Refuse only what no reader would accept; what is less than that is `edge_app.series.quality`'s to judge."""
    values = [m.noise_hu for m in measures if shows_brain(m)]
    if values and float(np.median(values)) > MAX_NOISE_HU:
        return reason("Q-16", f"noise {np.median(values):.0f} HU")
    return None
