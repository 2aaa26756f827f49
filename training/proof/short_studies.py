"""Claim: a GRU that knows where a study ends is better on short studies than the published one, which reads padding."""

from __future__ import annotations

import numpy as np
import torch

from training.features import FeatureSet
from training.proof.claim import Claim
from training.proof.plain import MaskedGRU, fit_plain, right_of, standardised
from training.proof.ready import Ready
from training.published import BiGRUModel, PublishedPatient

__all__ = ["prove_masks", "thinned"]

SHORT = 10
"""Slices of a short study: a scanner with slices of 15 mm, or one that skips."""
GOAL = 0.02


def prove_masks(ready: Ready) -> Claim:
    """Train both on whole studies, and judge them on studies of unseen scanners, whole and short."""
    known, held_out, unseen = standardised(*(ready.features[side] for side in ("train", "validation", "test")))
    short = thinned(unseen, SHORT)
    found: dict[str, list[float]] = {name: [] for name in ("masked", "unmasked", "masked_whole", "unmasked_whole")}
    for repeat in range(ready.sizes.gru_repeats):
        seed = ready.sizes.seed + repeat
        for name, masked in (("masked", True), ("unmasked", False)):
            torch.manual_seed(seed)
            width = known.features[0].shape[1]
            net = BiGRUModel(width)
            model = MaskedGRU(net) if masked else PublishedPatient(net, width)
            fit_plain(model, known, held_out, rate=1e-3, epochs=ready.sizes.gru_epochs, seed=seed)
            found[name].append(float(right_of(model, short).mean()))
            found[f"{name}_whole"].append(float(right_of(model, unseen).mean()))
    mean = {name: round(float(np.mean(values)), 4) for name, values in found.items()}
    gain = mean["masked"] - mean["unmasked"]
    return Claim(
        id="masked-gru-short-studies",
        claim="On short studies the GRU that is told where a study ends beats the published one that reads padding.",
        measured={
            "accuracy_short_masked": mean["masked"],
            "accuracy_short_unmasked": mean["unmasked"],
            "gain": round(gain, 4),
            "accuracy_whole_masked": mean["masked_whole"],
            "accuracy_whole_unmasked": mean["unmasked_whole"],
            "each_seed": {name: [round(value, 4) for value in values] for name, values in found.items()},
            "short_slices": SHORT,
            "studies": len(short.records),
        },
        goal=f"accuracy on studies of {SHORT} slices at least {GOAL} higher, mean of {ready.sizes.gru_repeats} seeds",
        ok=gain >= GOAL,
    )


def thinned(data: FeatureSet, slices: int) -> FeatureSet:
    """Return the studies with so many of their slices at most, evenly spread."""
    records, features = [], []
    for record, rows in zip(data.records, data.features, strict=True):
        kept = np.unique(np.linspace(0, len(rows) - 1, min(slices, len(rows))).round().astype(int))
        records.append(record.with_slices(kept))
        features.append(np.ascontiguousarray(rows[kept]))
    return FeatureSet(tuple(records), tuple(features))
