"""A handful of shards with random slices, and phantoms prepared from raw folders, small enough for a unit test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.shards import INPUT_SHAPE, MASK_SIZE, PreparedStudy, StudyRecord, StudySet, write_shard


def random_study(seed: int, label: int, slices: int = 6) -> PreparedStudy:
    """Return a study of noise whose middle slices carry its label, and are brighter in the label's channel."""
    rng = np.random.default_rng(seed)
    labels = [label if 1 < i < slices - 1 else 0 for i in range(slices)]
    inputs = rng.integers(0, 120, (slices, *INPUT_SHAPE), dtype=np.uint8)
    for i, of in enumerate(labels):
        inputs[i, of] += np.uint8(120)
    return PreparedStudy(
        StudyRecord(
            seed=seed,
            label=label,
            personality=("north", "south")[seed % 2],
            lesion=("", "subdural", "ischaemia")[label],
            volume_ml=10.0 * label,
            delta_hu=0.0,
            positions_mm=tuple(5.0 * i - 40.0 for i in range(slices)),
            slice_labels=tuple(labels),
            lesion_area_mm2=tuple(100.0 if of else 0.0 for of in labels),
        ),
        inputs,
        np.stack([np.full((MASK_SIZE, MASK_SIZE), 255 if of else 0, np.uint8) for of in labels]),
    )


@pytest.fixture(scope="session")
def study_set(tmp_path_factory: pytest.TempPathFactory) -> StudySet:
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(3):
        write_shard(folder, shard, [random_study(10 * shard + i, i % 3) for i in range(6)])
    return StudySet(folder)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of prepared slices: 12 studies from RSNA's layout and 6 from AISD's, 108 slices."""
    from tests.unit.training.data.phantoms import SCANNER, phantom
    from training.data import synth
    from training.data.aisd import read_aisd
    from training.data.index import build_index
    from training.data.parallel import Workers
    from training.data.preprocess import preprocess
    from training.data.rsna import read_rsna
    from training.data.split import split_patients

    root, here = tmp_path_factory.mktemp("raw"), Workers(processes=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth, "make_study", phantom)
        for layout, studies, seed in (("rsna", 12, 100), ("aisd", 6, 200)):
            synth.write_corpus(layout, synth.plan(layout, studies, seed, [SCANNER]), root / layout, here)
    found = [read_rsna(root / "rsna", here), read_aisd(root / "aisd", here)]
    index, _ = build_index(found, {name: root / name for name in ("rsna", "aisd")}, root / "index.parquet")
    split = split_patients(index.studies, seed=1, shares=(0.5, 0.25, 0.25))
    preprocess(index, split, root / "prepared", here)
    return root / "prepared"
