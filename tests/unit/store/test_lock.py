"""Two receivers on one store would sweep away each other's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.errors import StoreError
from edge_app.store.lock import hold_alone


def test_the_second_holder_is_refused_and_the_next_one_let_in(tmp_path: Path) -> None:
    path = tmp_path / "receive.lock"
    with hold_alone(path), pytest.raises(StoreError, match="another process"), hold_alone(path):
        pytest.fail("two holders")
    with hold_alone(path):
        assert path.exists()
