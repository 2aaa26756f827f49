"""Calibrated probabilities to the one thing the screen may say.

Haemorrhage outranks everything (SCREEN.md R04): only when it is below its lower threshold is anything else said.
Between the two thresholds the answer is INDETERMINATE, and so it is for a study unlike the training data, or with
poor images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from edge_app.core.errors import BackendError
from edge_app.core.reasons import reason
from edge_app.core.types import Reason, Verdict

__all__ = ["ISCHAEMIA_OFF", "ISCHAEMIA_TOO", "Decision", "Thresholds", "decide"]

ISCHAEMIA_OFF = "ischaemic signs: not assessed"
"""Remark on results when the ischaemia output is switched off (R06)."""

ISCHAEMIA_TOO = "ischaemic signs also suspected"
"""Remark when both findings fire: the second line under the headline (R04)."""


class Thresholds(Protocol):
    """Two thresholds on one probability (`edge_app.inference.manifest.OperatingPoint`)."""

    @property
    def t_lo(self) -> float:
        """Return the threshold below which a finding is not detected."""

    @property
    def t_hi(self) -> float:
        """Return the threshold from which on a finding is suspected."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is said, why it is not said more clearly, and what is remarked beside it."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    ischaemic_signs: bool = False
    """Ischaemic signs are suspected, whatever the headline is."""
    remarks: tuple[str, ...] = ()


def decide(
    probabilities: Mapping[str, float],
    operating_points: Mapping[Literal["hemorrhage", "ischemic"], Thresholds],
    *,
    distance: float,
    distance_threshold: float,
    ischaemia_output: Literal["off", "research", "on"],
    doubts: tuple[Reason, ...] = (),
) -> Decision:
    """Decide what may be said of a patient (R04, R06, R20, R25).

    Parameters
    ----------
    probabilities
        Calibrated, by class.
    operating_points
        Thresholds of haemorrhage and of ischaemic signs.
    distance, distance_threshold
        How unlike the training data the study is, and from where on nothing is said of it.
    ischaemia_output
        `off` leaves ischaemic signs out of the decision.
    doubts
        Why the images are not good enough to say anything, e.g. motion; empty if they are.

    Raises
    ------
    BackendError
        If a number is NaN or infinite: no comparison with it means anything.
    """
    numbers = {**probabilities, "distance": distance}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise BackendError(f"the model's {name} is {value}", remedy="Read the images without AI.")
    hemorrhage = _level(probabilities["hemorrhage"], operating_points["hemorrhage"])
    ischemic = 0 if ischaemia_output == "off" else _level(probabilities["ischemic"], operating_points["ischemic"])
    off = (ISCHAEMIA_OFF,) if ischaemia_output == "off" else ()

    unlike = (reason("Q-20"),) if distance > distance_threshold else ()
    if doubts or unlike:
        return Decision(Verdict.INDETERMINATE, (*doubts, *unlike), ischemic == _SUSPECTED, off)
    if hemorrhage == _SUSPECTED:
        too = (ISCHAEMIA_TOO,) if ischemic == _SUSPECTED else ()
        return Decision(Verdict.HEMORRHAGE, (), bool(too), off + too)
    if hemorrhage == _BETWEEN:
        return Decision(Verdict.INDETERMINATE, (reason("Q-19", "haemorrhage"),), ischemic == _SUSPECTED, off)
    if ischemic == _SUSPECTED:
        return Decision(Verdict.ISCHEMIC, (), True, off)
    if ischemic == _BETWEEN:
        return Decision(Verdict.INDETERMINATE, (reason("Q-19", "ischaemic signs"),), False, off)
    return Decision(Verdict.NONE_DETECTED, (), False, off)


_BETWEEN, _SUSPECTED = 1, 2


def _level(probability: float, point: Thresholds) -> int:
    if probability >= point.t_hi:
        return _SUSPECTED
    return _BETWEEN if probability >= point.t_lo else 0
