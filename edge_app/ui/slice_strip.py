"""Zone 5: a bar per slice, the key slices marked, the slice in view pointed at; tap or drag to go there."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPolygonF, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.screen_model import StripBar
from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme
from edge_app.ui.touch_button import TouchButton
from edge_app.ui.zones import TARGET_MM

__all__ = ["SNAP_SLICES", "SliceStrip"]

SNAP_SLICES = 3
"""A tap this near a key slice means the key slice (R52)."""


class _Bars(QWidget):
    chosen = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.bars: tuple[StripBar, ...] = ()
        self.index = 0
        self.thresholds: tuple[float, ...] = ()
        self.theme = THEMES["night"]
        self._dragging = False
        self.setAccessibleName("CT slices")

    def number_at(self, y: float) -> int:
        """Return the slice at a height: the head is at the top."""
        count = len(self.bars)
        return min(max(int((1 - y / max(self.height(), 1)) * count), 0), count - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        theme = self.theme
        painter.fillRect(self.rect(), QColor(theme.surface))
        count = len(self.bars)
        if not count:
            return
        pitch = self.height() / count
        mark = 12.0
        room = self.width() - 2 * mark
        for number, bar in enumerate(self.bars):
            top = self.height() - (number + 1) * pitch
            thick = max(pitch - 1, 1)
            if number == self.index:
                painter.fillRect(QRectF(0, top - 1, self.width(), max(pitch + 1, 4)), QColor(theme.border))
            if bar.value is not None:
                length = max(room * bar.value, 2)
                painter.fillRect(QRectF(mark, top, length, thick), QColor(theme.text if bar.key else theme.secondary))
            if bar.key:
                self._triangle(painter, self.width(), top + pitch / 2, -mark, theme)
        for threshold in self.thresholds:
            x = round(mark + room * threshold)
            painter.fillRect(QRectF(x - 1, 0, 2, self.height()), QColor(theme.border))
        self._triangle(painter, 0, self.height() - (self.index + 0.5) * pitch, mark, theme)

    def _triangle(self, painter: QPainter, x: float, y: float, length: float, theme: Theme) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.text))
        painter.drawPolygon(QPolygonF([QPointF(x, y - 7), QPointF(x + length, y), QPointF(x, y + 7)]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._dragging = False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._dragging = True
        if self.bars:
            self.chosen.emit(self.number_at(event.position().y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._dragging or not self.bars:
            return
        number = self.number_at(event.position().y())
        keys = [n for n, bar in enumerate(self.bars) if bar.key and abs(n - number) <= SNAP_SLICES]
        self.chosen.emit(min(keys, key=lambda n: abs(n - number)) if keys else number)


class SliceStrip(QWidget):
    """Bars between a button towards the head and one towards the feet."""

    stepped = Signal(int)
    chosen = Signal(int)

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        least = panel.px(TextHeight.LEAST_MM)
        self.up = TouchButton(self, cap_px=panel.px(5), least_px=least, repeats=True)
        self.down = TouchButton(self, cap_px=panel.px(5), least_px=least, repeats=True)
        self.up.tapped.connect(lambda: self.stepped.emit(1))
        self.down.tapped.connect(lambda: self.stepped.emit(-1))
        self.bars = _Bars(self)
        self.bars.chosen.connect(self.chosen)
        centre = Qt.AlignmentFlag.AlignHCenter
        self._head = FitText(self, cap_px=least, least_px=least, align=centre)
        self._foot = FitText(self, cap_px=least, least_px=least, align=centre)

    @property
    def texts(self) -> list[FitText]:
        """Return the words (for the layout audit)."""
        return [self._head, self._foot]

    def show_bars(
        self,
        bars: tuple[StripBar, ...],
        index: int,
        ends: tuple[str, str],
        thresholds: tuple[float, ...],
        theme: Theme,
    ) -> None:
        """Show the slices' bars, which slice is in view, and the model's thresholds."""
        shown = self.bars
        if (bars, index, thresholds, theme) != (shown.bars, shown.index, shown.thresholds, shown.theme):
            shown.bars, shown.index, shown.thresholds, shown.theme = bars, index, thresholds, theme
            self.bars.update()
        self.up.show_words("+", theme)
        self.down.show_words("−", theme)
        self._head.set_words(ends[0], theme.secondary)
        self._foot.set_words(ends[1], theme.secondary)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place buttons, end labels and bars."""
        target = self._panel.px(TARGET_MM)
        label = round(self._panel.px(TextHeight.LEAST_MM) * 1.7)
        width, height = self.width(), self.height()
        self.up.setGeometry(0, 0, width, target)
        self.down.setGeometry(0, height - target, width, target)
        self._head.setGeometry(0, target + 1, width, label)
        self._foot.setGeometry(0, height - target - label - 1, width, label)
        top = target + label + 2
        self.bars.setGeometry(0, top, width, height - 2 * top)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll as over the image."""
        self.stepped.emit(1 if event.angleDelta().y() > 0 else -1)
