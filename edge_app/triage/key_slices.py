"""The slices a reader should see first, for every verdict: above all when nothing was detected (SCREEN.md R33)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import CLASSES

__all__ = ["KEY_SLICES", "choose_key_slices"]

KEY_SLICES = 5
"""How many are shown (R33; in a validation, reviewing five slices reduced 22 missed haemorrhages to 6)."""

MIN_DISTANCE = 2
"""Two key slices are at least this many slices apart: neighbours show the same finding."""


def choose_key_slices(probabilities: NDArray[np.floating], attention: NDArray[np.floating]) -> list[int]:
    """Return the indices of the most suspicious slices, most suspicious first.

    Parameters
    ----------
    probabilities
        (T, 3) of each slice in `CLASSES` order, foot to head.
    attention
        (T,) weight of each slice in the patient's answer.

    Notes
    -----
    Suspicion is the probability of any finding, weighed by attention between a half and one: a slice that the image
    network alone finds suspicious stays in the list even when the patient network looked elsewhere. Of equals the
    lower slice comes first.
    """
    finding = 1.0 - probabilities[:, CLASSES.index("negative")]
    highest = float(attention.max(initial=0.0))
    weight = 0.5 + 0.5 * attention / highest if highest > 0 else np.ones(len(attention))
    order = np.argsort(-(finding * weight), kind="stable")
    chosen: list[int] = []
    for index in map(int, order):
        if len(chosen) < KEY_SLICES and all(abs(index - other) >= MIN_DISTANCE for other in chosen):
            chosen.append(index)
    return chosen
