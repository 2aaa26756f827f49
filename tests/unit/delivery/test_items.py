"""What is read of a file that is to be sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.errors import SendError
from edge_app.delivery.items import data_set_of
from tests.unit.delivery.outbox_box import Box


def test_a_data_set_is_what_follows_the_file_meta_information(box: Box) -> None:
    box.add_study()
    row = box.ledger.instances()[0]
    content = (box.ledger.paths.root / row.path).read_bytes()
    assert content.endswith(data_set_of(box.ledger.paths.root / row.path))


def test_a_file_that_is_no_dicom_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"text")
    with pytest.raises(SendError):
        data_set_of(tmp_path / "x")
    with pytest.raises(SendError):
        data_set_of(tmp_path / "missing")
