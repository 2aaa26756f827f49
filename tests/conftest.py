"""Fixtures every test may use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in each run, and no limit on their time: what fails is the change, not the day or the machine.
settings.load_profile("ci")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def collect_where_it_is_expected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect garbage after a test that allows for it (pynetdicom leaves sockets), so that no later test is blamed."""
    yield
    if any("PytestUnraisable" in str(mark.args[0]) for mark in request.node.iter_markers("filterwarnings")):
        gc.collect()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real CT series, or skip: they are not part of the project (tests/README.md)."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real CT series are not on this machine ({SHARED_DATA.name} folder beside the checkout)")
    return SHARED_DATA
