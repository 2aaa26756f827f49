"""A handful of shards with random slices, small enough for a unit test."""

from __future__ import annotations

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
