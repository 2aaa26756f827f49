"""Every error has the status that tells the sender what to do (PS3.4 Table B.2-1)."""

from __future__ import annotations

import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from edge_app.core.errors import DiskFullError, HeaderError, MismatchError, MsuError, StoreError
from edge_app.receiver.status import SUCCESS, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [(DiskFullError, 0xA700), (StoreError, 0xA701), (MismatchError, 0xA900), (HeaderError, 0xC000), (MsuError, 0xA701)],
)
def test_each_error_has_its_failure_status(error: type[MsuError], status: int) -> None:
    assert status_of(error("what happened", remedy="what to do")) == status
    assert STORAGE_SERVICE_CLASS_STATUS[status][0] == "Failure"


def test_success_is_success() -> None:
    assert STORAGE_SERVICE_CLASS_STATUS[SUCCESS][0] == "Success"
