"""A series is complete by its geometry and the sender's behaviour, never by a long timer alone."""

from __future__ import annotations

import pytest

from edge_app.core.config import CompletenessSettings
from edge_app.series import AssociationState, Completeness, Stack, expected_slices, is_geometry_complete, judge
from tests.slices import headers_at, stack_of

SETTINGS = CompletenessSettings()
OPEN = AssociationState("open")
RELEASED = AssociationState("released", 100.1)
ABORTED = AssociationState("aborted", 100.1)
WHOLE = stack_of(30)
LAST_SLICE_S = 100.0


def _judge(
    stack: Stack | None, *associations: AssociationState, now_s: float = 100.0, expected: int | None = None
) -> Completeness:
    return judge(
        stack=stack,
        now_s=now_s,
        last_slice_s=LAST_SLICE_S,
        associations=associations,
        settings=SETTINGS,
        expected=expected,
    )


@pytest.mark.parametrize(
    ("stack", "associations", "expected", "wait_until_s"),
    [
        (WHOLE, (RELEASED,), None, 100.1 + 0.3),
        (WHOLE, (OPEN,), None, 105.0),
        (WHOLE, (RELEASED, RELEASED), None, 105.0),
        (WHOLE, (), None, 105.0),
        (WHOLE, (ABORTED,), None, 105.0),
        (WHOLE, (RELEASED, RELEASED), 30, 100.0),
        (WHOLE, (OPEN,), 30, 105.0),
        (WHOLE, (RELEASED,), 31, 115.0),
        (stack_of(15), (RELEASED,), None, 115.0),
        (stack_of(21, 5.0), (RELEASED,), None, 115.0),
        (None, (OPEN,), None, 115.0),
    ],
)
def test_how_long_it_waits(
    stack: Stack | None, associations: tuple[AssociationState, ...], expected: int | None, wait_until_s: float
) -> None:
    waiting = _judge(stack, *associations, expected=expected)
    assert waiting.final_after_s == pytest.approx(wait_until_s)
    assert _judge(stack, *associations, now_s=wait_until_s + 0.001, expected=expected).complete
    assert not _judge(stack, *associations, now_s=wait_until_s - 0.01, expected=expected).complete


def test_a_transfer_that_broke_off_before_the_head_was_complete_is_told() -> None:
    assert _judge(stack_of(12), ABORTED).transfer_stopped
    assert not _judge(WHOLE, ABORTED).transfer_stopped
    assert not _judge(stack_of(12), ABORTED, OPEN).transfer_stopped
    assert not _judge(stack_of(12), RELEASED).transfer_stopped


def test_a_head_whose_top_is_yet_to_come_is_not_complete() -> None:
    assert is_geometry_complete(WHOLE, brain_top_seen=True)
    assert not is_geometry_complete(WHOLE, brain_top_seen=False)


def test_images_in_acquisition_counts_only_when_credible() -> None:
    announced = headers_at(range(0, 100, 5), images_in_acquisition=30)
    assert expected_slices(announced) == 30
    assert expected_slices(headers_at(range(0, 100, 5))) is None
    assert expected_slices(headers_at(range(0, 100, 5), images_in_acquisition=1)) is None
    assert expected_slices(headers_at(range(0, 200, 5), images_in_acquisition=30)) is None
    assert expected_slices([*announced, *headers_at([100], images_in_acquisition=31)]) is None
    assert expected_slices([*announced, *headers_at([100], images_in_acquisition=30, acquisition_number=2)]) is None
    assert expected_slices([]) is None
