"""What a probability means and from where on it is said: calibration, operating points, reliability.

Everything here is chosen on validation studies. Two thresholds per finding: below the lower one it is not detected,
from the upper one on it is suspected, and in between the vehicle says INDETERMINATE (SCREEN.md R25).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from edge_app.core.types import CLASSES, FINDINGS
from edge_app.inference.manifest import Calibration, FindingCalibration, OperatingPoint, ReliabilityBin
from edge_app.inference.predict import patient_probabilities
from edge_app.triage.site_thresholds import MAX_T_LO, MIN_T_HI
from training.targets import Targets

__all__ = [
    "MAX_ABSTENTION",
    "TARGET_SENSITIVITY",
    "TARGET_SPECIFICITY",
    "calibrated",
    "choose_operating_point",
    "fit_calibration",
    "fit_platt",
    "fit_temperature",
    "forgiving",
    "highest_threshold",
    "reliability_bins",
    "uncalibrated",
]

TARGET_SENSITIVITY = 0.98
"""Share of validation studies with the finding that must not fall below the lower threshold."""

TARGET_SPECIFICITY = 0.98
"""Share of validation studies without the finding that must not reach the upper threshold."""

MAX_ABSTENTION = 0.05
"""Most validation studies that may lie between the thresholds."""


SLOPES = np.exp(np.linspace(np.log(0.125), np.log(4.0), 201))
"""Slopes of a finding's logit that are tried: temperatures of 8 to 0.25."""


def fit_calibration(logits: torch.Tensor, targets: Targets) -> Calibration:
    """Return what makes logits (studies, 3) probabilities, as their label mode asks.

    Of findings each is fitted by itself, on the studies whose source labels it (SCREEN.md R22).
    """
    if targets.mode == "softmax":
        return Calibration(temperature=fit_temperature(logits, targets.values.astype(np.int64)))
    findings = {}
    for column, name in enumerate(FINDINGS):
        known = targets.weight[:, column] > 0
        logit = logits[:, CLASSES.index(name)].double().numpy()
        findings[name] = fit_platt(logit[known], targets.values[known, column] > 0.5)
    return Calibration(method="platt", findings=findings)  # type: ignore[arg-type]  # pydantic checks the keys


def uncalibrated(calibration: Calibration) -> Calibration:
    """Return the calibration of the same label mode that changes nothing."""
    if calibration.findings is None:
        return Calibration(temperature=1.0)
    neutral = FindingCalibration(slope=1.0, intercept=0.0)
    return Calibration(method="platt", findings=dict.fromkeys(calibration.findings, neutral))


def fit_platt(logit: NDArray[np.float64], present: NDArray[np.bool_]) -> FindingCalibration:
    """Return slope and intercept of the lowest cross-entropy with Platt's targets, which are not quite one and zero.

    The slope stays within `SLOPES`: of a network that knows nothing, Platt's own method could turn the sign.
    """
    positives, negatives = int(present.sum()), int((~present).sum())
    target = np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    best = (math.inf, 1.0, 0.0)
    for slope in SLOPES:
        x, intercept = slope * logit, 0.0
        for _ in range(50):  # Newton's method
            p = 0.5 * (1.0 + np.tanh(0.5 * (x + intercept)))
            step = float((target - p).sum() / max(float((p * (1.0 - p)).sum()), 1e-9))
            intercept += min(max(step, -2.0), 2.0)
            if abs(step) < 1e-10:
                break
        loss = float((np.logaddexp(0.0, x + intercept) - target * (x + intercept)).sum())
        if loss < best[0]:
            best = (loss, float(slope), intercept)
    return FindingCalibration(slope=best[1], intercept=best[2])


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


def calibrated(logits: torch.Tensor, calibration: Calibration) -> NDArray[np.float64]:
    """Return (studies, 3) probabilities, by the vehicle's own function."""
    return patient_probabilities(logits.double().numpy(), calibration)


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
    t_lo = highest_threshold(probability[present], sensitivity)
    t_lo = math.floor(min(t_lo, MAX_T_LO) * 1e4) / 1e4  # never up: the study it was taken from must stay above
    absent = np.sort(probability[~present])
    below = absent[math.ceil(round(specificity * len(absent), 6)) - 1]  # the last of those that must stay below
    t_hi = max(min((math.floor(round(below * 1e4, 6)) + 1) / 1e4, 1.0), MIN_T_HI)
    # Where both targets leave too many in between, the upper threshold gives way: a false alarm is read, a silence not.
    above = np.sort(probability[probability >= t_lo])
    allowed = math.floor(round(max_abstention * len(probability), 6))
    if allowed < len(above):
        t_hi = min(t_hi, math.floor(above[allowed] * 1e4) / 1e4)
    return OperatingPoint(t_lo=t_lo, t_hi=round(max(t_lo, t_hi), 4))


def highest_threshold(probability: NDArray[np.float64], sensitivity: float) -> float:
    """Return the highest of these probabilities, of studies with a finding, that so large a share of them reaches."""
    missed = math.floor(round((1.0 - sensitivity) * len(probability), 6))
    return float(np.sort(probability)[missed])


def forgiving(sensitivity: float = TARGET_SENSITIVITY) -> float:
    """Return from how many studies with a finding on a sensitivity asked for lets the least certain one go."""
    return math.ceil(round(1.0 / (1.0 - sensitivity), 6)) if sensitivity < 1.0 else math.inf


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
