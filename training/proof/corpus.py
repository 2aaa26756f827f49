"""The studies of the proof: simulated, written as RSNA and AISD would lie there, indexed, split and prepared.

Haemorrhages stand in RSNA's layout and infarcts in AISD's, as in the published data, negatives in both; every scanner
of the training park takes part in either. The test side comes from scanners that no other side has.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_app.simulator.scanner import TRAINING_PERSONALITIES, UNSEEN_PERSONALITIES
from edge_app.simulator.study import LABELS
from training.data.aisd import read_aisd
from training.data.atomic import replacing
from training.data.index import Index, build_index, read_index
from training.data.leakage import check_no_leak, members
from training.data.parallel import Workers
from training.data.prepared import PreparedSet, open_prepared
from training.data.preprocess import Preparation, preprocess
from training.data.rsna import read_rsna
from training.data.split import SPLITS, Split, write_split
from training.data.synth import StudyOrder, as_published, patient_id, write_corpus
from training.proof.claim import Sizes
from training.synthetic import vary_scanner

__all__ = ["Corpus", "make_corpus", "plan_corpus"]

SOURCES = ("rsna", "aisd")
_SEEDS = {"train": 1_000_000, "validation": 2_000_000, "test": 4_000_000}
"""AISD's patient folders have seven digits of the seed.

The test seeds from 3,000,000 on were used up: what was seen there led to more training studies.
"""
_READY = "ready"


@dataclass(frozen=True, eq=False, slots=True)
class Corpus:
    """A prepared corpus and how it came about."""

    prepared: Path
    index: Index
    split: Split
    scanner_of: dict[str, str]
    """Personality of each patient; RSNA's files do not tell."""

    def open(self) -> dict[str, PreparedSet]:
        """Return the sides, checked for leaks."""
        return open_prepared(self.prepared)


def plan_corpus(sizes: Sizes) -> dict[str, dict[str, list[StudyOrder]]]:
    """Return the studies of each side and layout: scanners in turn, negatives in turn to either layout."""
    orders: dict[str, dict[str, list[StudyOrder]]] = {side: {source: [] for source in SOURCES} for side in SPLITS}
    for side, count in zip(SPLITS, (sizes.train, sizes.validation, sizes.test), strict=True):
        park = UNSEEN_PERSONALITIES if side == "test" else TRAINING_PERSONALITIES
        for number in range(count):
            for index, label in enumerate(LABELS):
                layout = SOURCES[(number // len(park)) % 2 if label == "negative" else index - 1]
                seed = _SEEDS[side] + len(LABELS) * number + index
                scanner = park[number % len(park)]
                if side != "test":
                    scanner = vary_scanner(scanner, seed)
                orders[side][layout].append(StudyOrder(seed, label, as_published(layout, scanner)))
    return orders


def make_corpus(folder: Path, sizes: Sizes, workers: Workers) -> Corpus:
    """Make the corpus, or open it if it is there; raw files are deleted once they are prepared."""
    orders = plan_corpus(sizes)
    raw = {source: folder / "raw" / source for source in SOURCES}
    side_of, scanner_of = {}, {}
    for side, layouts in orders.items():
        for layout, listed in layouts.items():
            for order in listed:
                side_of[patient_id(layout, order)] = side
                scanner_of[patient_id(layout, order)] = order.personality.name
    index_path = folder / "index.parquet"
    if not (folder / _READY).exists():
        for source in SOURCES:
            listed = [order for side in SPLITS for order in orders[side][source]]
            write_corpus(source, listed, raw[source], workers)
        readers: dict[str, Callable[[Path, Workers], object]] = {"rsna": read_rsna, "aisd": read_aisd}
        build_index([readers[source](raw[source], workers) for source in SOURCES], raw, index_path)  # type: ignore[misc]
    index = read_index(index_path)
    sides = {study.key: side_of[study.patient_id] for study in index.studies}
    split = Split(sizes.seed, (0.6, 0.2, 0.2), sides)
    check_no_leak(members(index.studies, split))
    if not (folder / _READY).exists():
        write_split(split, folder / "split.json")
        preprocess(index, split, folder / "prepared", workers, preparation=Preparation(studies_per_shard=4))
        with replacing(folder / _READY) as file:
            file.write(b"")
        shutil.rmtree(folder / "raw")
    return Corpus(folder / "prepared", index, split, scanner_of)
