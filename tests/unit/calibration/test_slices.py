"""Which slices are calibrated on, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration import slices
from calibration.slices import choose_slices, refuse_noise
from edge_app.core.errors import ExportError
from export.golden_make import make_golden, unit_inputs
from training.data.prepared import PreparedSet, open_prepared


@pytest.fixture(scope="module")
def sets(prepared: Path) -> dict[str, PreparedSet]:
    return open_prepared(prepared)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "LEAST", 12)


@pytest.mark.usefixtures("few")
def test_slices_are_of_every_class_and_height_and_from_other_patients_than_those_judged_on(
    sets: dict[str, PreparedSet],
) -> None:
    known = choose_slices(sets, 15, judged_per_class=1)
    assert len(known.images) == len(known.chosen) == 15 and known.judged.patients == 3
    assert {one.label for one in known.chosen} == {"negative", "hemorrhage", "ischemic"}
    assert {one.height for one in known.chosen} == {"low", "middle", "high"}
    assert len({one.sha for one in known.chosen}) == 15
    judged = {image.tobytes() for image in known.judged.images}
    assert not judged & {image.tobytes() for image in known.images}
    assert choose_slices(sets, 15, judged_per_class=1).chosen == known.chosen


def test_a_golden_set_holds_so_many_patients_as_it_says(sets: dict[str, PreparedSet]) -> None:
    train = sets["train"]
    one = replace(train, studies=tuple(replace(study, patient_id=f"P{study.label}") for study in train.studies))
    assert make_golden(one, per_class=1).patients == 3
    with pytest.raises(ExportError, match="1 patients with a usable negative study, 2 are asked for"):
        make_golden(one, per_class=2)
    with pytest.raises(ExportError, match="1 patients with a negative study, 2 are needed at least"):
        choose_slices({**sets, "train": one}, 15, judged_per_class=1)


@pytest.mark.usefixtures("few")
def test_no_other_study_of_a_patient_judged_on_is_calibrated_on(sets: dict[str, PreparedSet]) -> None:
    train = sets["train"]
    judged = choose_slices(sets, 15, judged_per_class=1).judged.images
    seen = unit_inputs(train, np.arange(len(train)))
    known_judged = {image.tobytes() for image in judged}
    of_judged = {int(train.study_of_slice[i]) for i, image in enumerate(seen) if image.tobytes() in known_judged}
    first = min(of_judged)
    other_class = (i for i, study in enumerate(train.studies) if study.label != train.studies[first].label)
    again = next(i for i in other_class if i not in of_judged)
    studies = list(train.studies)
    studies[again] = replace(studies[again], patient_id=studies[first].patient_id)
    known = choose_slices({**sets, "train": replace(train, studies=tuple(studies))}, 15, judged_per_class=1)
    assert {image.tobytes() for image in known.judged.images} == known_judged
    theirs = {image.tobytes() for image in unit_inputs(train, np.flatnonzero(train.study_of_slice == again))}
    assert not theirs & {image.tobytes() for image in known.images}


def test_too_few_slices_are_refused(sets: dict[str, PreparedSet]) -> None:
    with pytest.raises(ExportError, match=r"slices are too few to calibrate on, at least 128"):
        choose_slices(sets, 500, judged_per_class=1)
    with pytest.raises(ExportError, match="9 are needed at least"):
        choose_slices(sets, 500, judged_per_class=8)


@pytest.mark.usefixtures("few")
def test_slices_of_the_test_side_are_refused(sets: dict[str, PreparedSet]) -> None:
    with pytest.raises(ExportError, match="test side are asked for"):
        choose_slices(sets, 20, side="test", judged_per_class=1)
    with pytest.raises(ExportError, match="a slice of the test side would be calibrated on"):
        choose_slices({**sets, "test": sets["train"]}, 20, judged_per_class=1)


@pytest.mark.usefixtures("few")
def test_slices_of_the_golden_set_are_refused(sets: dict[str, PreparedSet]) -> None:
    with pytest.raises(ExportError, match="a slice of the golden set"):
        choose_slices(sets, 40, judged_per_class=1, golden=make_golden(sets["train"], per_class=2))
    choose_slices(sets, 20, judged_per_class=1, golden=make_golden(sets["validation"], per_class=1))


@pytest.mark.usefixtures("few")
def test_random_data_are_refused(sets: dict[str, PreparedSet]) -> None:
    train = sets["train"]
    noise = np.random.default_rng(0).integers(0, 256, (len(train), 3, 224, 224), dtype=np.uint8)
    place = np.stack([np.zeros(len(train), np.int64), np.arange(len(train))], axis=1)
    noisy = replace(train, shards=((noise, train.shards[0][1]),), place=place)
    with pytest.raises(ExportError, match=r"15 of 15 slices are noise or empty"):
        choose_slices({**sets, "train": noisy}, 15, judged_per_class=1)


def test_prepared_slices_are_no_noise_and_wrong_ranges_are_named(sets: dict[str, PreparedSet]) -> None:
    images = unit_inputs(sets["train"], np.arange(12))
    refuse_noise(images)
    with pytest.raises(ExportError, match=r"not in \[0, 1\]"):
        refuse_noise(images * 255)
    with pytest.raises(ExportError, match="noise or empty"):
        refuse_noise(np.zeros_like(images))
