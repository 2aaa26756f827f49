"""What holds for every series: order, gaps, completeness, and standard slices of turned copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_app.core.config import CompletenessSettings
from edge_app.core.errors import InputError
from edge_app.series import (
    AssociationState,
    is_geometry_complete,
    judge,
    load_instance,
    make_candidates,
    order_slices,
    select_series,
)
from edge_app.series.pixels import turn_to_standard
from tests.slices import headers_at

protocols = st.tuples(
    st.sampled_from([1.25, 2.5, 3.0, 5.0]),  # spacing of the lower part
    st.sampled_from([2.5, 3.0, 5.0]),  # and of the upper one
    st.integers(8, 30),
    st.integers(20, 40),
    st.sampled_from(["contiguous", "overlapping", "unknown"]),
    st.sampled_from(
        [(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0, 0.96, 0.28)]
    ),
)


def _headers(protocol: tuple[float, float, int, int, str, tuple[float, ...]]):  # type: ignore[no-untyped-def]
    lower, upper, low_count, high_count, kind, orientation = protocol
    if kind == "overlapping":
        upper = lower
    scale = {"contiguous": 1.0, "overlapping": 2.0, "unknown": 0.0}[kind]
    border = (low_count - 1) * lower + (lower + upper) / 2
    low = headers_at([i * lower for i in range(low_count)], slice_thickness_mm=lower * scale or None)
    high = headers_at([border + i * upper for i in range(high_count)], slice_thickness_mm=upper * scale or None)
    return [replace(h, image_orientation=orientation) for h in low + high]


@given(protocols, st.randoms())
def test_order_never_depends_on_the_order_of_arrival(protocol, random) -> None:  # type: ignore[no-untyped-def]
    headers = _headers(protocol)
    shuffled = list(headers)
    random.shuffle(shuffled)
    assert order_slices(shuffled) == order_slices(headers)


@given(protocols)
def test_piecewise_regular_protocols_have_no_gap(protocol) -> None:  # type: ignore[no-untyped-def]
    assert order_slices(_headers(protocol)).gap_free


@given(protocols, st.data())
def test_dropping_any_one_inner_slice_is_never_called_complete(protocol, data) -> None:  # type: ignore[no-untyped-def]
    headers = _headers(protocol)
    # Where thin becomes thick and no header tells the thickness, a lost slice cannot be told from the change of step.
    border = protocol[2]
    unknown = protocol[4] == "unknown" and protocol[0] != protocol[1]
    allowed = [i for i in range(1, len(headers) - 1) if not (unknown and abs(i - border) <= 2)]
    dropped = data.draw(st.sampled_from(allowed))
    stack = order_slices(headers[:dropped] + headers[dropped + 1 :])
    assert not is_geometry_complete(stack)


@given(
    protocols,
    st.lists(st.sampled_from(["open", "released", "aborted", "lost"]), max_size=4),
    st.floats(0, 60),
    st.floats(0, 60),
    st.one_of(st.none(), st.integers(20, 80)),
)
def test_waiting_ends_once_and_for_all(protocol, outcomes, earlier_s, later_s, expected) -> None:  # type: ignore[no-untyped-def]
    stack = order_slices(_headers(protocol))
    first, second = sorted((earlier_s, later_s))

    def at(now_s: float) -> bool:
        return judge(
            stack=stack,
            now_s=now_s,
            last_slice_s=0.0,
            associations=[AssociationState(outcome, 0.0) for outcome in outcomes],
            settings=CompletenessSettings(),
            expected=expected,
        ).complete

    assert at(second) >= at(first)
    assert at(15.0)
    assert not outcomes or "open" not in outcomes or not at(4.9)


@given(st.permutations(["1.1", "1.2", "1.3"]), st.randoms())
def test_the_choice_never_depends_on_the_order_of_arrival(uids, random) -> None:  # type: ignore[no-untyped-def]
    headers = []
    for rank, uid in enumerate(sorted(uids)):
        spacing = (5.0, 3.0, 5.0)[rank]
        for index in range(30):
            (h,) = headers_at([index * spacing], series_uid=uid, slice_thickness_mm=spacing)
            headers.append(replace(h, sop_uid=f"{uid}.{index}"))
    shuffled = list(headers)
    random.shuffle(shuffled)
    assert select_series(make_candidates(shuffled)) == select_series(make_candidates(headers))


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_turned_copies_give_identical_standard_slices(rows, columns, flip_x, flip_y, transpose, seed) -> None:  # type: ignore[no-untyped-def]
    standard = np.random.default_rng(seed).integers(-1000, 2000, (rows, columns)).astype(np.int16)
    stored, along_row, along_column = standard, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    spacing = (0.5, 0.4)
    if flip_x:
        stored, along_row = stored[:, ::-1], [-1.0, 0.0, 0.0]
    if flip_y:
        stored, along_column = stored[::-1], [0.0, -1.0, 0.0]
    if transpose:
        stored, along_row, along_column, spacing = stored.T, along_column, along_row, (0.4, 0.5)
    turned, turned_spacing = turn_to_standard(stored, tuple(along_row + along_column), spacing)  # type: ignore[arg-type]
    np.testing.assert_array_equal(turned, standard)
    assert turned_spacing == (0.5, 0.4)


@given(st.binary(max_size=600), st.booleans())
def test_no_bytes_crash_the_reader(content: bytes, with_preamble: bool) -> None:
    data = bytes(128) + b"DICM" + content if with_preamble else content
    try:
        load_instance(data)
    except InputError:
        return
