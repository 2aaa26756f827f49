"""Is the picture good enough for the model? Motion, metal, truncation and noise against limits frozen from data.

A study is not judged by its single worst slice: a score counts for the study when it is reached over `MIN_HEIGHT_MM`
of head. The limits are data (``quality.json``), made by ``tests/benchmarks/freeze_quality.py`` from good synthetic
heads of every scanner; what lies above makes the answer INDETERMINATE, never a silent result (SCREEN.md R20).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from edge_app.core.reasons import reason
from edge_app.core.types import Reason, SliceMeasures
from edge_app.series.geometry import Stack
from edge_app.series.head import shows_brain, slice_heights_mm

__all__ = ["ARTEFACTS", "MIN_HEIGHT_MM", "artefact_scores", "check_quality", "quality_limits"]

ARTEFACTS = ("motion", "metal", "truncation", "noise")
"""Kinds of artefact, in the order in which a reason names them."""

MIN_HEIGHT_MM = 8.0
"""Two thick slices or more: what one slice shows may be anatomy."""

BREAK_SHARE = 0.08
"""Of the largest section: how far one slice's may lie off both its neighbours' on the same side. Good synthetic heads
of every scanner reach 0.012, the real head 0.029; a slice of which a part is lost or rubbish, 0.2 and more."""

_LARGE_SHARE = 0.7
"""Of the largest brain area: nearer to vertex and base the skull lies aslant, which widens its edge as motion does."""


@lru_cache(maxsize=1)
def quality_limits() -> dict[str, float]:
    """Return the highest allowed score of each kind: mm, mm², mm and HU."""
    content = json.loads(files("edge_app.series").joinpath("quality.json").read_text(encoding="utf-8"))
    return {name: float(content["limits"][name]) for name in ARTEFACTS}


def artefact_scores(stack: Stack, measures: Sequence[SliceMeasures]) -> dict[str, float]:
    """Return, for each kind of artefact, the score that is reached over `MIN_HEIGHT_MM` of head; 0 without brain."""
    heights = dict(zip((h.sop_uid for h in stack.headers), slice_heights_mm(stack), strict=True))
    return {
        kind: _reached([(value, heights[uid]) for uid, value in values.items()])
        for kind, values in _by_slice(stack, measures).items()
    }


def check_quality(stack: Stack, measures: Sequence[SliceMeasures]) -> Reason | None:
    """Return the reason to call a study's answer INDETERMINATE for its image quality, naming artefacts and slices."""
    limits = quality_limits()
    scores = artefact_scores(stack, measures)
    spoiled = [kind for kind in ARTEFACTS if scores[kind] > limits[kind]]
    breaks = _breaks(stack, measures)
    if not spoiled and not breaks:
        return None
    numbers = {header.sop_uid: index + 1 for index, header in enumerate(stack.headers)}
    by_slice = _by_slice(stack, measures)
    named = [
        f"{kind} in slices {_ranges([numbers[uid] for uid, value in by_slice[kind].items() if value > limits[kind]])}"
        for kind in spoiled
    ]
    if breaks:
        named.append(f"slices {_ranges(breaks)} unlike their neighbours")
    return reason("Q-16", "; ".join(named))


def _by_slice(stack: Stack, measures: Sequence[SliceMeasures]) -> dict[str, dict[str, float]]:
    """Return the scores of the slices that count for each kind, by SOP Instance UID, foot to head."""
    known = {m.sop_uid: m for m in measures}
    ordered = [known[header.sop_uid] for header in stack.headers if header.sop_uid in known]
    with_brain = [index for index, m in enumerate(ordered) if shows_brain(m)]
    if not with_brain:
        return {kind: {} for kind in ARTEFACTS}
    # Streaks may hide the brain of a slice; it lies between slices that show it all the same.
    cranial = ordered[with_brain[0] : with_brain[-1] + 1]
    brain = [ordered[index] for index in with_brain]
    largest = max(m.brain_area_mm2 for m in brain)
    found = {
        "motion": {m.sop_uid: m.skull_edge_mm for m in brain if m.brain_area_mm2 >= _LARGE_SHARE * largest},
        "metal": {m.sop_uid: m.metal_area_mm2 for m in cranial},
        "truncation": {m.sop_uid: m.cut_length_mm for m in cranial},
        "noise": {m.sop_uid: m.noise_hu for m in brain},
    }
    return {kind: {uid: v for uid, v in values.items() if not math.isnan(v)} for kind, values in found.items()}


def _breaks(stack: Stack, measures: Sequence[SliceMeasures]) -> list[int]:
    """Return the numbers of slices that do not continue their neighbours: damaged, or another's."""
    known = {m.sop_uid: m.body_fraction for m in measures}
    sections = [known.get(header.sop_uid, math.nan) for header in stack.headers]
    largest = max((value for value in sections if not math.isnan(value)), default=0.0)
    found = []
    for index in range(1, len(sections) - 1):
        below, above = sections[index] - sections[index - 1], sections[index] - sections[index + 1]
        if below * above > 0 and min(abs(below), abs(above)) > BREAK_SHARE * largest:
            found.append(index + 1)
    return found


def _reached(values: Sequence[tuple[float, float]]) -> float:
    """Return the largest score that slices of together `MIN_HEIGHT_MM` have reached, from (score, height) pairs."""
    total_mm = 0.0
    for value, height_mm in sorted(values, reverse=True):
        total_mm += height_mm
        if total_mm >= MIN_HEIGHT_MM:
            return value
    return 0.0


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``3-5, 9`` for 3, 4, 5, 9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
