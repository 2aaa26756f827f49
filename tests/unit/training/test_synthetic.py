"""Studies of the three splits never meet, and take the vehicle's way to the model input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from edge_app.simulator import make_study
from edge_app.simulator.scanner import TRAINING_PERSONALITIES, UNSEEN_PERSONALITIES
from edge_app.simulator.study import SyntheticStudy
from training import synthetic
from training.synthetic import Split, StudyRequest, make_split, plan_split, prepare_study, reformat

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def test_no_seed_is_in_two_splits() -> None:
    seeds = [{request.seed for request in plan_split(split, 500)} for split in SPLITS]
    assert all(len(of) == 1500 for of in seeds)
    assert len(set.union(*seeds)) == 4500


def test_test_studies_come_from_scanners_that_training_never_sees() -> None:
    trained = {r.personality for split in SPLITS[:2] for r in plan_split(split, 40)}
    tested = {r.personality for r in plan_split("test", 40)}
    assert trained == {p.name for p in TRAINING_PERSONALITIES}
    assert tested == {p.name for p in UNSEEN_PERSONALITIES}


def test_every_class_has_the_same_scanners() -> None:
    plan = plan_split("train", 16)
    per_class = [sorted(r.personality for r in plan if r.label == name) for name in CLASSES]
    assert per_class[0] == per_class[1] == per_class[2]


def test_training_scanners_vary_whatever_the_label_and_test_scanners_are_as_described() -> None:
    assert all(r.varied for split in SPLITS[:2] for r in plan_split(split, 3))
    assert not any(r.varied for r in plan_split("test", 3))
    varied = {synthetic.vary_scanner(TRAINING_PERSONALITIES[0], seed).noise_hu for seed in range(5)}
    assert len(varied) == 5


def test_a_share_of_the_varied_studies_is_reformatted_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class MadeError(Exception):
        """Carries how far a study was shifted; what comes after is left out."""

    def shift_of(study: SyntheticStudy | float) -> None:
        raise MadeError(study if isinstance(study, float) else 0.0)

    study = make_study(11, "negative", personality="basic2")
    monkeypatch.setattr(synthetic, "make_study", lambda *_, **__: study)
    monkeypatch.setattr(synthetic, "reformat", lambda _, shift: shift)
    monkeypatch.setattr(synthetic, "to_datasets", shift_of)

    def shifts(varied: bool) -> list[float]:
        found = []
        for seed in range(400):
            with pytest.raises(MadeError) as made:
                prepare_study(StudyRequest(seed, "negative", "basic2", varied))
            found.append(made.value.args[0])
        return found

    reformatted = [shift for shift in shifts(varied=True) if shift]
    assert 0.25 < len(reformatted) / 400 < 0.35
    assert 0.3 <= min(reformatted) < max(reformatted) <= 0.7
    assert not any(shifts(varied=False))


def test_a_reformatted_study_keeps_its_truth() -> None:
    study = make_study(11, "hemorrhage", personality="basic2")
    halfway = reformat(study, 0.5)
    assert len(halfway.hu) == len(halfway.positions) == len(halfway.label_per_slice) == len(study.hu) - 1
    middle = (study.hu[:-1].astype(int) + study.hu[1:]) / 2
    assert np.abs(halfway.hu - middle).max() <= 0.5
    assert np.allclose(halfway.positions, (study.positions[:-1] + study.positions[1:]) / 2)
    assert np.array_equal(halfway.lesion_mask.any(axis=0), study.lesion_mask.any(axis=0))
    assert halfway.label_per_slice.sum() >= study.label_per_slice.sum()


def test_more_studies_than_seeds_are_refused() -> None:
    with pytest.raises(TrainingError, match="too many"):
        plan_split("train", 4_000_000)


def test_a_prepared_study_knows_its_lesion_slice_by_slice() -> None:
    study = prepare_study(StudyRequest(7, "hemorrhage", "basic2"))
    record = study.record
    assert study.inputs.shape[1:] == (3, 224, 224)
    assert len(study.inputs) == len(record.slice_labels) == len(record.positions_mm) == len(study.masks)
    assert list(record.positions_mm) == sorted(record.positions_mm)
    assert set(record.slice_labels) == {0, 1}
    covered = study.masks.astype(float).sum(axis=(1, 2)) / 255 * 64
    areas = np.asarray(record.lesion_area_mm2)
    assert np.allclose(covered[areas > 100], areas[areas > 100], rtol=0.1)


def test_shards_that_are_there_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def count(task: tuple[Path, int, list[StudyRequest]]) -> int:
        made.append(task[1])
        return original(task)

    original = synthetic._make_shard
    monkeypatch.setattr(synthetic, "_make_shard", count)
    monkeypatch.setattr(synthetic, "SHARD_STUDIES", 2)
    first = make_split("validation", 1, tmp_path, processes=1)
    assert made == [0, 1]
    (description,) = tmp_path.glob("*/00001.json")
    description.unlink()
    again = make_split("validation", 1, tmp_path, processes=1)
    assert made == [0, 1, 1]
    assert first.records == again.records
