"""The published profile does what the published steps do, written plainly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.preprocessing import PublishedProfile, get_profile, prepare
from edge_app.preprocessing.published import _head_mask
from edge_app.series import decode_slice, load_instance
from tests.slices import phantom_head
from tests.unit.preprocessing.plain_published import head_mask, prepare_plainly

FAITHFUL, FIXED = get_profile("seed2023"), get_profile("seed2023-fixed")


def _blobs(seed: int) -> np.ndarray:
    """Return a slice of random soft blobs with holes, some at the edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    hu = np.full((256, 256), -1000, np.int16)
    for _ in range(12):
        cx, cy, outer = rng.uniform((0, 0, 5), (256, 256, 45))
        distance = np.hypot(x - cx, y - cy)
        hu[(distance < outer) & (distance > outer * rng.uniform(0, 0.9))] = rng.integers(1, 90)
    return hu


@pytest.mark.parametrize("seed", range(12))
def test_the_head_mask_is_the_published_one_pixel_by_pixel(seed: int) -> None:
    assert isinstance(FAITHFUL, PublishedProfile)
    hu = _blobs(seed)
    np.testing.assert_array_equal(_head_mask(hu, FAITHFUL).astype(bool), head_mask(hu))


@pytest.mark.parametrize("lean_deg", [-12, 4, 15])
def test_the_whole_preparation_agrees_with_the_plain_one(lean_deg: float) -> None:
    image = phantom_head(lean_deg=lean_deg, centre=(262.0, 251.0))
    expected, found = prepare_plainly(image.hu), prepare(image, FAITHFUL).input
    # One interpolation instead of two, and fixed-point weights: edges of bone differ a little, nothing else does.
    assert np.abs(found - expected).mean() < 0.004
    assert np.quantile(np.abs(found - expected), 0.98) < 0.05


def test_real_slices_agree_with_the_plain_preparation(shared_data: Path) -> None:
    assert isinstance(FAITHFUL, PublishedProfile)
    for number in (10, 25, 40):
        header, ds = load_instance(shared_data / "head_neck_planning" / f"IMG_{number:05d}.dcm")
        image = decode_slice(ds, header)
        np.testing.assert_array_equal(_head_mask(image.hu, FAITHFUL).astype(bool), head_mask(image.hu))


def _lean_deg(image: SliceImage, profile: PublishedProfile) -> float:
    y, x = np.nonzero(prepare(image, profile).input[2] > 0.5)
    dx, dy = x - x.mean(), y - y.mean()
    return float(0.5 * np.degrees(np.arctan2(-2 * (dx * dy).sum(), (dy**2 - dx**2).sum())))


@pytest.mark.parametrize("lean_deg", [-12.0, 12.0])
def test_the_published_angle_rule_turns_one_side_six_degrees_too_far(lean_deg: float) -> None:
    assert isinstance(FAITHFUL, PublishedProfile)
    assert isinstance(FIXED, PublishedProfile)
    image = phantom_head(lean_deg=lean_deg, table=False)
    assert abs(_lean_deg(image, FIXED)) < 1
    assert abs(_lean_deg(image, FAITHFUL)) == pytest.approx(6 if lean_deg > 0 else 0, abs=1)


def test_a_slice_full_of_tissue_is_abnormal_and_only_centred() -> None:
    hu = np.full((512, 512), 40, np.int16)
    prepared = prepare(SliceImage("1", hu, (0.45, 0.45)), FAITHFUL)
    assert prepared.abnormal
    np.testing.assert_allclose(prepared.input[0], 0.5)


def test_a_small_object_is_abnormal_and_moved_to_the_middle() -> None:
    hu = np.full((512, 512), -1000, np.int16)
    hu[100:140, 300:340] = 80
    prepared = prepare(SliceImage("1", hu, (0.45, 0.45)), FAITHFUL)
    assert prepared.abnormal
    y, x = np.nonzero(prepared.input[0] > 0.5)
    assert (x.mean(), y.mean()) == (pytest.approx(111.5, abs=0.6), pytest.approx(111.5, abs=0.6))


def test_the_largest_object_is_kept_and_the_table_masked_out() -> None:
    found = prepare(phantom_head(axes_mm=(60.0, 75.0)), FIXED).input
    without = prepare(phantom_head(axes_mm=(60.0, 75.0), table=False), FIXED).input
    np.testing.assert_array_equal(found, without)


@pytest.mark.parametrize("lost", [(slice(300, None), slice(None)), (slice(None), slice(300, None))])
def test_a_slice_of_which_a_part_was_lost_is_prepared_unturned(lost: tuple[slice, slice]) -> None:
    hu = np.full((512, 512), 40, np.int16)
    hu[lost] = -1000
    prepared = prepare(SliceImage("1.2", hu, (0.45, 0.45)), FAITHFUL)
    assert not prepared.abnormal
    assert prepared.to_slice[0, 1] == prepared.to_slice[1, 0] == 0.0
