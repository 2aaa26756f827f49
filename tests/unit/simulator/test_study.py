from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_app.core.errors import ConfigError
from edge_app.simulator import (
    PERSONALITIES,
    TRAINING_PERSONALITIES,
    UNSEEN_PERSONALITIES,
    Artefacts,
    LesionKind,
    SyntheticStudy,
    make_study,
)


def test_the_same_seed_makes_the_same_bits(bleeding_study: SyntheticStudy) -> None:
    again = make_study(4, "hemorrhage", personality="basic2")
    assert np.array_equal(again.hu, bleeding_study.hu)
    assert np.array_equal(again.lesion_mask, bleeding_study.lesion_mask)
    assert again.patient == bleeding_study.patient
    assert again.lesions == bleeding_study.lesions


def test_another_seed_makes_another_head(negative_study: SyntheticStudy) -> None:
    other = make_study(5, "negative", personality="basic2")
    assert other.hu.shape != negative_study.hu.shape or not np.array_equal(other.hu, negative_study.hu)


def test_two_labels_of_one_seed_differ_by_the_lesion_only(negative_study: SyntheticStudy) -> None:
    bled = make_study(4, "hemorrhage", personality="basic2", lesion=LesionKind.INTRAVENTRICULAR)
    assert bled.patient == negative_study.patient
    assert np.array_equal(bled.positions, negative_study.positions)
    changed = bled.hu != negative_study.hu
    touched = bled.lesion_mask.any(axis=(1, 2))
    near = touched | np.roll(touched, 1) | np.roll(touched, -1)
    assert not changed[~near].any()
    for k in np.flatnonzero(touched):
        ys, xs = np.nonzero(changed[k])
        my, mx = np.nonzero(bled.lesion_mask[k])
        assert ys.min() >= my.min() - 30
        assert xs.max() <= mx.max() + 60


def test_volume_and_slice_labels_follow_from_the_mask(bleeding_study: SyntheticStudy) -> None:
    s = bleeding_study
    voxel_ml = np.prod(s.spacing_mm) / 1000
    assert s.lesions[0].volume_ml == pytest.approx(s.lesion_mask.sum() * voxel_ml)
    area_mm2 = s.lesion_mask.sum(axis=(1, 2)) * s.spacing_mm[1] * s.spacing_mm[2]
    assert np.array_equal(s.label_per_slice, np.where(area_mm2 >= 25, 1, 0))
    assert s.label_per_slice.max() == 1


def test_a_negative_study_holds_no_lesion(negative_study: SyntheticStudy) -> None:
    assert negative_study.lesions == ()
    assert not negative_study.lesion_mask.any()
    assert not negative_study.label_per_slice.any()


def test_blood_is_dense_after_the_scanner_too(bleeding_study: SyntheticStudy) -> None:
    assert 45 < np.median(bleeding_study.hu[bleeding_study.lesion_mask]) < 100
    assert bleeding_study.lesions[0].mean_delta_hu > 15


def test_ischaemia_is_dark_after_the_scanner_too() -> None:
    s = make_study(21, "ischemic", personality="basic2")
    plain = make_study(21, "negative", personality="basic2")
    truth = s.lesions[0]
    assert -12 <= truth.mean_delta_hu <= -3
    seen = (s.hu.astype(float) - plain.hu)[s.lesion_mask].mean()
    assert seen == pytest.approx(truth.mean_delta_hu, abs=2.5)
    assert set(np.unique(s.label_per_slice)) == {0, 2}


@pytest.mark.parametrize("name", ["fixed64", "tilted4", "basic2"])
def test_slices_cover_the_head_without_a_gap(name: str) -> None:
    s = make_study(6, "negative", personality=name)
    normal = np.cross(s.orientation[:3], s.orientation[3:])
    along = s.positions @ normal
    steps = np.diff(along)
    assert np.allclose(steps, s.slice_thickness_mm, atol=1e-6)
    assert along[-1] - along[0] + s.slice_thickness_mm >= 130
    assert s.spacing_mm[0] == pytest.approx(steps.mean())
    # A tilted table still moves along z only.
    assert np.allclose(s.positions[:, :2], s.positions[0, :2])


def test_the_top_slice_lies_above_the_brain(negative_study: SyntheticStudy) -> None:
    brain = (negative_study.hu > 15) & (negative_study.hu < 50)
    assert brain[len(brain) // 2].mean() > 0.15
    assert brain[-1].mean() < 0.03


def test_air_is_minus_1000_on_average(negative_study: SyntheticStudy) -> None:
    corner = negative_study.hu[:, 150:230, 10:60].astype(float)
    assert corner.mean() == pytest.approx(-1000, abs=1)


def test_noise_is_as_strong_as_the_scanner_says_and_correlated(negative_study: SyntheticStudy) -> None:
    other = make_study(4, "negative", personality=replace(PERSONALITIES["basic2"], noise_hu=0.0), artefacts=Artefacts())
    k = len(negative_study.hu) // 2
    noise = (negative_study.hu[k].astype(float) - other.hu[k])[200:312, 200:312]
    assert 0.7 < noise.std() / negative_study.personality.noise_hu < 1.4
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.15


def test_metal_and_motion_can_be_forced() -> None:
    plain, metal, motion = (
        make_study(8, "negative", personality="basic2", artefacts=a)
        for a in (
            Artefacts(motion=False, metal=False),
            Artefacts(motion=False, metal=True),
            Artefacts(motion=True, metal=False),
        )
    )
    assert metal.hu.max() > plain.hu.max() or (metal.hu >= 2000).sum() > (plain.hu >= 2000).sum()
    assert not np.array_equal(plain.hu, motion.hu)


def test_training_never_sees_the_unseen_personalities() -> None:
    assert len(UNSEEN_PERSONALITIES) >= 3
    assert not set(UNSEEN_PERSONALITIES) & set(TRAINING_PERSONALITIES)
    assert len(PERSONALITIES) == len(UNSEEN_PERSONALITIES) + len(TRAINING_PERSONALITIES) >= 8
    drawn = {make_study(seed, "negative").personality.name for seed in (1, 2)}
    assert drawn <= {p.name for p in TRAINING_PERSONALITIES}


@pytest.mark.parametrize(
    ("label", "arguments"),
    [
        ("haemorrhage", {}),
        ("negative", {"lesion": LesionKind.EPIDURAL}),
        ("ischemic", {"lesion": LesionKind.SUBDURAL}),
        ("negative", {"personality": "no such scanner"}),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_remedy(label: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        make_study(1, label, **arguments)  # type: ignore[arg-type]
    assert error.value.remedy
