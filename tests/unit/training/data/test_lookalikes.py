from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.training.data.phantoms import phantom
from training.data.lookalikes import near_pairs, slice_fingerprint, study_fingerprint


def fingerprint(hu: NDArray[np.int16]) -> str:
    return study_fingerprint([slice_fingerprint(plane) for plane in hu])


HU = phantom(40, "negative").hu


@pytest.mark.parametrize(
    "copy",
    [
        HU + 2,
        HU[::-1],
        HU + np.random.default_rng(1).normal(0, 2, HU.shape).astype(np.int16),
        np.stack([cv2.GaussianBlur(plane, (0, 0), 0.4) for plane in HU]),
        np.stack([cv2.resize(plane, (128, 128), interpolation=cv2.INTER_LINEAR) for plane in HU]),
    ],
    ids=["brighter", "upside down", "noisier", "blurred", "resampled"],
)
def test_a_changed_copy_looks_alike(copy: NDArray[np.int16]) -> None:
    assert near_pairs([fingerprint(HU), fingerprint(copy)]) == [(0, 1)]


def test_other_patients_do_not() -> None:
    assert not near_pairs([fingerprint(phantom(seed, "negative").hu) for seed in range(40, 60)])


def test_pairs_within_a_group_do_not_count_when_groups_are_given() -> None:
    one, other = fingerprint(HU), fingerprint(phantom(41, "negative").hu)
    assert near_pairs([one, other, one, one], ["a", "a", "a", "b"]) == [(0, 3), (2, 3)]


def test_a_study_with_next_to_nothing_in_it_looks_like_no_other() -> None:
    assert fingerprint(np.full((6, 64, 64), -1000, np.int16)) == ""
    assert fingerprint(HU[:2]) == ""
    assert not near_pairs(["", ""])
