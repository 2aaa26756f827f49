"""Balanced samples: as many studies of each class, drawn by a seed and not by the order of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.records import IndexedStudy

__all__ = ["PRESETS", "drawn_order", "sample_balanced"]

PRESETS = (400, 800, 1200)
"""Studies per class of the published balanced sets."""


def sample_balanced(studies: Sequence[IndexedStudy], per_class: int, *, seed: int) -> list[IndexedStudy]:
    """Return at most `per_class` studies of each class, in the order of `studies`.

    A class with fewer studies is taken whole (AISD has 394). The same seed draws the same studies, whatever the order,
    and a larger sample holds the smaller one.

    Raises
    ------
    TrainingError
        If a class has no study, naming it, or less than one of each is asked for.
    """
    if per_class < 1:
        raise TrainingError(f"{per_class} studies of each class are none", remedy="Give a positive number.")
    chosen: set[str] = set()
    for label, name in enumerate(CLASSES):
        keys = sorted({s.key for s in studies if s.label == label}, key=lambda key: drawn_order(key, seed))
        if not keys:
            raise TrainingError(f"there is no {name} study", remedy="Add a source with this class to the index.")
        chosen.update(keys[:per_class])
    return [study for study in studies if study.key in chosen]


def drawn_order(name: str, seed: int) -> bytes:
    """Return what names are sorted by to shuffle them: a hash with the seed, independent of all other names."""
    return hashlib.blake2b(
        name.encode("utf-8", "surrogateescape"), digest_size=16, key=seed.to_bytes(8, "big")
    ).digest()
