"""What thresholds chosen on validation do on other studies, and whether that is enough to go on the road with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from edge_app.core.types import CLASSES
from training.bootstrap import PatientBootstrap
from training.calibrate import highest_threshold

__all__ = ["TARGETS", "exact_lower_bound", "operating_table", "release_gates"]

TARGETS = (0.90, 0.95, 0.98, 0.99)
"""Sensitivities on validation that the table gives thresholds for."""

FEWEST_POSITIVES = 202
LEAST_SENSITIVITY, LEAST_SPECIFICITY = 0.95, 0.80
MOST_ECE, SLOPES = 0.05, (0.8, 1.2)
MOST_ABSTENTION = 0.15


def operating_table(
    chosen_on: tuple[NDArray[np.float64], NDArray[np.int64]],
    judged: tuple[NDArray[np.float64], NDArray[np.int64]],
    bootstrap: PatientBootstrap,
) -> list[dict[str, Any]]:
    """Return for each finding and target sensitivity the threshold, and what it gives on the judged studies.

    Parameters
    ----------
    chosen_on, judged
        Calibrated probabilities (studies, 3) and labels (studies,) of validation, and of the studies to judge.
    bootstrap
        Draws of the judged studies' patients.
    """
    rows = []
    (known, known_labels), (probability, labels) = chosen_on, judged
    for index, finding in enumerate(CLASSES[1:], start=1):
        present = known_labels == index
        if not present.any():
            continue
        for target in TARGETS:
            # Rounded down as it will be told: rounded to the nearest it might lose the study it was taken from.
            threshold = math.floor(highest_threshold(known[present, index], target) * 1e4) / 1e4
            said, true = probability[:, index] >= threshold, labels == index
            rows.append(
                {
                    "finding": finding,
                    "target_sensitivity": target,
                    "threshold": threshold,
                    "sensitivity": bootstrap.rate(said, true),
                    "specificity": bootstrap.rate(~said, ~true),
                }
            )
    return rows


def exact_lower_bound(hits: int, n: int) -> float:
    """Return the lower end of the exact 95 % interval (Clopper and Pearson): where all are hit, a bootstrap says 1."""
    return float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0


def release_gates(test: Mapping[str, Any], calibration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what SCREEN.md R23 to R25 ask before a model may be used, and whether it is met.

    What cannot be measured is not met. The bound of the sensitivity is exact and counts patients, one of whom any study
    was missed as missed: studies of one patient are no independent evidence. Sensitivity and specificity are of one
    threshold, `t_lo`: an INDETERMINATE that counts as found where there is blood also counts as a false alarm where
    there is none.

    Parameters
    ----------
    test
        From `training.evaluate.evaluate_studies`.
    calibration
        From `training.reliability.judge_calibration`.
    """
    found = test["per_class"]["hemorrhage"]
    n = found["patients"]["n"]
    lower = exact_lower_bound(n - found["patients"]["missed"], n)
    specificity = found["specificity_indeterminate_as_detected"]["value"]
    abstention = test["abstention"]["value"]
    gates = [
        ("R24", f"at least {FEWEST_POSITIVES} patients with haemorrhage", n, n >= FEWEST_POSITIVES),
        ("R24", f"haemorrhage: sensitivity of patients (INDETERMINATE counts as found), lower exact 95 % bound ≥ "
                f"{LEAST_SENSITIVITY}", round(lower, 4), lower >= LEAST_SENSITIVITY),
        ("R24", f"haemorrhage: specificity (INDETERMINATE counts as found) ≥ {LEAST_SPECIFICITY}", specificity,
         specificity is not None and specificity >= LEAST_SPECIFICITY),
        ("R25", f"at most {MOST_ABSTENTION:.0%} INDETERMINATE", abstention, abstention <= MOST_ABSTENTION),
    ]  # fmt: skip
    for finding in CLASSES[1:]:
        after = calibration["after"][finding]
        ece, slope = after["ece"]["value"], after["slope"]
        gates.append(("R23", f"{finding}: ECE ≤ {MOST_ECE}", ece, ece <= MOST_ECE))
        gates.append(
            ("R23", f"{finding}: calibration slope {SLOPES[0]}–{SLOPES[1]}", slope,
             slope is not None and SLOPES[0] <= slope <= SLOPES[1])
        )  # fmt: skip
    return [{"id": i, "asked": asked, "measured": value, "met": bool(met)} for i, asked, value, met in gates]
