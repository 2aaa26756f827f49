"""Is it a head with brain, and where in the stack does it lie? From pixels only; BodyPartExamined is often wrong (R16).

A slice shows brain when bone encloses an area of a head's size that is mostly soft tissue of a brain's CT numbers. A
chest, a neck and an abdomen have no such ring; a skull with air or water in it has no such tissue. A skull with a large
part removed (craniectomy) does not enclose its brain and is refused as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_app.core.types import SliceMeasures
from edge_app.series.geometry import Stack

__all__ = [
    "brain_extent_mm",
    "brain_range",
    "has_body",
    "head_extent_mm",
    "looks_like_head",
    "shows_brain",
    "slice_heights_mm",
    "vertex_seen",
]

ENCLOSED_MM2 = (3000.0, 27000.0)
"""Skull interior that counts: the spinal canal has 300, an adult cranium at mid level 13 000–20 000, a pelvis more."""

MIN_BRAIN_SHARE = 0.6
"""Of the interior; orbits and sinuses take their part in low slices."""

BRAIN_MEDIAN_HU = (12.0, 60.0)
"""Median of the tissue inside the skull: 20–50 in parenchyma (R15), wider for atrophy and large bleeds; water is 0."""

MIN_BRAIN_EXTENT_MM = 45.0
"""Height over which brain must be seen; a cranium shows it over 80–120 mm."""

MIN_SKULL_MM2 = 250.0
"""Bone below which a slice lies above the vertex, or holds no part of a head."""

MIN_BODY_FRACTION = 0.02

MAX_VERTEX_SHARE = 0.6
"""The uppermost slice may show this share of the largest brain area; more means that the scan stops inside the head."""

VERTEX_TO_BASE_MM = 170.0
"""From the vertex down to below any skull base; what lies deeper is neck."""


def shows_brain(measures: SliceMeasures) -> bool:
    """Say whether a slice shows brain inside a skull."""
    return (
        ENCLOSED_MM2[0] <= measures.inside_area_mm2 <= ENCLOSED_MM2[1]
        and measures.brain_area_mm2 >= MIN_BRAIN_SHARE * measures.inside_area_mm2
        and BRAIN_MEDIAN_HU[0] <= measures.brain_median_hu <= BRAIN_MEDIAN_HU[1]
    )


def has_body(measures: Sequence[SliceMeasures]) -> bool:
    """Say whether half of the slices show an object at all, as opposed to air or noise."""
    return bool(measures) and float(np.median([m.body_fraction for m in measures])) >= MIN_BODY_FRACTION


def slice_heights_mm(stack: Stack) -> list[float]:
    """Return the height each slice stands for: half the distance to either neighbour, a full spacing at the ends."""
    if len(stack.headers) == 1:
        return [stack.coverage_mm]
    # A jump must not count as seen; an unequal step is none, as where thick slices follow thin ones.
    jumps = {jump.after for jump in stack.missing}
    gaps = [min(gap, 1.5 * stack.spacing_mm) if i in jumps else gap for i, gap in enumerate(stack.gaps_mm)]
    return [(below + above) / 2 for below, above in zip([gaps[0], *gaps], [*gaps, gaps[-1]], strict=True)]


def brain_extent_mm(stack: Stack, measures: Sequence[SliceMeasures]) -> float:
    """Return the height over which brain is seen."""
    seen = {m.sop_uid for m in measures if shows_brain(m)}
    return sum(
        height for header, height in zip(stack.headers, slice_heights_mm(stack), strict=True) if header.sop_uid in seen
    )


def head_extent_mm(stack: Stack, measures: Sequence[SliceMeasures]) -> float:
    """Return the height over which bone is seen, at most `VERTEX_TO_BASE_MM`: air above the vertex does not count."""
    seen = {m.sop_uid for m in measures if m.skull_area_mm2 >= MIN_SKULL_MM2}
    total = sum(
        height for header, height in zip(stack.headers, slice_heights_mm(stack), strict=True) if header.sop_uid in seen
    )
    return min(total, VERTEX_TO_BASE_MM)


def looks_like_head(stack: Stack, measures: Sequence[SliceMeasures]) -> bool:
    """Say whether brain is seen over enough height to be a head CT."""
    return brain_extent_mm(stack, measures) >= MIN_BRAIN_EXTENT_MM


def vertex_seen(stack: Stack, measures: Sequence[SliceMeasures]) -> bool | None:
    """Say whether the stack reaches the top of the head; None before the uppermost slice or any brain was measured."""
    by_uid = {m.sop_uid: m for m in measures}
    top = by_uid.get(stack.headers[-1].sop_uid)
    largest = max((m.brain_area_mm2 for m in measures if shows_brain(m)), default=0.0)
    if top is None or largest <= 0:
        return None
    return not shows_brain(top) or top.brain_area_mm2 <= MAX_VERTEX_SHARE * largest


def brain_range(stack: Stack, measures: Sequence[SliceMeasures], *, max_slices: int = 80) -> tuple[int, ...]:
    """Return the indices of the slices the patient model sees, foot to head.

    From the vertex (the uppermost slice with bone, or the top of the stack where none was measured) down to at most
    170 mm: a head-and-neck series is cut to its head. More than `max_slices` are thinned evenly, keeping both ends.
    """
    seen = {m.sop_uid for m in measures if m.skull_area_mm2 >= MIN_SKULL_MM2}
    with_bone = [index for index, header in enumerate(stack.headers) if header.sop_uid in seen]
    top = with_bone[-1] if with_bone else len(stack.headers) - 1
    floor_mm = stack.positions_mm[top] - VERTEX_TO_BASE_MM
    chosen = [index for index in range(top + 1) if stack.positions_mm[index] >= floor_mm]
    if len(chosen) <= max_slices:
        return tuple(chosen)
    picks = np.linspace(0, len(chosen) - 1, max_slices).round().astype(int)
    return tuple(chosen[pick] for pick in picks)
