"""Real CT series: the planning head passes, everything else is refused with its first reason, nothing crashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.core.errors import InputError, PixelError
from edge_app.core.types import Reason, SliceHeader, SliceImage, SliceMeasures
from edge_app.series import (
    Candidate,
    brain_range,
    check,
    decode_slice,
    load_instance,
    make_candidates,
    measure_slice,
    select_series,
)

FIRST_REASON = {
    "skull_phantom_5mm": "Q-01",
    "skull_phantom_tilted": "Q-01",
    "skull_phantom_other_series/S1000": "Q-14",
    "skull_phantom_other_series/S4010": "Q-14",
    "chest_contrast": "Q-01",
    "enhanced_ct": "Q-14",
    "geometry_faults/gantrytilting/001": "Q-10",
    "geometry_faults/notavolume/001": "Q-11",
    "geometry_faults/slicecount/001": "Q-14",
    "geometry_faults/sliceincrement/001": "Q-02",
    "geometry_faults/sliceincrement/002": "Q-02",
    "geometry_faults/sliceorientation/001": "Q-14",
}


def _read(folder: Path) -> tuple[Candidate | None, tuple[Reason, ...]]:
    headers: list[SliceHeader] = []
    measures: dict[str, SliceMeasures] = {}
    for path in sorted(folder.iterdir()):
        try:
            header, ds = load_instance(path)
        except InputError:
            continue
        headers.append(header)
        try:
            measures[header.sop_uid] = measure_slice(decode_slice(ds, header))
        except PixelError:
            continue
    selection = select_series(make_candidates(headers, measures))
    if selection.chosen is None or selection.chosen.stack is None:
        assert selection.reason is not None
        return None, (selection.reason,)
    return selection.chosen, check(selection.chosen.stack, selection.chosen.measures)


@pytest.mark.parametrize("name", FIRST_REASON)
def test_what_is_no_head_ct_is_refused_with_the_fitting_reason_first(shared_data: Path, name: str) -> None:
    _, reasons = _read(shared_data / name)
    assert reasons[0].code == FIRST_REASON[name]


def test_the_planning_head_passes_in_the_right_order_and_is_cut_to_its_head(shared_data: Path) -> None:
    chosen, reasons = _read(shared_data / "head_neck_planning")
    assert reasons == ()
    assert chosen is not None
    assert chosen.stack is not None
    assert len(chosen.stack.headers) == 90
    heights = [h.image_position_mm[2] for h in chosen.stack.headers if h.image_position_mm]
    assert heights == sorted(heights)
    seen = brain_range(chosen.stack, chosen.measures)
    assert 45 <= len(seen) <= 58
    assert seen[-1] >= 85


@pytest.mark.parametrize("dropped", [5, 40, 88])
def test_one_slice_dropped_from_the_planning_head_is_missed(shared_data: Path, tmp_path: Path, dropped: int) -> None:
    for index, path in enumerate(sorted((shared_data / "head_neck_planning").iterdir())):
        if index != dropped:
            (tmp_path / path.name).symlink_to(path)
    _, reasons = _read(tmp_path)
    assert [r.code for r in reasons] == ["Q-02"]


def test_lossless_transfer_syntaxes_decode_alike_and_lossy_ones_are_known(shared_data: Path) -> None:
    images: dict[str, SliceImage] = {}
    lossy = 0
    for path in sorted((shared_data / "transfer_syntaxes").iterdir()):
        header, ds = load_instance(path)
        if header.lossy:
            lossy += 1
        else:
            images[path.name] = decode_slice(ds, header)
    assert (len(images), lossy) == (9, 6)
    first = next(iter(images.values()))
    for image in images.values():
        np.testing.assert_array_equal(image.hu, first.hu)


def test_the_neck_alone_is_no_head(shared_data: Path, tmp_path: Path) -> None:
    for path in sorted((shared_data / "head_neck_planning").iterdir())[45:]:
        (tmp_path / path.name).symlink_to(path)
    _, reasons = _read(tmp_path)
    assert reasons[0].code == "Q-01"
