from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_app.core.errors import TrainingError
from training.data.index import Index
from training.data.leakage import check_no_leak, members
from training.data.records import IndexedStudy
from training.data.sampling import PRESETS, sample_balanced
from training.data.split import SPLITS, read_split, split_patients, write_split


def renamed(study: IndexedStudy, number: int, **changes: object) -> IndexedStudy:
    """Return another patient's study with the same label: other UIDs, other pixels."""
    slices = tuple(
        replace(s, sop_uid=f"{s.sop_uid}.{number}", pixel_hash=f"{s.pixel_hash}-{number}") for s in study.slices
    )
    body = {
        "patient_id": f"P{number}",
        "study_uid": f"{study.study_uid}.{number}",
        "series_uid": f"{study.series_uid}.{number}",
        "stack_hash": f"{study.stack_hash}-{number}",
        "reversed_stack_hash": f"{study.reversed_stack_hash}-{number}",
        "fingerprint": "",
        "slices": slices,
    }
    return replace(study, **(body | changes))  # type: ignore[arg-type]


def test_every_side_gets_its_share_of_each_class_and_source(index: Index) -> None:
    studies = [renamed(study, 1000 * i + n) for i, study in enumerate(index.studies[:8]) for n in range(20)]
    split = split_patients(studies, seed=1, shares=(0.7, 0.15, 0.15))
    for label in (0, 1):
        sides = [split.sides[s.key] for s in studies if s.label == label]
        assert [sides.count(side) for side in SPLITS] == [56, 12, 12]
    check_no_leak(members(studies, split))


def test_studies_of_one_patient_stay_together(index: Index) -> None:
    studies = [renamed(study, n, patient_id=f"P{n // 2}") for n, study in enumerate([index.studies[0]] * 40)]
    split = split_patients(studies, seed=3)
    for first, second in zip(studies[::2], studies[1::2], strict=True):
        assert split.sides[first.key] == split.sides[second.key]


def test_studies_that_share_a_slices_pixels_stay_together(index: Index) -> None:
    studies = [renamed(index.studies[0], n) for n in range(30)]
    studies[7] = replace(studies[7], slices=(studies[21].slices[2], *studies[7].slices[1:]))
    for seed in range(5):
        split = split_patients(studies, seed=seed)
        assert split.sides[studies[7].key] == split.sides[studies[21].key]


def test_slices_without_content_do_not_tie_patients_together(index: Index) -> None:
    studies = [renamed(index.studies[0], n) for n in range(12)]
    studies = [replace(s, slices=(replace(s.slices[0], pixel_hash=""), *s.slices[1:])) for s in studies]
    split = split_patients(studies, seed=1)
    assert set(split.sides.values()) == set(SPLITS)
    check_no_leak(members(studies, split))


def test_studies_that_look_alike_stay_together(index: Index) -> None:
    studies = [renamed(index.studies[0], n) for n in range(30)]
    look = index.studies[0].fingerprint
    assert look
    studies[3], studies[22] = replace(studies[3], fingerprint=look), replace(studies[22], fingerprint=look)
    for seed in range(5):
        split = split_patients(studies, seed=seed)
        assert split.sides[studies[3].key] == split.sides[studies[22].key]


def test_a_class_too_small_for_all_sides_is_named(index: Index) -> None:
    studies = [renamed(index.studies[0], n) for n in range(9)]
    studies.append(renamed(next(s for s in index.studies if s.label == 2), 99))
    with pytest.raises(TrainingError, match="no ischemic study is left for validation"):
        split_patients(studies, seed=1)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (-0.2, 0.6, 0.6)])
def test_shares_without_sense_are_refused(index: Index, shares: tuple[float, float, float]) -> None:
    with pytest.raises(TrainingError, match="shares"):
        split_patients(index.studies, seed=1, shares=shares)


def test_a_split_reads_back_as_it_was_written(index: Index, tmp_path: Path) -> None:
    split = split_patients(index.studies, seed=1)
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "sides": {"a": "exam"}}'])
def test_a_split_that_is_not_understood_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(TrainingError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_a_balanced_sample_has_as_many_of_each_class_or_all_there_are(index: Index) -> None:
    studies = [renamed(study, 1000 * i + n) for i, study in enumerate(index.studies[:8]) for n in range(5)]
    studies += [study for study in index.studies if study.label == 2]
    sample = sample_balanced(studies, 8, seed=1)
    assert [sum(s.label == label for s in sample) for label in range(3)] == [8, 8, 6]
    assert PRESETS == (400, 800, 1200)


def test_the_same_seed_draws_the_same_sample_and_a_larger_one_holds_it(index: Index) -> None:
    small = {s.key for s in sample_balanced(index.studies, 3, seed=5)}
    assert small == {s.key for s in sample_balanced(index.studies[::-1], 3, seed=5)}
    assert small < {s.key for s in sample_balanced(index.studies, 5, seed=5)}
    assert small != {s.key for s in sample_balanced(index.studies, 3, seed=6)}


@pytest.mark.parametrize("per_class", [0, -1])
def test_a_sample_of_nothing_is_refused(index: Index, per_class: int) -> None:
    with pytest.raises(TrainingError, match=f"{per_class} studies of each class"):
        sample_balanced(index.studies, per_class, seed=1)


def test_an_empty_class_is_named(index: Index) -> None:
    with pytest.raises(TrainingError, match="there is no ischemic study"):
        sample_balanced([s for s in index.studies if s.label != 2], 400, seed=1)
