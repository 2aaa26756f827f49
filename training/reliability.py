"""Does a probability mean what it says? Expected calibration error, slope and reliability, before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_app.core.types import CLASSES
from edge_app.inference.manifest import Calibration
from training.bootstrap import PatientBootstrap
from training.calibrate import calibrated, reliability_bins, uncalibrated

__all__ = ["QUESTIONS", "calibration_error", "calibration_slope", "judge_calibration"]

QUESTIONS = ("likeliest_class", *CLASSES[1:])
"""What is asked of the probabilities: of the likeliest class, and of either finding."""

BINS = 10

Numbers = NDArray[np.float64]


def calibration_error(probability: Numbers, hit: NDArray[np.bool_], weight: Numbers | None = None) -> float:
    """Return the mean distance between what was said and what was so, over bins of equal width, by their studies."""
    weight = np.ones(len(hit)) if weight is None else weight
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    said = np.bincount(bins, weight * probability, BINS)
    was = np.bincount(bins, weight * hit, BINS)
    return float(np.abs(said - was).sum() / weight.sum())


def calibration_slope(probability: Numbers, hit: NDArray[np.bool_]) -> float | None:
    """Return the slope of outcome on log-odds: 1 is right, below 1 too certain, above 1 too timid; None if undefined.

    Where the classes are parted without error the slope has no finite value.
    """
    odds = np.log(np.clip(probability, 1e-6, 1 - 1e-6) / np.clip(1 - probability, 1e-6, 1 - 1e-6))
    if not hit.any() or hit.all() or odds[hit].min() > odds[~hit].max():
        return None
    x = np.stack([np.ones_like(odds), odds], axis=1)
    beta = np.zeros(2)
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (hit - p))
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            return round(float(beta[1]), 4)
    return None


def judge_calibration(
    logits: torch.Tensor, labels: NDArray[np.int64], calibration: Calibration, bootstrap: PatientBootstrap
) -> dict[str, Any]:
    """Return error, slope and bins before and after calibration, of each of `QUESTIONS`; and what was fitted."""
    return {
        when: {"fitted": _fitted(used), **_judge(calibrated(logits, used), labels, bootstrap)}
        for when, used in (("before", uncalibrated(calibration)), ("after", calibration))
    }


def _fitted(calibration: Calibration) -> dict[str, Any]:
    if calibration.findings is None:
        return {"temperature": round(calibration.temperature or 1.0, 4)}
    return {
        name: {"slope": round(own.slope, 4), "intercept": round(own.intercept, 4)}
        for name, own in calibration.findings.items()
    }


def _judge(probabilities: Numbers, labels: NDArray[np.int64], bootstrap: PatientBootstrap) -> dict[str, Any]:
    likeliest = probabilities.argmax(axis=1)
    asked = {"likeliest_class": (probabilities.max(axis=1), likeliest == labels)}
    asked |= {name: (probabilities[:, CLASSES.index(name)], labels == CLASSES.index(name)) for name in CLASSES[1:]}
    return {
        name: {
            "ece": _with_interval(probability, hit, bootstrap),
            "slope": calibration_slope(probability, hit),
            "reliability": [b.model_dump() for b in reliability_bins(probability, hit, bins=BINS)],
        }
        for name, (probability, hit) in asked.items()
    }


def _with_interval(probability: Numbers, hit: NDArray[np.bool_], bootstrap: PatientBootstrap) -> dict[str, Any]:
    draws = [calibration_error(probability, hit, w.astype(np.float64)) for w in bootstrap.weights if w.any()]
    low, high = np.quantile(draws, [0.025, 0.975])
    value = calibration_error(probability, hit)
    return {"value": round(value, 4), "n": len(hit), "ci95": [round(float(low), 4), round(float(high), 4)]}
