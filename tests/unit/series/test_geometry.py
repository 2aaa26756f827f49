"""Order comes from position along the slice normal; a gap is a jump beyond the slice thickness."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from edge_app.core.errors import HeaderError
from edge_app.series import order_slices
from tests.slices import header, headers_at, stack_of


def test_slices_are_ordered_from_foot_to_head_whatever_their_numbers_and_order() -> None:
    headers = [replace(header(z), instance_number=1) for z in range(0, 150, 5)]
    shuffled = random.Random(3).sample(headers, len(headers))
    assert order_slices(shuffled).headers == tuple(headers)


def test_slices_stored_with_a_normal_towards_the_feet_keep_the_order_foot_to_head() -> None:
    stack = order_slices(headers_at(range(0, 100, 5), image_orientation=(-1.0, 0, 0, 0, 1.0, 0)))
    assert [h.image_position_mm[2] for h in stack.headers if h.image_position_mm] == list(range(0, 100, 5))


def test_a_tilted_gantry_gives_its_angle_and_the_spacing_along_the_normal() -> None:
    tilt = math.radians(16.5)
    stack = stack_of(40, 2.5, image_orientation=(1.0, 0, 0, 0, math.cos(tilt), math.sin(tilt)), slice_thickness_mm=2.5)
    assert stack.tilt_deg == pytest.approx(16.5)
    assert stack.spacing_mm == pytest.approx(2.5 * math.cos(tilt))
    assert stack.gap_free


def test_a_missing_slice_is_found_and_named() -> None:
    stack = order_slices(headers_at([z for z in range(0, 150, 5) if z != 50]))
    (gap,) = stack.missing
    assert (gap.from_mm, gap.to_mm, gap.missing) == (45, 55, 1)
    assert stack.headers[gap.after].image_position_mm == (-115.0, -115.0, 45)
    assert not stack.gap_free


def test_without_slice_thickness_a_jump_beyond_the_steps_around_it_is_a_gap() -> None:
    stack = order_slices(headers_at([0, 5, 10, 20], slice_thickness_mm=None))
    assert [gap.after for gap in stack.missing] == [2]


def test_thin_slices_below_and_thick_ones_above_are_no_gap() -> None:
    thin = headers_at([z * 2.5 for z in range(16)], slice_thickness_mm=2.5)
    thick = headers_at([37.5 + 3.75 + z * 5 for z in range(20)], slice_thickness_mm=5.0)
    assert order_slices(thin + thick).gap_free
    wider = headers_at([37.5 + 5 + z * 5 for z in range(20)], slice_thickness_mm=5.0)
    assert order_slices(thin + wider).gap_free


def test_a_slice_lost_among_overlapping_ones_is_found() -> None:
    assert len(order_slices(headers_at([z for z in range(0, 100, 2) if z != 40], slice_thickness_mm=5.0)).missing) == 1


def test_regular_steps_beyond_the_slice_thickness_are_gaps() -> None:
    assert len(stack_of(10, 15.0, slice_thickness_mm=3.0).missing) == 9


def test_slices_at_one_position_are_grouped() -> None:
    headers = headers_at([0, 5, 10])
    twin = replace(headers[1], sop_uid="9.9")
    stack = order_slices([*headers, twin])
    assert stack.duplicates == ((headers[1].sop_uid, "9.9"),)
    assert stack.missing == ()
    assert not stack.gap_free


def test_a_single_slice_is_a_stack_with_its_thickness_as_coverage() -> None:
    stack = order_slices([header()])
    assert (stack.coverage_mm, stack.spacing_mm, stack.gaps_mm) == (5.0, 0.0, ())
    assert stack.series_uid == "1.2.2"


def test_thickness_is_the_median_of_what_is_known() -> None:
    headers = [header(0, slice_thickness_mm=None), header(5, slice_thickness_mm=2.0), header(10)]
    assert order_slices(headers).thickness_mm == 3.5
    assert stack_of(3, slice_thickness_mm=None).thickness_mm is None


def test_differing_orientations_are_noted() -> None:
    mixed = [*headers_at([0, 5, 10]), header(15, image_orientation=(0, 1.0, 0, 0, 0, -1.0))]
    assert not order_slices(mixed).orientations_agree
    assert stack_of().orientations_agree


def test_three_perpendicular_slices_do_not_divide_by_zero() -> None:
    directions = [(1.0, 0, 0, 0, 1.0, 0), (0, 1.0, 0, 0, 0, 1.0), (1.0, 0, 0, 0, 0, 1.0)]
    stack = order_slices([header(z, image_orientation=d) for z, d in zip((0, 5, 10), directions, strict=True)])
    assert not stack.orientations_agree


@pytest.mark.parametrize("missing", ["image_position_mm", "image_orientation"])
def test_a_slice_without_position_or_orientation_has_no_place_in_a_stack(missing: str) -> None:
    with pytest.raises(HeaderError, match="Patient"):
        order_slices([header(0), header(5, **{missing: None})])


def test_no_slices_make_no_stack() -> None:
    with pytest.raises(HeaderError, match="without slices"):
        order_slices([])
