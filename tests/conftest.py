"""Fixtures every test may use."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in each run, and no limit on their time: what fails is the change, not the day or the machine.
settings.load_profile("ci")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect garbage after a test that allows for it (pynetdicom leaves sockets), so that no later test is blamed.

    Only here, not in a fixture: until its very end a test's log holds exceptions, and these their sockets.
    """
    done = yield
    if any("PytestUnraisable" in str(mark.args[0]) for mark in item.iter_markers("filterwarnings")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return done


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real CT series, or skip: they are not part of the project (tests/README.md)."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real CT series are not on this machine ({SHARED_DATA.name} folder beside the checkout)")
    return SHARED_DATA
