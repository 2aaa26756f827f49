from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_app.delivery.retry import Backoff


def test_pauses_double_from_the_first_to_the_longest() -> None:
    backoff = Backoff(10.0, 300.0, chance=lambda: 0.0)
    assert [backoff.pause_s(n) for n in range(1, 8)] == [10, 20, 40, 80, 160, 300, 300]


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_chance_shortens_a_pause_by_a_quarter_at_most(failures: int, chance: float) -> None:
    whole = Backoff(10.0, 300.0, chance=lambda: 0.0).pause_s(failures)
    assert 0.75 * whole <= Backoff(10.0, 300.0, chance=lambda: chance).pause_s(failures) <= whole <= 300.0
