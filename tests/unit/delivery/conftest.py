from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.store.paths import StorePaths
from tests.unit.delivery.outbox_box import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(StorePaths(tmp_path / "store"))
    with made.ledger:
        yield made
