"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real CT series, or skip: they are not part of the project (tests/README.md)."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real CT series are not on this machine ({SHARED_DATA.name} folder beside the checkout)")
    return SHARED_DATA
