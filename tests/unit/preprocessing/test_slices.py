"""What every profile promises: shape, range, and a map back to the slice that is true."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.preprocessing import PROFILES, Prepared, get_profile, prepare
from edge_app.preprocessing.affine import compose, resized_to_source, turn_about
from tests.slices import phantom_head

ALL = sorted(PROFILES)


def _bright_spot(prepared: Prepared, channel: int) -> np.ndarray:
    """Return where the mark of the phantom lies in the model input, (x, y)."""
    y, x = np.nonzero(prepared.input[channel] > 0)
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(512, 512), (400, 300), (768, 768), (201, 204)])
def test_inputs_are_contiguous_float32_in_the_unit_range(name: str, shape: tuple[int, int]) -> None:
    spacing = 210 / min(shape)
    prepared = prepare(phantom_head(*shape, (spacing, spacing)), get_profile(name))
    assert prepared.input.shape == (3, 224, 224)
    assert prepared.input.dtype == np.float32
    assert prepared.input.flags.c_contiguous
    assert not prepared.input.flags.writeable
    assert prepared.input.min() >= 0
    assert prepared.input.max() <= 1
    assert prepared.to_slice.shape == (2, 3)
    assert prepared.to_slice.dtype == np.float64
    assert not prepared.abnormal


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lean_deg", [-20, 0, 20])
def test_input_pixels_map_back_to_where_they_came_from(name: str, lean_deg: float) -> None:
    image = phantom_head(lean_deg=lean_deg, centre=(270.0, 240.0), table=False)
    hu = np.where(image.hu == 70, 70, np.minimum(image.hu, -5)).astype(np.int16)  # only the mark is in the window
    prepared = prepare(
        SliceImage("1", np.where(image.hu > 0, hu, -1000).astype(np.int16), image.spacing_mm), get_profile(name)
    )
    y, x = np.nonzero(image.hu == 70)
    found = prepared.to_slice @ np.append(_bright_spot(prepared, 0), 1)
    np.testing.assert_allclose(found, [x.mean(), y.mean()], atol=1.2)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_slice_is_abnormal_and_black(name: str) -> None:
    prepared = prepare(SliceImage("1", np.full((512, 512), -1000, np.int16), (0.45, 0.45)), get_profile(name))
    assert prepared.abnormal
    assert prepared.input.max() == 0


@pytest.mark.parametrize("name", ALL)
def test_the_same_slice_gives_the_same_bits(name: str) -> None:
    first, second = (prepare(phantom_head(lean_deg=7), get_profile(name)) for _ in range(2))
    np.testing.assert_array_equal(first.input, second.input)
    np.testing.assert_array_equal(first.to_slice, second.to_slice)


def test_affine_maps_compose_and_keep_edges() -> None:
    grid = resized_to_source((512, 256), (256, 256))
    np.testing.assert_allclose(grid @ [-0.5, -0.5, 1], [-0.5, -0.5])
    np.testing.assert_allclose(grid @ [255.5, 255.5, 1], [255.5, 511.5])
    turn = turn_about((10, 20), 90, (1, 2))
    np.testing.assert_allclose(turn @ [1, 2, 1], [10, 20])
    np.testing.assert_allclose(turn @ [1, 1, 1], [11, 20], atol=1e-12)
    both = compose(grid, turn)
    np.testing.assert_allclose(both @ [5, 6, 1], grid @ np.append(turn @ [5, 6, 1], 1))
