"""The same head stored feet first, prone, upside down or backwards gives the same numbers (R14)."""

from __future__ import annotations

import pytest
from pydicom import FileDataset

from edge_app.worker.models import Models
from tests.benchmarks.gate_copies import COPIES, analyse

EXACT = ("feet first", "prone", "upside down", "reversed")


@pytest.mark.requirement("R14")
def test_copies_that_hold_the_same_pixels_give_the_same_probabilities(head: list[FileDataset], models: Models) -> None:
    original = analyse(head, models)
    assert original.probabilities is not None
    for name in EXACT:
        copy = analyse(COPIES[name](head), models)
        assert (copy.verdict, copy.probabilities) == (original.verdict, original.probabilities), name
        assert [s.sop_uid for s in copy.slices] == [s.sop_uid for s in original.slices]
        assert copy.key_slices == original.key_slices


@pytest.mark.parametrize("name", ["finer pixels", "thinner slices"])
def test_a_resampled_copy_is_analysed_too(head: list[FileDataset], models: Models, name: str) -> None:
    original, copy = analyse(head, models), analyse(COPIES[name](head), models)
    assert copy.verdict is original.verdict
