"""What holds for every prepared slice."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.core.types import SliceImage
from edge_app.preprocessing import PROFILES, Window, get_profile, prepare
from edge_app.preprocessing.windows import apply_window
from tests.slices import phantom_head

names = st.sampled_from(sorted(PROFILES))


@given(
    st.floats(-1000, 2000),
    st.floats(1, 4000),
    st.lists(st.integers(-32768, 32767), min_size=2, max_size=50),
)
def test_windows_are_monotone_and_stay_in_the_unit_range(centre: float, width: float, values: list[int]) -> None:
    hu = np.array(sorted(values), np.int16)
    out = apply_window(hu, Window(centre, width), np.empty(hu.shape, np.float32))
    assert (np.diff(out) >= 0).all()
    assert ((out >= 0) & (out <= 1)).all()


@settings(max_examples=15, deadline=None)
@given(names, st.floats(-25, 25), st.floats(-20, 20), st.floats(-20, 20))
def test_the_map_back_to_the_slice_is_rigid_up_to_scale(name: str, lean_deg: float, dx: float, dy: float) -> None:
    image = phantom_head(256, 256, (0.9, 0.9), lean_deg=lean_deg, centre=(127.5 + dx, 127.5 + dy), table=False)
    linear = prepare(image, get_profile(name)).to_slice[:, :2]
    scale = np.sqrt(np.linalg.det(linear))
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * scale**2, rtol=0.02, atol=0.02)


@settings(max_examples=20, deadline=None)
@given(names, st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**31))
def test_any_pixels_give_a_finite_input(name: str, rows: int, columns: int, seed: int) -> None:
    hu = np.random.default_rng(seed).integers(-32768, 32767, (rows, columns), endpoint=True).astype(np.int16)
    prepared = prepare(SliceImage("1", hu, (0.5, 0.7)), get_profile(name))
    assert np.isfinite(prepared.input).all()
    assert prepared.input.min() >= 0
    assert prepared.input.max() <= 1
    assert np.isfinite(prepared.to_slice).all()
