"""Shards come back as they were written, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.core.errors import TrainingError
from training.shards import StudySet, shard_exists, write_shard

from .conftest import random_study


def test_slices_come_back_in_the_order_they_were_written(tmp_path: Path) -> None:
    studies = [random_study(i, i % 3, slices=3 + i) for i in range(4)]
    write_shard(tmp_path, 0, studies[:2])
    write_shard(tmp_path, 1, studies[2:])
    found = StudySet(tmp_path)
    everything = np.arange(len(found))
    assert np.array_equal(found.inputs(everything), np.concatenate([s.inputs for s in studies]))
    assert np.array_equal(found.masks(everything), np.concatenate([s.masks for s in studies]))
    assert [record.seed for record in found.records] == [0, 1, 2, 3]
    assert found.records[2] == studies[2].record
    assert found.study_of_slice.tolist() == [0] * 3 + [1] * 4 + [2] * 5 + [3] * 6


def test_a_shard_without_its_description_does_not_exist(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [random_study(1, 0)])
    (tmp_path / "00000.json").unlink()
    assert not shard_exists(tmp_path, 0)
    with pytest.raises(TrainingError, match="no shards"):
        StudySet(tmp_path)


def test_a_shard_that_disagrees_with_its_description_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [random_study(1, 0)])
    np.save(tmp_path / "00000.npy", np.zeros((2, 3, 224, 224), np.uint8))
    with pytest.raises(TrainingError, match=r"00000\.json"):
        StudySet(tmp_path)
