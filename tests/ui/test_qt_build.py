"""The installed PySide6 itself: a build that loses references kills the screen after a few thousand calls."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QPointF, QRectF


@pytest.mark.parametrize("value", [None, True, False])
def test_qt_calls_lose_no_reference_to_a_constant(value: object) -> None:
    rectangle = QRectF(0, 0, 1, 1)
    before = sys.getrefcount(value)
    for _ in range(200):
        rectangle.moveCenter(QPointF(0, 0))
        rectangle.isEmpty()
        rectangle.isValid()
    assert abs(sys.getrefcount(value) - before) < 50
