from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.triage.key_slices import KEY_SLICES, choose_key_slices


def table(findings: list[float]) -> np.ndarray:
    finding = np.array(findings)
    return np.stack([1 - finding, finding * 0.5, finding * 0.5], axis=1)


def test_the_most_suspicious_slices_come_first_and_their_neighbours_are_left_out() -> None:
    findings = [0.0, 0.1, 0.9, 0.95, 0.9, 0.1, 0.0, 0.5, 0.0, 0.2, 0.0, 0.3]
    assert choose_key_slices(table(findings), np.ones(12) / 12) == [3, 7, 11, 9, 1]


def test_attention_decides_between_slices_of_equal_suspicion() -> None:
    assert choose_key_slices(table([0.5] * 5), np.array([0.1, 0.1, 0.1, 0.1, 0.6]))[0] == 4


def test_a_suspicious_slice_stays_in_the_list_although_the_patient_network_looked_elsewhere() -> None:
    findings = [0.9, 0.0, 0.1, 0.0, 0.1, 0.0, 0.1]
    assert choose_key_slices(table(findings), np.array([0, 0, 0.3, 0, 0.3, 0, 0.4]))[0] == 0


def test_of_equals_the_lower_slice_comes_first() -> None:
    assert choose_key_slices(table([0.2] * 12), np.ones(12)) == [0, 2, 4, 6, 8]


@pytest.mark.requirement("R33")
def test_five_are_named_even_when_nothing_is_suspicious_at_all() -> None:
    assert len(choose_key_slices(table([0.0] * 30), np.zeros(30))) == KEY_SLICES


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_key_slices_are_never_neighbours_and_as_many_as_fit_up_to_five(findings: list[float]) -> None:
    chosen = choose_key_slices(table(findings), np.ones(len(findings)))
    assert all(abs(a - b) >= 2 for a in chosen for b in chosen if a != b)
    assert 1 <= len(chosen) <= KEY_SLICES
    assert len(findings) < 13 or len(chosen) == KEY_SLICES
