"""Our own profile: one physical scale, head upright and centred, table gone, air outside."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.preprocessing import PhysicalProfile, get_profile, prepare
from tests.slices import phantom_head

MSU1 = get_profile("msu1")
BONE = 2


def _outline(image: SliceImage) -> np.ndarray:
    """Return the skull in the model input as a mask."""
    return prepare(image, MSU1).input[BONE] > 0.5


def _lean_deg(mask: np.ndarray) -> float:
    y, x = np.nonzero(mask)
    dx, dy = x - x.mean(), y - y.mean()
    return float(0.5 * np.degrees(np.arctan2(-2 * (dx * dy).sum(), (dy**2 - dx**2).sum())))


@pytest.mark.parametrize("lean_deg", [-25, -10, -3, 0, 3, 10, 25])
def test_a_leaning_head_stands_upright_by_the_same_rule_on_both_sides(lean_deg: float) -> None:
    assert abs(_lean_deg(_outline(phantom_head(lean_deg=lean_deg)))) < 1.2


def test_turning_is_limited_to_thirty_degrees() -> None:
    assert _lean_deg(_outline(phantom_head(lean_deg=42, table=False))) == pytest.approx(12, abs=1)
    assert _lean_deg(_outline(phantom_head(lean_deg=-42, table=False))) == pytest.approx(-12, abs=1)


def test_a_round_head_is_not_turned() -> None:
    to_slice = prepare(phantom_head(lean_deg=20, axes_mm=(80.0, 82.0), table=False), MSU1).to_slice
    assert abs(to_slice[0, 1]) < 1e-9


@pytest.mark.parametrize("centre", [(256.0, 256.0), (300.0, 230.0)])
def test_the_head_lies_in_the_middle_at_one_millimetre_a_pixel(centre: tuple[float, float]) -> None:
    y, x = np.nonzero(_outline(phantom_head(centre=centre)))
    assert (x.mean(), y.mean()) == (pytest.approx(111.5, abs=0.6), pytest.approx(111.5, abs=0.6))
    assert (np.ptp(x) + 1, np.ptp(y) + 1) == (pytest.approx(128, abs=3), pytest.approx(168, abs=3))


@pytest.mark.parametrize(("size", "spacing"), [(256, 0.9), (511, 1.0), (768, 0.3), (160, 1.4)])
def test_matrix_and_spacing_do_not_change_the_scale(size: int, spacing: float) -> None:
    expected = _outline(phantom_head())
    found = _outline(phantom_head(size, size, (spacing, spacing)))
    assert (found ^ expected).sum() < 0.25 * expected.sum()


def test_unequal_row_and_column_spacing_is_made_square() -> None:
    y, x = np.nonzero(_outline(phantom_head(512, 300, (0.45, 0.75))))
    assert (np.ptp(x) + 1, np.ptp(y) + 1) == (pytest.approx(128, abs=3), pytest.approx(168, abs=3))


def test_the_table_is_gone_and_outside_is_air() -> None:
    with_table, without = prepare(phantom_head(), MSU1), prepare(phantom_head(table=False), MSU1)
    np.testing.assert_array_equal(with_table.input, without.input)
    assert with_table.input[BONE, :5].max() == 0


def test_windows_keep_the_order_of_hu_and_their_published_ends() -> None:
    for channel, (low, high) in enumerate([(12, 52), (-10, 130), (-800, 2000)]):
        values = [
            float(prepare(phantom_head(brain_hu=hu), MSU1).input[channel, 130, 112])
            for hu in (low - 5, low, (low + high) // 2, high, high + 5)
        ]
        assert values == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-3)


def test_shrinking_averages_noise_instead_of_aliasing_it() -> None:
    image = phantom_head(table=False)
    noise = np.random.default_rng(1).normal(0, 12, image.hu.shape)
    noisy = SliceImage("1", (image.hu + noise).astype(np.int16), image.spacing_mm)
    part = prepare(noisy, MSU1).input[1, 120:150, 90:130] * 140
    assert part.std() < 12 * 0.6


def test_a_slice_with_hardly_any_head_is_abnormal_but_keeps_its_scale() -> None:
    hu = np.full((512, 512), -1000, np.int16)
    hu[250:290, 250:290] = 40
    prepared = prepare(SliceImage("1", hu, (0.45, 0.45)), MSU1)
    assert prepared.abnormal
    assert prepared.input[1].sum() > 0
    assert prepared.to_slice[0, 0] == pytest.approx(1 / 0.45, rel=0.01)


def test_the_profile_is_a_physical_one() -> None:
    assert isinstance(MSU1, PhysicalProfile)
