"""What a probability means and from where on it is said: temperature, operating points, reliability.

Everything here is chosen on validation studies. Two thresholds per finding: below the lower one it is not detected,
from the upper one on it is suspected, and in between the vehicle says INDETERMINATE (SCREEN.md R25).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from edge_app.inference.manifest import OperatingPoint, ReliabilityBin
from edge_app.triage.site_thresholds import MAX_T_LO, MIN_T_HI

__all__ = [
    "MAX_ABSTENTION",
    "TARGET_SENSITIVITY",
    "TARGET_SPECIFICITY",
    "calibrated",
    "choose_operating_point",
    "fit_temperature",
    "reliability_bins",
]

TARGET_SENSITIVITY = 0.98
"""Share of validation studies with the finding that must not fall below the lower threshold."""

TARGET_SPECIFICITY = 0.98
"""Share of validation studies without the finding that must not reach the upper threshold."""

MAX_ABSTENTION = 0.05
"""Most validation studies that may lie between the thresholds."""


def fit_temperature(logits: torch.Tensor, labels: NDArray[np.int64]) -> float:
    """Return the temperature with the lowest cross-entropy (Guo et al., ICML 2017), between 0.25 and 8.

    The targets are not quite one and zero, as if each class had one more study of every class (Platt, 1999): where
    all validation studies are right, the best temperature for hard targets would be zero, and every answer certain.
    """
    counts = np.bincount(labels, minlength=logits.shape[1]).astype(np.float64)
    share = 1.0 / (counts[labels] + logits.shape[1])
    targets = np.repeat(share[:, None], logits.shape[1], axis=1)
    targets[np.arange(len(labels)), labels] += counts[labels] * share
    truth = torch.from_numpy(targets)
    candidates = np.exp(np.linspace(np.log(0.25), np.log(8.0), 201))
    losses = [float(torch.nn.functional.cross_entropy(logits.double() / float(t), truth)) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def calibrated(logits: torch.Tensor, temperature: float) -> NDArray[np.float64]:
    """Return (studies, 3) probabilities."""
    return np.asarray(torch.softmax(logits.double() / temperature, dim=1).numpy())


def choose_operating_point(
    probability: NDArray[np.float64],
    present: NDArray[np.bool_],
    *,
    sensitivity: float = TARGET_SENSITIVITY,
    specificity: float = TARGET_SPECIFICITY,
    max_abstention: float = MAX_ABSTENTION,
) -> OperatingPoint:
    """Choose both thresholds of one finding.

    Parameters
    ----------
    probability
        (studies,) of the finding, calibrated.
    present
        (studies,) whether the study has it.
    sensitivity, specificity, max_abstention
        Shares: of the studies with the finding at or above `t_lo`, of those without it below `t_hi`, and the most that
        may lie in between.
    """
    t_lo = min(float(np.quantile(probability[present], 1.0 - sensitivity, method="lower")), MAX_T_LO)
    absent = np.sort(probability[~present])
    below = absent[math.ceil(round(specificity * len(absent), 6)) - 1]  # the last of those that must stay below
    t_hi = max(min((math.floor(below * 1e4) + 1) / 1e4, 1.0), MIN_T_HI)
    # Where both targets leave too many in between, the upper threshold gives way: a false alarm is read, a silence not.
    above = np.sort(probability[probability >= t_lo])
    allowed = int(max_abstention * len(probability))
    if allowed < len(above):
        t_hi = min(t_hi, math.floor(above[allowed] * 1e4) / 1e4)
    t_lo = math.floor(t_lo * 1e4) / 1e4  # never up: the study it was taken from must stay above
    return OperatingPoint(t_lo=t_lo, t_hi=round(max(t_lo, t_hi), 4))


def reliability_bins(
    probability: NDArray[np.float64], present: NDArray[np.bool_], *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Count, for bins of predicted probability, how many studies had the finding."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    found = np.clip(np.digitize(probability, edges) - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(
            lo=round(float(edges[i]), 4),
            hi=round(float(edges[i + 1]), 4),
            n=int((found == i).sum()),
            positives=int((present & (found == i)).sum()),
        )
        for i in range(bins)
    )
