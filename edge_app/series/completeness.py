"""When a series counts as complete: by geometry and how the sender behaves, never by a long timer alone.

SCREEN.md R08–R10.

Everything is a pure function of what has arrived and the monotonic clock; the worker asks again when told to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_app.core.config import CompletenessSettings
from edge_app.core.types import SliceHeader
from edge_app.series.geometry import Stack

__all__ = [
    "MIN_COVERAGE_MM",
    "MIN_SLICES",
    "AssociationState",
    "Completeness",
    "expected_slices",
    "is_geometry_complete",
    "judge",
]

MIN_COVERAGE_MM = 110.0
"""Head coverage below which no result is given (SCREEN.md R13)."""

MIN_SLICES = 20
"""Fewest slices of an analysable series (SCREEN.md R13)."""

MAX_CREDIBLE_SLICES = 1500


@dataclass(frozen=True, slots=True)
class AssociationState:
    """One association that brought slices of the series.

    `outcome` is open, released, aborted or lost, as in the ledger; `closed_s` is monotonic, None while open.
    """

    outcome: str
    closed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether the series may be judged now."""

    complete: bool
    """True when no more slices are waited for (also when they never came)."""
    geometry_complete: bool
    transfer_stopped: bool
    """The sender broke off before the geometry was complete: reason E-203 fits better than a missing slice."""
    final_after_s: float
    """Monotonic time at which it becomes complete if nothing else happens: when to look again."""
    why: str


def expected_slices(headers: Sequence[SliceHeader]) -> int | None:
    """Return how many slices the series will have, from ImagesInAcquisition, or None where that is not credible.

    It is credible when all slices agree on it and on AcquisitionNumber, and no more have come than it says.
    """
    counts = {header.images_in_acquisition for header in headers}
    if len(counts) != 1 or len({header.acquisition_number for header in headers}) != 1:
        return None
    (count,) = counts
    if count is None or not max(MIN_SLICES, len(headers)) <= count <= MAX_CREDIBLE_SLICES:
        return None
    return count


def is_geometry_complete(
    stack: Stack | None, *, brain_top_seen: bool | None = None, expected: int | None = None
) -> bool:
    """Say whether the slices at hand are a whole head: gap-free, enough of them, and far enough from foot to head.

    Parameters
    ----------
    stack
        The slices so far; None before the first axial one.
    brain_top_seen
        False when the uppermost slice still shows much brain, so that the vertex is yet to come; None if not known.
    expected
        `expected_slices`, where known: fewer than that is not complete.
    """
    if stack is None or brain_top_seen is False:
        return False
    if expected is not None and len(stack.headers) < expected:
        return False
    return stack.gap_free and len(stack.headers) >= MIN_SLICES and stack.coverage_mm >= MIN_COVERAGE_MM


def judge(
    *,
    stack: Stack | None,
    now_s: float,
    last_slice_s: float,
    associations: Sequence[AssociationState],
    settings: CompletenessSettings,
    brain_top_seen: bool | None = None,
    expected: int | None = None,
    late: bool = False,
) -> Completeness:
    """Decide whether to go on waiting for slices.

    Parameters
    ----------
    stack, brain_top_seen, expected
        See `is_geometry_complete`.
    now_s, last_slice_s
        Monotonic times: now, and when the last slice of the series came.
    associations
        Those that brought slices of this series, in any order.
    settings
        The three quiet times.
    late
        The series was complete and has a result already; a slice was added to it since.
    """
    geometry = is_geometry_complete(stack, brain_top_seen=brain_top_seen, expected=expected)
    outcomes = {association.outcome for association in associations}
    stopped = not geometry and bool(outcomes & {"aborted", "lost"}) and "open" not in outcomes
    since_s = max([last_slice_s] + [a.closed_s for a in associations if a.closed_s is not None])
    all_released = outcomes == {"released"}
    if not geometry:
        wait_s, why = last_slice_s + settings.quiet_incomplete_s, "geometry not complete"
    elif all_released and expected is not None and stack is not None and len(stack.headers) == expected:
        wait_s, why = last_slice_s, "all announced slices came and the sender has closed"
    elif late:
        wait_s, why = last_slice_s + settings.quiet_released_s, "a late slice of a series that was complete"
    elif all_released and len(associations) == 1:
        wait_s, why = since_s + settings.quiet_released_s, "geometry complete and the sender has closed"
    else:
        wait_s, why = last_slice_s + settings.quiet_s, "geometry complete"
    return Completeness(
        complete=now_s >= wait_s,
        geometry_complete=geometry,
        transfer_stopped=stopped,
        final_after_s=wait_s,
        why=why,
    )
