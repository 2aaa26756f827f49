"""Which studies train, which choose, which judge: decided by patient, before anything is augmented or copied.

Studies that share a patient, an instance or a slice's pixels, or that look alike, go to one side together; such groups
are dealt out within each mix of source and class, so that every split sees each of them in its share.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.atomic import replacing
from training.data.lookalikes import near_pairs
from training.data.records import IndexedStudy
from training.data.sampling import drawn_order

__all__ = ["SHARES", "SPLITS", "Split", "read_split", "split_patients", "write_split"]

SPLITS = ("train", "validation", "test")
SHARES = (0.7, 0.15, 0.15)
"""Of the patients, in the order of `SPLITS`."""

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Split:
    """Side of each study, by its key."""

    seed: int
    shares: tuple[float, float, float]
    sides: dict[str, str]

    def of(self, studies: Iterable[IndexedStudy], side: str) -> list[IndexedStudy]:
        """Return the studies of one side; those that were not sampled belong to none."""
        return [study for study in studies if self.sides.get(study.key) == side]

    def table(self, studies: Sequence[IndexedStudy]) -> list[tuple[str, str, dict[str, int]]]:
        """Return (side, source, studies of each class) for a report."""
        counts: Counter[tuple[str, str, int]] = Counter(
            (self.sides[s.key], s.source, s.label) for s in studies if s.key in self.sides
        )
        sources = sorted({source for _, source, _ in counts})
        return [
            (side, source, {name: counts[side, source, label] for label, name in enumerate(CLASSES)})
            for side in SPLITS
            for source in sources
        ]


def split_patients(studies: Sequence[IndexedStudy], *, seed: int, shares: tuple[float, float, float] = SHARES) -> Split:
    """Deal patients out to train, validation and test.

    The result depends on the seed and on which studies there are, not on their order.

    Raises
    ------
    TrainingError
        If the shares make no sense, there is no study, or a class that exists has no study on some side.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise TrainingError(
            f"the shares {shares} are not positive with a sum of 1", remedy="For example 0.7 0.15 0.15."
        )
    if not studies:
        raise TrainingError("there are no studies to split", remedy="Index some data first.")
    strata: dict[tuple[tuple[str, int], ...], list[tuple[str, ...]]] = defaultdict(list)
    by_key = {study.key: study for study in studies}
    for group in _groups(studies):
        kinds = tuple(sorted({(by_key[key].source, by_key[key].label) for key in group}))
        strata[kinds].append(group)
    sides: dict[str, str] = {}
    for _, groups in sorted(strata.items()):
        shuffled = sorted(groups, key=lambda group: drawn_order(group[0], seed))
        for group, side in zip(shuffled, _deal(len(shuffled), shares), strict=True):
            sides.update(dict.fromkeys(group, side))
    _check_classes(studies, sides)
    return Split(seed, shares, dict(sorted(sides.items())))


def write_split(split: Split, path: Path) -> None:
    """Write the split as JSON."""
    body = {"format": FORMAT, "seed": split.seed, "shares": split.shares, "sides": split.sides}
    with replacing(path) as file:
        file.write(json.dumps(body, indent=1).encode())


def read_split(path: Path) -> Split:
    """Read a split.

    Raises
    ------
    TrainingError
        If the file is missing or not understood.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["format"] != FORMAT or not set(body["sides"].values()) <= set(SPLITS):
            raise ValueError("not a split of this version")
        train, validation, test = body["shares"]
        return Split(body["seed"], (train, validation, test), body["sides"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}", remedy="Make it with `msu data split`.") from error


def _groups(studies: Sequence[IndexedStudy]) -> list[tuple[str, ...]]:
    """Return sorted tuples of study keys that must stay together (union-find over what they share)."""
    parent = {study.key: study.key for study in studies}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    first: dict[tuple[str, str], str] = {}
    for study in studies:
        shared = {("patient", study.patient_id), ("study", study.study_uid), ("series", study.series_uid)}
        shared |= {("sop", s.sop_uid) for s in study.slices}
        shared |= {("pixels", s.pixel_hash) for s in study.slices if s.pixel_hash}
        for thing in shared:
            other = first.setdefault(thing, study.key)
            parent[root(other)] = root(study.key)
    for i, j in near_pairs([study.fingerprint for study in studies]):
        parent[root(studies[i].key)] = root(studies[j].key)
    groups: dict[str, list[str]] = defaultdict(list)
    for key in parent:
        groups[root(key)].append(key)
    return [tuple(sorted(group)) for group in groups.values()]


def _deal(count: int, shares: tuple[float, float, float]) -> list[str]:
    """Return a side for each of `count` groups: the rounded share, but at least one of each from three groups on."""
    held_out = [round(count * share) for share in shares[1:]]
    if count >= len(SPLITS):
        held_out = [max(1, number) for number in held_out]
    while count and sum(held_out) >= count:  # something must be left to train on
        held_out[held_out.index(max(held_out))] -= 1
    train = count - sum(held_out)
    return [side for side, number in zip(SPLITS, (train, *held_out), strict=True) for _ in range(number)]


def _check_classes(studies: Sequence[IndexedStudy], sides: dict[str, str]) -> None:
    for label in sorted({study.label for study in studies}):
        there = {sides[study.key] for study in studies if study.label == label}
        for side in SPLITS:
            if side not in there:
                raise TrainingError(
                    f"no {CLASSES[label]} study is left for {side}",
                    remedy="Add patients of this class: three are the least, one for each side.",
                )
