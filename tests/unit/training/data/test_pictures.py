from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_app.core.errors import InputError
from tests.unit.training.data.phantoms import phantom
from training.data.pictures import TURNS, match_pictures, picture_files, read_picture, turned


def pictures_of(hu: NDArray[np.int16]) -> list[NDArray[np.uint8]]:
    return [np.clip(plane * 3.2, 0, 255).astype(np.uint8) for plane in hu.astype(float)]


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("turn", range(TURNS))
def test_the_order_and_turn_of_pictures_is_found(turn: int, is_reversed: bool) -> None:
    hu = phantom(5, "negative").hu
    # Whatever was done on export, one of the eight turns undoes it.
    exported = next(
        candidate
        for back in range(TURNS)
        for candidate in [[turned(picture, back) for picture in pictures_of(hu)]]
        if all(np.array_equal(turned(c, turn), p) for c, p in zip(candidate, pictures_of(hu), strict=True))
    )
    match = match_pictures(list(hu), exported[::-1] if is_reversed else exported)
    assert (match.turn, match.reversed) == (turn, is_reversed)
    assert match.likeness > 0.8


def test_pictures_of_something_else_are_refused() -> None:
    hu = phantom(5, "negative").hu
    noise = [np.random.default_rng(k).integers(0, 255, (64, 64), dtype=np.uint8) for k in range(len(hu))]
    with pytest.raises(InputError, match="do not clearly show"):
        match_pictures(list(hu), noise)


def test_heads_that_look_the_same_both_ways_are_refused_not_guessed() -> None:
    plane = phantom(5, "negative").hu[2]
    symmetrical = np.maximum(plane, plane[:, ::-1])
    with pytest.raises(InputError, match="do not clearly show"):
        match_pictures([symmetrical] * 3, pictures_of(np.stack([symmetrical] * 3)))


def test_different_numbers_are_refused() -> None:
    hu = phantom(5, "negative").hu
    with pytest.raises(InputError, match="6 slices but 5 pictures"):
        match_pictures(list(hu), pictures_of(hu)[:-1])


def test_pictures_are_in_order_of_their_number(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "1.png", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in picture_files(tmp_path)] == ["1.png", "2.png", "10.png"]


def test_a_grey_picture_saved_in_colour_is_read_and_a_coloured_one_refused(tmp_path: Path) -> None:
    grey = np.dstack([np.arange(16, dtype=np.uint8).reshape(4, 4)] * 3)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), grey[..., 0])
    cv2.imwrite(str(tmp_path / "red.png"), grey * np.array([0, 0, 1], np.uint8))
    with pytest.raises(InputError, match="colours"):
        read_picture(tmp_path / "red.png")


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"PNG?")
    for name in ("a.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_picture(tmp_path / name)
