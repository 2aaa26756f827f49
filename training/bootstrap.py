"""Rates with 95 % intervals by bootstrap over patients: whoever has three studies is drawn with all three, or not.

The same draws serve all numbers of a report. A rate is plain JSON: `value`, `n` (studies it is of), `ci95`; all but
`n` are null where there is nothing to measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PatientBootstrap", "roc_auc"]

ROUNDS = 2000
_CHUNK = 200
"""Rounds at a time; bounds the memory of a ranking."""

Flags = NDArray[np.bool_]


class PatientBootstrap:
    """Draws of patients, with replacement.

    Parameters
    ----------
    patients
        Of each study.
    rounds, seed
        Number of draws, and their chance.
    """

    def __init__(self, patients: Sequence[str], *, rounds: int = ROUNDS, seed: int = 2023) -> None:
        _, patient = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
        count = int(patient.max()) + 1 if len(patient) else 0
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=rounds) if count else np.zeros((rounds, 0))
        self.weights: NDArray[np.float32] = drawn[:, patient].astype(np.float32)
        """(rounds, studies) how often each study was drawn."""

    def among(self, members: Flags) -> PatientBootstrap:
        """Return the same draws for some of the studies."""
        part = object.__new__(PatientBootstrap)
        part.weights = self.weights[:, members]
        return part

    def rate(self, hit: Flags, among: Flags | None = None) -> dict[str, Any]:
        """Return the share of `among` (all studies) that is `hit`; both (studies,)."""
        among = np.ones(len(hit), bool) if among is None else among
        both = (hit & among).astype(np.float32)
        return self._of(both, among.astype(np.float32), n=int(among.sum()))

    def mean(self, values: NDArray[np.floating[Any]]) -> dict[str, Any]:
        """Return the mean of a number per study."""
        return self._of(values.astype(np.float32), np.ones(len(values), np.float32), n=len(values))

    def f1(self, said: Flags, true: Flags) -> dict[str, Any]:
        """Return F1 of a yes–no answer; `n` is the number of studies that are `true`."""
        over = said.astype(np.float32) + true.astype(np.float32)
        return self._of(2.0 * (said & true).astype(np.float32), over, n=int(true.sum()))

    def balanced_accuracy(self, said: NDArray[np.generic], true: NDArray[np.generic]) -> dict[str, Any]:
        """Return the mean recall over the values of `true`."""
        values, draws = [], []
        for value in np.unique(true):
            among = (true == value).astype(np.float32)
            hit = among * (said == value)
            values.append(float(hit.sum() / among.sum()))
            draws.append(_divide(self.weights @ hit, self.weights @ among))
        return _as_json(float(np.mean(values)), len(true), np.mean(draws, axis=0)) if values else _as_json(None, 0)

    def auc(self, score: NDArray[np.floating[Any]], true: Flags) -> dict[str, Any]:
        """Return the area under the ROC curve of a score; `n` is the number of studies."""
        if not true.any() or true.all():
            return _as_json(None, len(true))
        draws = [_weighted_auc(self.weights[i : i + _CHUNK], score, true) for i in range(0, len(self.weights), _CHUNK)]
        return _as_json(roc_auc(score, true), len(true), np.concatenate(draws))

    def _of(self, top: NDArray[np.float32], bottom: NDArray[np.float32], *, n: int) -> dict[str, Any]:
        if not bottom.sum():
            return _as_json(None, n)
        return _as_json(float(top.sum() / bottom.sum()), n, _divide(self.weights @ top, self.weights @ bottom))


def _as_json(value: float | None, n: int, draws: NDArray[np.floating[Any]] | None = None) -> dict[str, Any]:
    """Return a rate as JSON; draws in which it does not exist (no such patient) do not count."""
    if value is None or draws is None:
        return {"value": value, "n": n, "ci95": None}
    kept = draws[np.isfinite(draws)]
    low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) else (value, value)
    return {"value": round(value, 4), "n": n, "ci95": [round(float(low), 4), round(float(high), 4)]}


def roc_auc(score: NDArray[np.floating[Any]], true: Flags) -> float:
    """Return the probability that a true one scores higher than another; ties count half."""
    return float(_weighted_auc(np.ones((1, len(score)), np.float32), score, true)[0])


def _weighted_auc(
    weights: NDArray[np.float32], score: NDArray[np.floating[Any]], true: Flags
) -> NDArray[np.floating[Any]]:
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)  # one step for all that score the same
    ranked = weights[:, order].astype(np.float64)
    positive = np.add.reduceat(ranked * true[order], starts, axis=1)
    negative = np.add.reduceat(ranked * ~true[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return _divide((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _divide(top: NDArray[Any], bottom: NDArray[Any]) -> NDArray[np.floating[Any]]:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
