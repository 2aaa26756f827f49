from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from edge_app.simulator.anatomy import Rendering, render
from edge_app.simulator.head import draw_head
from edge_app.simulator.lesions import HAEMORRHAGES, TERRITORIES, LesionKind, draw_lesion
from edge_app.simulator.plane import Plane
from edge_app.simulator.skull_base import draw_skull_base

STEP_MM, SLICE_MM = 1.5, 6.0


@lru_cache(maxsize=64)
def _with_lesion(kind: LesionKind, seed: int) -> tuple[str, int, list[tuple[Rendering, Rendering]]]:
    """Render one head with and without a lesion, plane by plane: (place, side, pairs)."""
    rng = np.random.default_rng(seed)
    head, base = draw_head(rng), draw_skull_base(rng)
    lesion = draw_lesion(np.random.default_rng([seed, 1]), kind)
    x, y = np.meshgrid(np.arange(-84, 84, STEP_MM, dtype=np.float32), np.arange(-105, 105, STEP_MM, dtype=np.float32))
    planes = [Plane.of(x, y, np.full_like(x, z)) for z in np.arange(-66, 78, SLICE_MM)]
    pairs = [(render(head, base, p, lesion), render(head, base, p, None)) for p in planes]
    return lesion.place, lesion.side, [(a, b) for a, b in pairs if a.lesion is not None]


def _inside(rendering: Rendering, share: float = 0.95) -> np.ndarray:
    assert rendering.lesion is not None
    return rendering.lesion > share


def _collect(kind: LesionKind, seed: int, what: str) -> np.ndarray:
    _, _, pairs = _with_lesion(kind, seed)
    return np.concatenate([getattr(a.tissue, what)[_inside(a)] for a, _ in pairs])


def _volume_ml(kind: LesionKind, seed: int) -> float:
    _, _, pairs = _with_lesion(kind, seed)
    voxels = sum(int((a.lesion >= 0.5).sum()) for a, _ in pairs if a.lesion is not None)
    return voxels * STEP_MM**2 * SLICE_MM / 1000


@pytest.mark.parametrize("kind", HAEMORRHAGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_blood_is_50_to_90_hu(kind: LesionKind, seed: int) -> None:
    _, _, pairs = _with_lesion(kind, seed)
    hu = np.concatenate([a.hu[_inside(a, 0.99)] for a, _ in pairs])
    assert hu.size > 0
    assert np.percentile(hu, 2) >= 50
    assert np.percentile(hu, 98) <= 90


@pytest.mark.parametrize("kind", HAEMORRHAGES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_haemorrhages_have_the_volumes_of_patients(kind: LesionKind, seed: int) -> None:
    assert 0.5 <= _volume_ml(kind, seed) <= 80


@pytest.mark.parametrize("seed", [1, 2])
def test_an_epidural_haematoma_is_a_lens_that_hugs_the_inner_table(seed: int) -> None:
    depth = _collect(LesionKind.EPIDURAL, seed, "depth_mm")
    assert depth.min() < 2.5
    assert 5 < depth.max() < 25


@pytest.mark.parametrize("seed", [1, 2])
def test_a_subdural_haematoma_is_thinner_and_longer_than_an_epidural_one(seed: int) -> None:
    _, side, pairs = _with_lesion(LesionKind.SUBDURAL, seed)
    assert _collect(LesionKind.SUBDURAL, seed, "depth_mm").max() < 14
    x = np.arange(-84, 84, STEP_MM)
    for a, _ in pairs:
        columns = np.flatnonzero(_inside(a).any(axis=0))
        assert np.all(x[columns] * side > 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_parenchymal_blood_lies_in_the_brain(seed: int) -> None:
    _, _, pairs = _with_lesion(LesionKind.INTRAPARENCHYMAL, seed)
    outside = sum(int(((b.tissue.depth_mm < 1) & _inside(a)).sum()) for a, b in pairs)
    assert outside == 0
    in_ventricle = sum(int(((a.tissue.ventricle > 0.5) & _inside(a)).sum()) for a, _ in pairs)
    assert in_ventricle == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_ventricular_blood_lies_in_the_ventricles(seed: int) -> None:
    assert _collect(LesionKind.INTRAVENTRICULAR, seed, "ventricle").min() > 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_subarachnoid_blood_lies_in_sulci_and_cisterns(seed: int) -> None:
    assert _collect(LesionKind.SUBARACHNOID, seed, "cistern").min() > 0.9


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_ischaemia_lowers_grey_matter_more_than_white_on_one_side(seed: int) -> None:
    place, side, pairs = _with_lesion(LesionKind.ISCHAEMIA, seed)
    assert place in TERRITORIES
    grey, white = [], []
    x = np.arange(-84, 84, STEP_MM)[None, :]
    for a, _ in pairs:
        assert a.change_hu is not None
        inside = _inside(a)
        grey.append(a.change_hu[inside & (a.tissue.grey > 0.9)])
        white.append(a.change_hu[inside & (a.tissue.grey < 0.1)])
        assert not np.any(inside & (x * side < -6))
    drops = [float(np.concatenate(part).mean()) for part in (grey, white)]
    assert -13 <= drops[0] < drops[1] <= -2
    assert 10 <= _volume_ml(LesionKind.ISCHAEMIA, seed) <= 200


@pytest.mark.parametrize("kind", list(LesionKind))
def test_a_lesion_leaves_the_skull_alone(kind: LesionKind) -> None:
    _, _, pairs = _with_lesion(kind, 1)
    for a, b in pairs:
        bone = b.tissue.depth_mm < -0.6
        assert np.array_equal(a.hu[bone], b.hu[bone])
