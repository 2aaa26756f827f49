"""Claim: the published split leak raises the score that is reported, and the leakage check stops it.

The published code added each study twice, in ascending and in reversed z, and split afterwards. The published
Transformer, which is told no positions and so takes both for one, learns the same studies twice: split before the
copies are made, and after. The features are those of a network with random weights, so that there is little to learn
and much to remember; what the leak adds is memory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.index import Index
from training.data.leakage import LeakageError
from training.data.parallel import Workers
from training.data.preprocess import preprocess
from training.data.records import IndexedStudy
from training.data.split import Split
from training.features import FeatureSet
from training.proof.claim import Claim
from training.proof.plain import fit_plain, right_of, standardised
from training.proof.ready import Ready, untrained_features
from training.proof.short_studies import thinned
from training.published import CNNTransformer, PublishedPatient

__all__ = ["leak_is_stopped", "prove_leak"]

GOAL = 0.1
_SHARES = (0.7, 0.15)
_SLICES = 16


def prove_leak(ready: Ready) -> Claim:
    """Report the score of either split, and try to have the leaking one prepared."""
    data = ready.sets["train"]
    drawn = np.random.default_rng(ready.sizes.seed).permutation(len(data.studies))[: ready.sizes.leak_studies]
    known = data.subset_of_studies(drawn.tolist())
    features = thinned(untrained_features(ready.folder, known, ready.sizes.seed), _SLICES)
    count = len(features.records)
    honest, leaking, remembered, others = [], [], [], []
    for repeat in range(ready.sizes.leak_repeats):
        seed = ready.sizes.seed + repeat
        order = np.random.default_rng(seed).permutation(count)
        honest.append(float(_right([doubled(features, part) for part in _parts(order)], ready, seed).mean()))
        shuffled = np.random.default_rng(seed).permutation(2 * count)
        twins, parts = doubled(features, np.arange(count)), _parts(shuffled)
        right = _right([twins.subset(part) for part in parts], ready, seed)
        leaking.append(float(right.mean()))
        seen = np.isin(parts[2] % count, parts[0] % count)
        remembered += right[seen].tolist()
        others += right[~seen].tolist()
    rise = float(np.mean(leaking) - np.mean(honest))
    stopped = leak_is_stopped(ready.corpus.index, ready.folder / "leaking")
    return Claim(
        id="split-leak",
        claim="With the published split leak put back the reported score rises, and the leakage check stops it.",
        measured={
            "accuracy_split_first": round(float(np.mean(honest)), 4),
            "accuracy_with_leak": round(float(np.mean(leaking)), 4),
            "rise": round(rise, 4),
            "accuracy_where_the_twin_was_trained_on": round(float(np.mean(remembered)), 4),
            "accuracy_where_it_was_not": round(float(np.mean(others)), 4),
            "each_seed": {"split_first": np.round(honest, 4).tolist(), "with_leak": np.round(leaking, 4).tolist()},
            "stopped_by": stopped,
        },
        goal=f"the reported accuracy rises by at least {GOAL}, mean of {ready.sizes.leak_repeats} splits, and the same "
        "split is refused with E-701",
        ok=rise >= GOAL and stopped.startswith("E-701"),
    )


def leak_is_stopped(index: Index, folder: Path) -> str:
    """Return how `msu data preprocess` answers the published split: its error, or "" if it goes through.

    The copies have new names throughout, as if they were other patients: only the pixels can give them away.
    """
    copies = tuple(_turned(study) for study in index.studies)
    studies = index.studies + copies
    side = {study.key: "train" for study in index.studies} | {copy.key: "test" for copy in copies}
    try:
        preprocess(Index(studies, index.roots), Split(0, (0.7, 0.15, 0.15), side), folder, Workers(processes=1))
    except LeakageError as error:
        kinds = sorted({offender.kind for offender in error.offenders})
        return f"{error.code}: {len(error.offenders)} leaks ({', '.join(kinds)})"
    return ""


def doubled(data: FeatureSet, studies: NDArray[np.int64]) -> FeatureSet:
    """Return some studies, each also upside down."""
    part = data.subset(studies)
    upside_down = tuple(np.ascontiguousarray(rows[::-1]) for rows in part.features)
    return FeatureSet(part.records * 2, part.features + upside_down)


def _parts(order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    first, second = (round(len(order) * share) for share in (_SHARES[0], sum(_SHARES)))
    return [order[:first], order[first:second], order[second:]]


def _right(parts: list[FeatureSet], ready: Ready, seed: int) -> NDArray[np.bool_]:
    train, validation, test = standardised(*parts, by_study=True)
    torch.manual_seed(seed)
    width = train.features[0].shape[1] - 3
    model = PublishedPatient(CNNTransformer(width, heads=4, feed_forward=256), width)
    fit_plain(model, train, validation, rate=3e-4, epochs=ready.sizes.leak_epochs, seed=seed)
    return right_of(model, test)


def _turned(study: IndexedStudy) -> IndexedStudy:
    slices = tuple(replace(s, sop_uid=f"{s.sop_uid}.9") for s in reversed(study.slices))
    return replace(
        study,
        patient_id=f"{study.patient_id}-copy",
        study_uid=f"{study.study_uid}.9",
        series_uid=f"{study.series_uid}.9",
        stack_hash=study.reversed_stack_hash,
        reversed_stack_hash=study.stack_hash,
        fingerprint="",
        slices=slices,
    )
