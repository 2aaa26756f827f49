"""Studies that several tests look at; made once, since each takes half a second."""

from __future__ import annotations

import pytest

from edge_app.simulator import SyntheticStudy, make_study


@pytest.fixture(scope="session")
def negative_study() -> SyntheticStudy:
    return make_study(4, "negative", personality="basic2")


@pytest.fixture(scope="session")
def bleeding_study() -> SyntheticStudy:
    return make_study(4, "hemorrhage", personality="basic2")
