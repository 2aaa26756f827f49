"""Slices in order of position: one `Stack` from the headers of a series.

Order comes from ImagePositionPatient projected on the slice normal, never from InstanceNumber, file names or arrival
(PS3.3 C.7.6.2.1.1). The normal is turned to the head, so that feet-first, prone and reversed copies give one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import HeaderError
from edge_app.core.types import SliceHeader

__all__ = ["Gap", "Stack", "order_slices"]

SAME_POSITION_MM = 0.01
"""Slices nearer than this lie at one position."""

SAME_DIRECTION_COSINE = 0.9998
"""Row and column directions closer than about 1.1° are one orientation; rounding of decimal strings stays below."""

JUMP_FACTOR = 1.5
"""A step beyond this many expected steps means that a slice is missing between."""

_NEIGHBOURS = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """A jump between two neighbouring slices where at least one more should lie."""

    after: int
    """Index, in the stack, of the slice below the jump."""
    from_mm: float
    to_mm: float
    missing: int
    """How many slices fit in between."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The slices of one series, foot to head.

    All tuples of slices have N entries; `gaps_mm` has N − 1.
    """

    headers: tuple[SliceHeader, ...]
    positions_mm: tuple[float, ...]
    """Along the normal; only differences matter."""
    gaps_mm: tuple[float, ...]
    tilt_deg: float
    """Angle between the slice normal and the body axis (z): gantry tilt, or 90 for sagittal and coronal slices."""
    spacing_mm: float
    """Median distance of neighbouring positions; 0 where there is only one."""
    orientations_agree: bool
    duplicates: tuple[tuple[str, ...], ...]
    """SOP Instance UIDs of slices that share a position, one tuple per position."""
    missing: tuple[Gap, ...]
    coverage_mm: float
    """From the lower face of the first slice to the upper face of the last, taking a slice as one spacing thick."""

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID of the first slice."""
        return self.headers[0].series_uid

    @property
    def thickness_mm(self) -> float | None:
        """Median SliceThickness, None where no header has one."""
        known = [header.slice_thickness_mm for header in self.headers if header.slice_thickness_mm is not None]
        return float(np.median(known)) if known else None

    @property
    def gap_free(self) -> bool:
        """Whether every position holds one slice and none is missing between."""
        return not self.missing and not self.duplicates


def order_slices(headers: Sequence[SliceHeader]) -> Stack:
    """Order the slices of one series from foot to head.

    Raises
    ------
    HeaderError
        If there are no slices, or one has no ImagePositionPatient or ImageOrientationPatient.
    """
    if not headers:
        raise HeaderError("a series without slices has no geometry", remedy="Send the series again.")
    points = np.array([_position(header) for header in headers])
    directions = np.array([_orientation(header) for header in headers])
    normal = _normal(directions)
    along = points @ normal
    # The UID decides between slices at one position, so that the order of arrival never does.
    order = sorted(range(len(headers)), key=lambda index: (round(float(along[index]), 3), headers[index].sop_uid))
    ordered = tuple(headers[index] for index in order)
    positions = tuple(float(along[index]) for index in order)
    gaps = tuple(float(gap) for gap in np.diff(positions))
    steps = [gap for gap in gaps if gap > SAME_POSITION_MM]
    spacing = float(np.median(steps)) if steps else 0.0
    return Stack(
        headers=ordered,
        positions_mm=positions,
        gaps_mm=gaps,
        tilt_deg=float(np.degrees(np.arccos(np.clip(abs(normal[2]), 0.0, 1.0)))),
        spacing_mm=spacing,
        orientations_agree=_agree(directions),
        duplicates=_duplicates(ordered, gaps),
        missing=_missing(ordered, positions),
        coverage_mm=positions[-1] - positions[0] + (spacing or ordered[0].slice_thickness_mm or 0.0),
    )


def _position(header: SliceHeader) -> tuple[float, float, float]:
    if header.image_position_mm is None:
        raise HeaderError("ImagePositionPatient is missing", remedy="Send an original axial series.")
    return header.image_position_mm


def _orientation(header: SliceHeader) -> tuple[float, ...]:
    if header.image_orientation is None:
        raise HeaderError("ImageOrientationPatient is missing", remedy="Send an original axial series.")
    return header.image_orientation


def _normal(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the commonest slice normal, turned to the head (or, where it has no z, along its largest component)."""
    normals = np.cross(directions[:, :3], directions[:, 3:])
    largest = np.abs(normals).argmax(axis=1)
    signs = np.sign(normals[np.arange(len(normals)), largest])
    normals *= signs[:, None]
    normal: NDArray[np.float64] = np.median(normals, axis=0)
    length = float(np.linalg.norm(normal))
    # Three mutually perpendicular slices have no median direction; such a mix is refused, but must not divide by zero.
    return normal / length if length > 0.1 else normals[0]


def _agree(directions: NDArray[np.float64]) -> bool:
    rows = directions[:, :3] @ directions[0, :3]
    columns = directions[:, 3:] @ directions[0, 3:]
    return bool(min(rows.min(), columns.min()) > SAME_DIRECTION_COSINE)


def _duplicates(headers: tuple[SliceHeader, ...], gaps_mm: tuple[float, ...]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = [[headers[0].sop_uid]]
    for header, gap in zip(headers[1:], gaps_mm, strict=True):
        if gap > SAME_POSITION_MM:
            groups.append([])
        groups[-1].append(header.sop_uid)
    return tuple(tuple(group) for group in groups if len(group) > 1)


def _missing(headers: tuple[SliceHeader, ...], positions_mm: tuple[float, ...]) -> tuple[Gap, ...]:
    """Find jumps beyond the slice thickness.

    Unequal steps are no jumps: many protocols scan the posterior fossa thin and the rest thick. A jump is a step beyond
    1.5 times what the thickness of its two slices fills; where both are equally thick (or the thickness is unknown)
    also one beyond 1.5 times the steps around it, because overlapping slices can hide a loss from the first rule.
    """
    kept = [0] + [i for i in range(1, len(headers)) if positions_mm[i] - positions_mm[i - 1] > SAME_POSITION_MM]
    steps = [positions_mm[above] - positions_mm[below] for below, above in pairwise(kept)]
    found = []
    for index, step in enumerate(steps):
        lower, upper = headers[kept[index]].slice_thickness_mm, headers[kept[index + 1]].slice_thickness_mm
        expected = [] if lower is None or upper is None else [(lower + upper) / 2]
        around = steps[max(0, index - _NEIGHBOURS) : index] + steps[index + 1 : index + 1 + _NEIGHBOURS]
        if lower == upper and around:
            expected.append(float(np.median(around)))
        if expected and step > JUMP_FACTOR * min(expected):
            below, above = positions_mm[kept[index]], positions_mm[kept[index + 1]]
            found.append(Gap(kept[index + 1] - 1, below, above, max(1, round(step / min(expected)) - 1)))
    return tuple(found)
