"""Badge and barcode readers: they are keyboards that type a line very fast (R59, R81).

Where the screen waits for such a line (locked, or while the patient is being confirmed) all printable keys are
collected until Enter. Elsewhere a burst of keys is thrown away after its first one, so that a badge held to the reader
at the wrong moment does not press one button after the other.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer, QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

__all__ = ["BURST_MS", "LineReader"]

BURST_MS = 35
"""No finger types this fast."""

STALE_MS = 4000
"""What was typed so long ago does not belong to the line."""

MOST = 64

_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class LineReader(QObject):
    """An event filter for all widgets of a window; `waits` says whether a line is wanted now."""

    line = Signal(str)

    def __init__(self, window: QWidget, waits: Callable[[], bool]) -> None:
        super().__init__(window)
        self._window = window
        self._waits = waits
        self._typed = ""
        self._since = QElapsedTimer()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take key presses that belong to a reader's line; all others go their way."""
        # Every event of the application comes by here: what is no key goes on at once.
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent) or event.isAutoRepeat():
            return False
        # A key comes by twice: for the window of the system, then for the widget. Another window's are its own.
        if not isinstance(watched, QWidget) or watched.window() is not self._window:
            return False
        enter = event.key() in _ENTER
        printable = len(event.text()) == 1 and event.text().isprintable() and not event.text().isspace()
        if not (enter or printable):
            return False
        spent_ms = self._since.elapsed() if self._since.isValid() else STALE_MS + 1
        if not self._waits():
            self._typed = ""
            if printable:
                self._since.start()
            return spent_ms < BURST_MS
        if spent_ms > STALE_MS:
            self._typed = ""
        self._since.start()
        if printable:
            self._typed = (self._typed + event.text())[:MOST]
            return True
        if not self._typed:
            return False
        typed, self._typed = self._typed, ""
        self.line.emit(typed)
        return True
