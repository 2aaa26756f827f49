"""Speed of the pure stages on one core, as ratios within one run; milliseconds are printed (`pytest -s`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from edge_app.core.types import SliceImage
from edge_app.preprocessing import get_profile, prepare
from edge_app.series import decode_slice, measure_slice, read_header
from tests.slices import dataset, phantom_head
from tests.unit.preprocessing.plain_published import prepare_plainly


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def _best_ms(call: Callable[[], object], repeats: int = 15) -> float:
    """Return the fastest of some runs: the least disturbed by what else the machine does."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best * 1000


def _head() -> SliceImage:
    image = phantom_head(lean_deg=8)
    noise = np.random.default_rng(1).normal(0, 5, image.hu.shape)
    return SliceImage("1", (image.hu + noise).astype(np.int16), image.spacing_mm)


@pytest.mark.parametrize(("name", "times_faster"), [("msu1", 10), ("seed2023", 3), ("seed2023-fixed", 3)])
def test_a_profile_is_several_times_faster_than_the_published_steps_written_plainly(
    name: str, times_faster: float
) -> None:
    image, profile = _head(), get_profile(name)
    plain_ms = _best_ms(lambda: prepare_plainly(image.hu), 4)
    ours_ms = _best_ms(lambda: prepare(image, profile))
    print(f"\n{name}: {ours_ms:.2f} ms, plain {plain_ms:.1f} ms")  # noqa: T201
    assert plain_ms > times_faster * ours_ms


def test_decoding_and_measuring_take_a_fraction_of_the_plain_preparation() -> None:
    image = _head()
    ds = dataset((image.hu.astype(np.int32) + 2000).astype(np.uint16), RescaleIntercept="-2000")
    header = read_header(ds)

    def decode() -> None:
        # pydicom keeps the decoded array; a real slice is decoded once.
        ds._pixel_array, ds._pixel_id = None, {}
        decode_slice(ds, header)

    plain_ms = _best_ms(lambda: prepare_plainly(image.hu), 4)
    decode_ms, measure_ms = _best_ms(decode), _best_ms(lambda: measure_slice(image))
    print(f"\ndecode {decode_ms:.2f} ms, measure {measure_ms:.2f} ms")  # noqa: T201
    assert plain_ms > 10 * decode_ms
    assert plain_ms > 10 * measure_ms
