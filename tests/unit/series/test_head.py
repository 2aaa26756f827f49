"""Slices are measured from pixels; a head is brain inside a skull."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.series import brain_range, looks_like_head, measure_slice, vertex_seen
from edge_app.series.geometry import order_slices
from edge_app.series.head import brain_extent_mm, has_body, head_extent_mm, shows_brain
from tests.slices import header, measures, phantom_head, stack_of


def test_an_elliptic_head_is_measured_in_physical_units() -> None:
    image = phantom_head()
    noisy = image.hu + np.random.default_rng(1).normal(0, 6, image.hu.shape).astype(np.int16)
    found = measure_slice(SliceImage("1", noisy, image.spacing_mm))
    assert found.air_hu == pytest.approx(-1000, abs=3)
    assert found.inside_area_mm2 == pytest.approx(math.pi * 58 * 78, rel=0.05)
    assert found.skull_area_mm2 == pytest.approx(math.pi * (64 * 84 - 58 * 78), rel=0.1)
    assert found.brain_area_mm2 == pytest.approx(found.inside_area_mm2, rel=0.05)
    assert found.brain_median_hu == pytest.approx(32, abs=1.5)
    assert found.noise_hu == pytest.approx(6, abs=2)
    assert (found.head_width_mm, found.head_height_mm) == (pytest.approx(140, abs=3), pytest.approx(180, abs=3))
    assert shows_brain(found)


@pytest.mark.parametrize(("rows", "spacing"), [(256, 0.9), (511, 1.0), (768, 0.3)])
def test_matrix_and_spacing_hardly_change_the_measures(rows: int, spacing: float) -> None:
    found = measure_slice(phantom_head(rows, rows, (spacing, spacing), table=False))
    assert shows_brain(found)
    assert found.inside_area_mm2 == pytest.approx(math.pi * 58 * 78, rel=0.06)


def test_openings_in_the_skull_are_bridged() -> None:
    image = phantom_head()
    hu = image.hu.copy()
    hu[:256, 240:272] = np.where(hu[:256, 240:272] > 300, 30, hu[:256, 240:272])  # 14 mm of the frontal bone
    assert shows_brain(measure_slice(SliceImage("1", hu, image.spacing_mm)))


@pytest.mark.parametrize("brain_hu", [-1000, 0, 200])
def test_a_skull_with_air_water_or_plastic_in_it_shows_no_brain(brain_hu: int) -> None:
    assert not shows_brain(measure_slice(phantom_head(brain_hu=brain_hu)))


def test_soft_tissue_without_a_skull_shows_no_brain() -> None:
    image = phantom_head()
    found = measure_slice(SliceImage("1", np.minimum(image.hu, 40), image.spacing_mm))
    assert found.inside_area_mm2 == 0
    assert math.isnan(found.brain_median_hu)


@pytest.mark.parametrize("kind", ["air", "body everywhere", "noise", "thin plate"])
def test_slices_without_a_head_have_measures_too(kind: str) -> None:
    hu = np.full((256, 256), -1000, np.int16)
    if kind == "body everywhere":
        hu[:] = 40
    elif kind == "noise":
        hu[:] = np.random.default_rng(2).integers(-1024, 3000, hu.shape)
    elif kind == "thin plate":
        hu[100:108] = 100
    found = measure_slice(SliceImage("1", hu, (0.9, 0.9)))
    assert not shows_brain(found)
    assert math.isnan(found.air_hu) == (kind == "body everywhere")


def test_measuring_does_not_depend_on_threads() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = measure_slice(phantom_head())
    finally:
        cv2.setNumThreads(before)
    assert alone == measure_slice(phantom_head())


def test_brain_must_be_seen_over_enough_height() -> None:
    stack = stack_of(30)
    seen = [measures(h.sop_uid) for h in stack.headers]
    assert looks_like_head(stack, seen)
    few = [measures(h.sop_uid, inside_area_mm2=15000.0 if i < 8 else 0.0) for i, h in enumerate(stack.headers)]
    assert brain_extent_mm(stack, few) == pytest.approx(40)
    assert not looks_like_head(stack, few)


def test_a_gap_does_not_count_as_seen() -> None:
    stack = order_slices([header(z) for z in (*range(0, 50, 5), *range(150, 200, 5))])
    seen = [measures(h.sop_uid) for h in stack.headers]
    assert brain_extent_mm(stack, seen) < 110
    one = order_slices([header(0)])
    assert brain_extent_mm(one, [measures(one.headers[0].sop_uid)]) == 5.0


def test_the_head_reaches_from_the_uppermost_bone_at_most_170_mm_down() -> None:
    stack = stack_of(60)
    assert head_extent_mm(stack, [measures(h.sop_uid) for h in stack.headers]) == 170
    upper = [measures(h.sop_uid, skull_area_mm2=0.0 if i < 40 else 900.0) for i, h in enumerate(stack.headers)]
    assert head_extent_mm(stack, upper) == 100


def test_whether_the_vertex_is_seen_is_unknown_until_the_top_slice_is_measured() -> None:
    stack = stack_of(4)
    uids = [h.sop_uid for h in stack.headers]
    assert vertex_seen(stack, []) is None
    assert vertex_seen(stack, [measures(uids[3], inside_area_mm2=0.0)]) is None
    below = [measures(uid) for uid in uids[:3]]
    assert vertex_seen(stack, below) is None
    assert vertex_seen(stack, [*below, measures(uids[3])]) is False
    assert vertex_seen(stack, [*below, measures(uids[3], brain_area_mm2=4000.0, inside_area_mm2=5000.0)]) is True
    assert vertex_seen(stack, [*below, measures(uids[3], brain_area_mm2=0.0)]) is True


def test_most_slices_must_show_an_object() -> None:
    assert has_body([measures("1"), measures("2"), measures("3", body_fraction=0.0)])
    assert not has_body([measures("1", body_fraction=0.0)])
    assert not has_body([])


def test_a_head_and_neck_series_is_cut_to_the_head_below_the_vertex() -> None:
    stack = stack_of(90, 3.0, slice_thickness_mm=3.0)
    seen = [measures(h.sop_uid, skull_area_mm2=0.0 if i > 86 else 900.0) for i, h in enumerate(stack.headers)]
    chosen = brain_range(stack, seen)
    assert chosen[-1] == 86
    assert stack.positions_mm[chosen[0]] >= stack.positions_mm[86] - 170
    assert chosen == tuple(range(chosen[0], 87))


def test_many_thin_slices_are_thinned_evenly_and_keep_both_ends() -> None:
    stack = stack_of(130, 1.25, slice_thickness_mm=1.25)
    chosen = brain_range(stack, [])
    assert len(chosen) == 80
    assert (chosen[0], chosen[-1]) == (0, 129)
    assert {b - a for a, b in pairwise(chosen)} == {1, 2}
    assert len(brain_range(stack, [], max_slices=10)) == 10
