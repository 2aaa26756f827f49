from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from edge_app.simulator.anatomy import Rendering, render
from edge_app.simulator.head import Head, draw_head
from edge_app.simulator.plane import Plane
from edge_app.simulator.skull_base import SkullBase, draw_skull_base

SEEDS = (1, 2, 3)


@lru_cache(maxsize=4)
def _head(seed: int) -> tuple[Head, SkullBase]:
    rng = np.random.default_rng(seed)
    return draw_head(rng), draw_skull_base(rng)


def _plane(z_mm: float) -> Plane:
    x, y = np.meshgrid(np.arange(-90, 90, dtype=np.float32), np.arange(-112, 112, dtype=np.float32))
    return Plane.of(x, y, np.full_like(x, z_mm))


def _render(seed: int, z_mm: float) -> Rendering:
    head, base = _head(seed)
    return render(head, base, _plane(z_mm), None)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("z_mm", [2.0, 25.0, 45.0])
def test_grey_matter_is_denser_than_white_and_both_are_as_in_patients(seed: int, z_mm: float) -> None:
    found = _render(seed, z_mm)
    tissue = found.tissue
    deep = (tissue.brain > 0.99) & (tissue.depth_mm > 4)
    grey = found.hu[deep & (tissue.grey > 0.95)]
    white = found.hu[deep & (tissue.grey < 0.05)]
    assert 34 <= np.median(grey) <= 42
    assert 24 <= np.median(white) <= 32
    assert np.median(grey) - np.median(white) > 4


@pytest.mark.parametrize("seed", SEEDS)
def test_ventricles_hold_water(seed: int) -> None:
    found = _render(seed, 8.0)
    inside = found.tissue.ventricle > 0.99
    assert inside.sum() > 50
    assert 0 <= np.median(found.hu[inside]) <= 15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_closed_ring_of_bone_surrounds_the_brain(seed: int) -> None:
    found = _render(seed, 20.0)
    assert np.percentile(found.hu[found.hu > 300], 75) > 700
    for row in (found.hu[112], found.hu[:, 90]):
        bone = np.flatnonzero(row > 700)
        brain = np.flatnonzero(
            (row > 20) & (row < 45) & (np.arange(row.size) > bone[0]) & (np.arange(row.size) < bone[-1])
        )
        assert bone[0] < brain[0] < brain[-1] < bone[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_air_surrounds_the_head_at_minus_1000(seed: int) -> None:
    found = _render(seed, 20.0)
    assert np.all(found.hu[:4] == -1000)
    assert np.all(found.hu[:, :4] == -1000)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_base_has_eyes_fat_and_air_cells(seed: int) -> None:
    hu = np.stack([_render(seed, z).hu for z in (-56.0, -50.0)])
    front = hu[:, :90]
    assert (front < -800).sum() > 100
    assert ((front > -120) & (front < -70)).sum() > 200
    assert ((front > 2) & (front < 16)).sum() > 60


def test_the_fluid_spaces_of_an_old_brain_are_wider() -> None:
    heads = [_head(seed)[0] for seed in range(40)]
    old = [h.atrophy for h in heads if h.age_years >= 70]
    young = [h.atrophy for h in heads if h.age_years < 55]
    assert np.mean(old) > np.mean(young) + 0.1
