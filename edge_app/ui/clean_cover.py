"""What takes every touch while the screen is wiped (R70): nothing below can be tapped by a cloth."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme

__all__ = ["CleanCover"]

_TOUCHES = frozenset(
    {
        QEvent.Type.MouseButtonPress,
        QEvent.Type.MouseButtonRelease,
        QEvent.Type.MouseMove,
        QEvent.Type.Wheel,
        QEvent.Type.TouchBegin,
        QEvent.Type.TouchUpdate,
        QEvent.Type.TouchEnd,
        QEvent.Type.KeyPress,
    }
)


class CleanCover(QWidget):
    """Words on an empty ground; it leaves the footer with the disclaimer in view."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self._theme = THEMES["night"]
        least = panel.px(TextHeight.LEAST_MM)
        centre = Qt.AlignmentFlag.AlignHCenter
        self.words = FitText(self, cap_px=panel.px(8.0), least_px=least, bold=True, wrap=True, align=centre)
        self.texts = [self.words]

    def show_words(self, words: str, theme: Theme) -> None:
        """Cover the screen while there are words."""
        self._theme = theme
        self.words.set_words(words, theme.text)
        appears = bool(words) and not self.isVisible()
        self.setVisible(bool(words))
        if appears:
            self.setFocus()

    def event(self, event: QEvent) -> bool:
        """Swallow touches, wheels and keys."""
        return True if event.type() in _TOUCHES else super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Centre the words."""
        margin = self._panel.px(20.0)
        self.words.setGeometry(self.rect().adjusted(margin, margin, -margin, -margin))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground."""
        QPainter(self).fillRect(self.rect(), QColor(self._theme.ground))
