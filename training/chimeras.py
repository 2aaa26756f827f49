"""Studies with two findings, made of two studies: no public data set labels haemorrhage and infarct in one patient.

A network that answers each finding for itself (SCREEN.md R22), but has only seen patients with one, learns that one
excludes the other. So some training studies get a run of slices of another study at the same heights: those with its
lesion where it has one, and of a study without a lesion any run, so that being mixed says nothing. What the study shows
itself stays. Slices are mixed as features, after the image network; within one slice nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import FloatArray
from training.features import FeatureSet
from training.targets import Targets

__all__ = ["Chimera", "make_chimera"]

NEAR_MM = 3.0
"""A slice takes the place of one at most so far from it."""

LEAST = 2
"""Fewer slices with the other's lesion are no second finding."""


@dataclass(frozen=True, eq=False, slots=True)
class Chimera:
    """`rows` (T, F + 3) of the study with another's slices in it; `values` and `weight` (2,) as in `Targets`."""

    rows: FloatArray
    values: NDArray[np.float32]
    weight: NDArray[np.float32]


def make_chimera(data: FeatureSet, taught: Targets, host: int, guest: int, rng: np.random.Generator) -> Chimera | None:
    """Return `host` with a run of slices of `guest`, another class; None if too little of the guest's lesion shows.

    Parameters
    ----------
    taught
        Of all studies of `data`, in label mode ``findings``.
    """
    record, other = data.records[host], data.records[guest]
    own = np.asarray(record.slice_labels) != 0  # a slice without a label may show what the study is labelled for
    brought = np.asarray(other.slice_labels) == other.label if other.label > 0 else _run(len(other.slice_labels), rng)
    heights, others = data.heights_mm(host), data.heights_mm(guest)
    if not brought.any():
        return None
    donors = np.flatnonzero(brought)
    distance = np.abs(heights[:, None] - others[None, donors])
    replaced = (distance.min(axis=1) <= NEAR_MM) & ~own
    if replaced.sum() < LEAST:
        return None
    rows = data.features[host].copy()
    rows[replaced] = data.features[guest][donors[distance.argmin(axis=1)[replaced]]]
    values, weight = taught.values[host].copy(), taught.weight[host].copy()
    if other.label > 0:
        finding = other.label - 1
        values[finding], weight[finding] = 1.0, taught.weight[guest][finding]
    return Chimera(rows, values, weight)


def _run(slices: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a run of a fifth to a half of the slices."""
    length = max(LEAST, int(slices * rng.uniform(0.2, 0.5)))
    first = int(rng.integers(0, max(1, slices - length + 1)))
    chosen = np.zeros(slices, bool)
    chosen[first : first + length] = True
    return chosen
