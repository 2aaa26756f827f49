"""Motion, metal, truncation and noise are scored per slice, judged over some height, and named with their slices."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.series import Candidate, check, check_quality, make_candidates, measure_slice
from edge_app.series.quality import ARTEFACTS, MIN_HEIGHT_MM, artefact_scores, quality_limits
from tests.degraded import LEVELS, clean_head, cut_off, degrade, front_row, measured, moved, streaked
from tests.slices import measures, phantom_head, stack_of

SPACING_MM = 0.45


def _measured(hu: np.ndarray) -> object:
    return measure_slice(SliceImage("1", hu.astype(np.int16), (SPACING_MM, SPACING_MM)))


def test_a_sharp_whole_head_scores_nothing() -> None:
    found = measure_slice(phantom_head())
    assert found.skull_edge_mm < 1.0
    assert found.metal_area_mm2 == 0
    assert found.cut_length_mm == 0


def test_the_further_the_head_moved_the_wider_is_its_skulls_edge() -> None:
    hu = phantom_head().hu
    widths = [_measured(moved(hu, SPACING_MM, mm, np.random.default_rng(1))).skull_edge_mm for mm in (0.0, 3.0, 8.0)]
    assert widths == sorted(widths)
    assert widths[2] > widths[0] + 1.0


def test_metal_is_measured_in_square_millimetres() -> None:
    found = _measured(streaked(phantom_head().hu, SPACING_MM, 3.0, np.random.default_rng(2)))
    assert found.metal_area_mm2 == pytest.approx(28.3, rel=0.15)


def test_what_the_circle_or_the_edge_cuts_off_is_measured_along_the_cut() -> None:
    whole = phantom_head(table=False).hu
    front = front_row(whole, SPACING_MM)
    lengths = [_measured(cut_off(whole, front + rows)).cut_length_mm for rows in (10, 30, 60)]
    assert lengths == sorted(lengths)
    assert 30 < lengths[0] < 110
    at_the_edge = _measured(whole[:, 200:456]).cut_length_mm
    assert at_the_edge > 100


def test_a_score_counts_when_it_is_reached_over_some_height() -> None:
    stack = stack_of(30)
    one = [measures(h.sop_uid, metal_area_mm2=90.0 if i == 15 else 0.0) for i, h in enumerate(stack.headers)]
    two = [measures(h.sop_uid, metal_area_mm2=90.0 if i in (15, 16) else 0.0) for i, h in enumerate(stack.headers)]
    assert stack.spacing_mm < MIN_HEIGHT_MM
    assert artefact_scores(stack, one)["metal"] == 0
    assert artefact_scores(stack, two)["metal"] == 90


def test_the_reason_names_every_artefact_with_its_slices() -> None:
    stack = stack_of(30)
    seen = [
        measures(
            h.sop_uid,
            metal_area_mm2=90.0 if i in (9, 10, 14) else 0.0,
            skull_edge_mm=9.0 if 19 <= i <= 21 else 1.0,
        )
        for i, h in enumerate(stack.headers)
    ]
    found = check_quality(stack, seen)
    assert found is not None
    assert (found.code, found.text) == (
        "Q-16",
        "Image quality (motion in slices 20-22; metal in slices 10-11, 15)",
    )


def test_the_aslant_skull_near_the_vertex_is_not_taken_for_motion() -> None:
    stack = stack_of(30)
    seen = [
        measures(h.sop_uid, skull_edge_mm=9.0 if i > 25 else 1.0, brain_area_mm2=9100.0 if i > 25 else 13500.0)
        for i, h in enumerate(stack.headers)
    ]
    assert check_quality(stack, seen) is None


def test_streaks_that_hide_the_brain_of_a_slice_do_not_hide_the_metal() -> None:
    stack = stack_of(30)
    seen = [
        measures(h.sop_uid, **({"metal_area_mm2": 90.0, "brain_area_mm2": 10.0} if i in (14, 15) else {}))
        for i, h in enumerate(stack.headers)
    ]
    found = check_quality(stack, seen)
    assert found is not None and "metal in slices 15-16" in found.text


def test_a_slice_that_does_not_continue_its_neighbours_is_named_even_alone() -> None:
    stack = stack_of(30)
    seen = [measures(h.sop_uid, body_fraction=0.2 if i == 12 else 0.5 - 0.01 * i) for i, h in enumerate(stack.headers)]
    found = check_quality(stack, seen)
    assert found is not None
    assert (found.code, found.text) == ("Q-16", "Image quality (slices 13 unlike their neighbours)")
    # What ends abruptly, as a table does, goes on being so: no break.
    step = [measures(h.sop_uid, body_fraction=0.2 if i < 12 else 0.5) for i, h in enumerate(stack.headers)]
    assert check_quality(stack, step) is None


def test_without_any_brain_there_is_nothing_to_score() -> None:
    stack = stack_of(30)
    seen = [measures(h.sop_uid, inside_area_mm2=0.0, metal_area_mm2=90.0) for h in stack.headers]
    assert artefact_scores(stack, seen) == dict.fromkeys(ARTEFACTS, 0.0)
    assert check_quality(stack, seen) is None


def test_the_limits_are_data_that_says_how_it_was_made() -> None:
    body = json.loads(files("edge_app.series").joinpath("quality.json").read_text(encoding="utf-8"))
    assert set(quality_limits()) == set(ARTEFACTS) == set(body["good_percentiles_50_99_100"])
    assert body["good_heads"] >= 100
    assert Path(body["made_by"]).name == "freeze_quality.py"
    for kind in ARTEFACTS:
        # The good heads it was frozen from pass.
        assert body["good_percentiles_50_99_100"][kind][1] < body["limits"][kind]


def _only(datasets: list) -> Candidate:  # type: ignore[type-arg]
    (candidate,) = make_candidates(*measured(datasets))
    return candidate


@pytest.fixture(scope="module")
def head() -> list:  # type: ignore[type-arg]
    return clean_head(51, "negative", "basic2")[1]


def test_a_good_head_has_no_doubt(head: list) -> None:  # type: ignore[type-arg]
    candidate = _only(head)
    assert candidate.stack is not None
    assert check_quality(candidate.stack, candidate.measures) is None


@pytest.mark.requirement("R20")
@pytest.mark.parametrize("kind", ARTEFACTS)
def test_heavy_artefacts_are_doubted_or_refused(head: list, kind: str) -> None:  # type: ignore[type-arg]
    candidate = _only(degrade(head, kind, LEVELS[kind][2], seed=4))
    assert candidate.stack is not None
    refused = [r.code for r in check(candidate.stack, candidate.measures)]
    doubt = check_quality(candidate.stack, candidate.measures)
    assert (doubt is not None and kind in doubt.text) or refused[0] in ("Q-16", "Q-01")
