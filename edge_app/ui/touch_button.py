"""A button for gloves: large, flat, fires on release inside, and not twice within 300 ms (R64).

A finger lies on it for a fifth of a second, in which another patient's images or another result may come.
"""

from __future__ import annotations

from PySide6.QtCore import QElapsedTimer, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from edge_app.ui.text import fitted, paint_fitted
from edge_app.ui.theme import Theme

__all__ = ["DEBOUNCE_MS", "TouchButton"]

DEBOUNCE_MS = 300
"""A second tap this soon is the tremor of the road, not a wish."""

_PADDING_PX = 5


class TouchButton(QAbstractButton):
    """One or two lines of words in a box; `active` inverts it.

    Parameters
    ----------
    cap_px, least_px
        Cap height wanted and least cap height of the words, in pixels.
    """

    tapped = Signal()

    def __init__(self, parent: QWidget, *, cap_px: float, least_px: float, repeats: bool = False) -> None:
        super().__init__(parent)
        self._cap_px, self._least_px = cap_px, least_px
        self._theme: Theme | None = None
        self._active = False
        self._is_held = self._is_void = False
        self._since_tap = QElapsedTimer()
        self._repeats = repeats
        if repeats:
            self.setAutoRepeat(True)
            self.setAutoRepeatDelay(400)
            self.setAutoRepeatInterval(125)  # 8 a second (R51)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(self._on_clicked)

    def show_words(self, words: str, theme: Theme, *, active: bool = False) -> None:
        """Show other words, colours or another state."""
        if (words, theme, active) != (self.text(), self._theme, self._active):
            self.setText(words)
            self.setAccessibleName(words.replace("\n", " "))
            self._theme, self._active = theme, active
            self.update()

    def let_go(self) -> None:
        """Have a tap that is under way do nothing: it was meant for what was shown before."""
        self._is_void = self._is_held or self.isDown()

    @property
    def fits(self) -> bool:
        """Return whether the words are inside the button at an allowed size."""
        box = self._inner()
        words, width, height = self.text(), box.width(), box.height()
        return fitted(words, width, height, self._cap_px, self._least_px, bold=True, wrap=True).fits

    def _inner(self) -> QRectF:
        return QRectF(self.rect()).adjusted(_PADDING_PX, _PADDING_PX, -_PADDING_PX, -_PADDING_PX)

    def _on_clicked(self) -> None:
        if self._is_void:
            return
        if not self._repeats and self._since_tap.isValid() and self._since_tap.elapsed() < DEBOUNCE_MS:
            return
        self._since_tap.start()
        self.tapped.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a tap, on what is shown now."""
        self._is_held, self._is_void = True, False
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End it."""
        super().mouseReleaseEvent(event)
        self._is_held = self._is_void = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take Enter like the space bar: a dial has one of them under its knob (R85)."""
        if not event.isAutoRepeat():
            self._is_void = False
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat():
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint box, words and, with the keyboard's focus, a ring (R85)."""
        if self._theme is None:
            return
        theme = self._theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        inverted = self._active != self.isDown()
        ground, ink = (theme.text, theme.ground) if inverted else (theme.surface, theme.text)
        if not self.isEnabled():
            ground, ink = theme.ground, theme.secondary
        painter.setBrush(QColor(ground))
        painter.setPen(QPen(QColor(theme.border), 2))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(ink), 3))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(4, 4, -4, -4), 4, 4)
        box = self._inner()
        layout = fitted(self.text(), box.width(), box.height(), self._cap_px, self._least_px, bold=True, wrap=True)
        paint_fitted(painter, box, layout, ink, bold=True, align=Qt.AlignmentFlag.AlignHCenter)
