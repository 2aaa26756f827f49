"""Thresholds from a site's own patients: what the hospital found, against what the model had scored.

Only haemorrhage: it is what outcomes are recorded for. The rule is the one of training (few misses below `t_lo`, few
false alarms from `t_hi` on), but each rate is believed only as far as its 95 % interval reaches down: few patients
allow no bold thresholds, and too few none at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_app.core.errors import InputError
from edge_app.triage.performance import Rate, rate

__all__ = ["LEAST_RATE", "MAX_T_LO", "MIN_T_HI", "SiteThresholds", "choose_site_thresholds", "rates_at"]

LEAST_RATE = 0.90
"""Lower end of the interval that sensitivity and specificity must reach (an engineering default)."""

MAX_T_LO, MIN_T_HI = 0.35, 0.50
"""A probability of 0.4 is never "not detected", nor "suspected", however easy the patients were."""

_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class SiteThresholds:
    """Two thresholds on the haemorrhage probability, and what they would have done to the patients they came from."""

    t_lo: float
    t_hi: float
    evidence: dict[str, Any]


def choose_site_thresholds(
    scores: Sequence[float], truth: Sequence[bool], before: tuple[float, float]
) -> SiteThresholds:
    """Choose thresholds.

    Parameters
    ----------
    scores, truth
        Of each patient: calibrated haemorrhage probability, and whether there was one.
    before
        Thresholds that were in use, for comparison.

    Raises
    ------
    InputError
        If the patients do not suffice to reach it, saying how many would.
    """
    bled = sorted(score for score, true in zip(scores, truth, strict=True) if true)
    others = sorted(score for score, true in zip(scores, truth, strict=True) if not true)
    missed = _allowed(len(bled), "with haemorrhage")
    false = _allowed(len(others), "without haemorrhage")
    # Rounded away from the patients: down to what must still be detected, up from what must not be suspected.
    t_lo = min(math.floor(bled[missed] * _STEPS) / _STEPS, MAX_T_LO)
    highest = math.floor(round(others[len(others) - 1 - false] * _STEPS, 6))  # 0.5005 times 10 000 is below 5005
    t_hi = min(max((highest + 1) / _STEPS, MIN_T_HI), 1.0)
    return SiteThresholds(
        t_lo,
        t_hi,
        {
            "least_rate": LEAST_RATE,
            "with_haemorrhage": len(bled),
            "without_haemorrhage": len(others),
            "now": rates_at(bled, others, t_lo, t_hi),
            "before": {"t_lo": before[0], "t_hi": before[1], **rates_at(bled, others, *before)},
        },
    )


def rates_at(bled: Sequence[float], others: Sequence[float], t_lo: float, t_hi: float) -> dict[str, Any]:
    """Return sensitivity (from `t_lo` on: suspected or INDETERMINATE), specificity (below `t_hi`), and abstentions."""
    everyone = (*bled, *others)
    return {
        "sensitivity": asdict(rate(sum(score >= t_lo for score in bled), len(bled))),
        "specificity": asdict(rate(sum(score < t_hi for score in others), len(others))),
        "abstention": asdict(rate(sum(t_lo <= score < t_hi for score in everyone), len(everyone))),
    }


def _allowed(count: int, what: str) -> int:
    """Return how many of `count` may be on the wrong side with the interval still reaching `LEAST_RATE`."""
    if not _reaches(rate(count, count)):
        needed = next(n for n in range(count + 1, 100_000) if _reaches(rate(n, n)))
        raise InputError(
            f"{count} patients {what} with a known outcome, at least {needed} are needed for {LEAST_RATE:.0%}",
            remedy="Import more outcomes, or keep the bundle's own thresholds.",
        )
    wrong = 0
    while _reaches(rate(count - wrong - 1, count)):
        wrong += 1
    return wrong


def _reaches(found: Rate) -> bool:
    return found.low is not None and found.low >= LEAST_RATE
