from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.ui.viewer import ViewerModel
from edge_app.ui.windowing import PRESETS, Preset, apply_window, body_box, crop_to_body, window_table


@pytest.mark.requirement("R50")
def test_presets_are_those_of_the_requirement() -> None:
    numbers = [(preset.key, preset.width_hu, preset.centre_hu) for preset in PRESETS]
    assert numbers == [
        ("brain", 80, 40),
        ("stroke", 40, 40),
        ("subdural", 200, 80),
        ("bone", 2800, 600),
        ("narrow", 8, 32),
    ]


def test_the_brain_window_runs_from_black_at_zero_to_white_at_eighty() -> None:
    hu = np.array([[-1000, 0, 20, 40, 60, 79, 3000]], np.int16)
    assert apply_window(hu, PRESETS[0]).tolist() == [[0, 0, 65, 129, 194, 255, 255]]


@given(st.integers(-1000, 3000), st.integers(2, 4000))
def test_grey_never_falls_as_hu_rises(centre_hu: int, width_hu: int) -> None:
    hu = np.arange(-32768, 32768).astype(np.int16).reshape(256, 256)
    grey = apply_window(hu, Preset("any", centre_hu, width_hu)).reshape(-1).astype(int)
    assert np.all(np.diff(grey) >= 0)
    assert grey[0] == 0 and grey[-1] == 255


def test_a_window_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="below 2"):
        window_table(40, 1)


def test_windowing_takes_arrays_that_are_not_contiguous() -> None:
    hu = np.arange(64, dtype=np.int16).reshape(8, 8)
    assert np.array_equal(apply_window(hu.T, PRESETS[0]), apply_window(hu, PRESETS[0]).T)


def test_a_thumbnail_is_cropped_to_the_body() -> None:
    hu = np.full((512, 512), -1000, np.int16)
    hu[200:400, 150:350] = 40
    crop = crop_to_body(hu)
    assert crop.shape[0] == crop.shape[1]
    assert (crop == 40).mean() > 0.7
    assert np.array_equal(crop_to_body(np.full((64, 64), -1000, np.int16)), np.full((64, 64), -1000, np.int16))
    assert crop_to_body(np.full((300, 200), 40, np.int16)).shape == (200, 200)


SLICES = tuple("abcdefghij")


def test_scrolling_stops_at_the_ends_and_up_is_towards_the_head() -> None:
    model = ViewerModel().show("s", SLICES)
    assert model.current == "f"
    assert model.scroll(2).current == "h"
    assert model.scroll(99).current == "j"
    assert model.scroll(-99).current == "a"
    assert ViewerModel().scroll(1) == ViewerModel()
    assert ViewerModel().current is None


def test_the_slice_a_person_chose_stays_in_view_while_others_arrive() -> None:
    model = ViewerModel().show("s", ("c", "e", "g")).jump("c")
    assert model.show("s", SLICES).current == "c"
    assert ViewerModel().show("s", ("c", "e", "g")).show("s", SLICES).current == "f"


def test_a_result_opens_on_its_first_key_slice_unless_a_person_has_scrolled() -> None:
    model = ViewerModel().show("s", SLICES)
    assert model.show("s", SLICES, "i").current == "i"
    assert model.jump("b").show("s", SLICES, "i").current == "b"
    assert model.show("s", SLICES, "i").show("s", SLICES, "i").scroll(-1).show("s", SLICES, "i").current == "h"


def test_another_study_starts_afresh_but_keeps_the_window() -> None:
    model = ViewerModel().show("s", SLICES).jump("a").with_preset(2).next_zoom()
    other = model.show("t", ("x", "y", "z"))
    assert (other.current, other.preset, other.zoom, other.touched) == ("y", PRESETS[2], 1.0, False)


def test_zoom_goes_round() -> None:
    model = ViewerModel()
    assert [(model := model.next_zoom()).zoom for _ in range(3)] == [1.5, 2.0, 1.0]


def test_a_slice_that_is_not_there_changes_nothing() -> None:
    model = ViewerModel().show("s", SLICES)
    assert model.jump("zz") == model


@pytest.mark.requirement("R49")
def test_the_view_is_filled_with_the_head_and_cuts_no_slice() -> None:
    hu = np.full((512, 512), -1000, np.int16)
    hu[128:384, 154:358] = 40
    box = body_box(hu)
    assert box == pytest.approx((154 / 512, 0.25, 358 / 512, 0.75), abs=0.01)
    assert body_box(np.full((64, 64), -1000, np.int16)) is None
    model = ViewerModel("1", SLICES)
    assert (model.scale, model.focus, model.with_body(None)) == (1.0, (0.5, 0.5), model)
    filled = model.with_body(box)
    assert filled.scale == 1.4 and filled.focus == pytest.approx((0.5, 0.5), abs=0.01)
    assert filled.with_body(box) is filled
    larger = filled.with_body((0.1, 0.0, 0.8, 0.8))
    assert larger.body == (0.1, 0.0, 0.8, 0.8) and larger.scale == pytest.approx(1.15)
    assert larger.scale * 0.8 <= 1, "all of it is inside"
    assert larger.with_body((0.0, 0.0, 1.0, 1.0)).scale == 1.0
    assert larger.show("2", SLICES).body is None


def test_a_tap_on_the_zoomed_image_moves_it_and_the_way_round_brings_it_back() -> None:
    model = ViewerModel("1", SLICES).next_zoom().look_at(0.2, 1.7)
    assert (model.zoom, model.focus) == (1.5, (0.2, 1.0))
    assert model.next_zoom().focus == (0.2, 1.0)
    assert model.next_zoom().next_zoom().focus == (0.5, 0.5)
