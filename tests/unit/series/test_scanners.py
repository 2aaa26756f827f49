"""A result from a scanner that nobody has validated the model on is marked (R21)."""

from __future__ import annotations

import pytest

from edge_app.series.scanners import is_validated
from tests.slices import header

HEADER = header(manufacturer="MAKER", manufacturer_model_name="Model 64", convolution_kernel="H31s")


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("pattern", ["Maker|model 64|h31s", "MAKER | Model* | H3?s", "* | * | *"])
def test_case_and_blanks_do_not_matter_and_stars_stand_for_anything(pattern: str) -> None:
    assert is_validated(HEADER, [pattern])


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("patterns", [[], ["MAKER | Model 64 | H60s"], ["MAKER | Model 6 | H31s"], ["MAKER"], ["*"]])
def test_another_kernel_or_model_is_not_validated(patterns: list[str]) -> None:
    assert not is_validated(HEADER, patterns)
