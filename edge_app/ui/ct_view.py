"""Zone 4: the CT image with its corner texts, orientation letters and ways to scroll."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import Fitted
from edge_app.ui.fonts import advance
from edge_app.ui.heat import HeatMap, paint_heat
from edge_app.ui.screen_model import ViewTexts
from edge_app.ui.text import fitted, paint_fitted
from edge_app.ui.theme import Panel, TextHeight
from edge_app.ui.windowing import Preset, apply_window

__all__ = ["CtView", "grey_image"]

_DRAG_MM = 3.0
"""Dragging this far goes one slice on."""

_INK = "#F2F5F7"
_GROUND = "#000000"
_VEIL = QColor(0, 0, 0, 150)
"""Behind words on the image."""

_LEFT, _RIGHT, _CENTRE = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignHCenter


def grey_image(hu: NDArray[np.int16], preset: Preset) -> QImage:
    """Return a slice (H, W) int16 HU through a window as an 8-bit grey image that owns its pixels."""
    grey = apply_window(hu, preset)
    height, width = grey.shape
    return QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8).copy()


class CtView(QWidget):
    """One slice, never mirrored or upside down: rows run to the back, columns to the patient's left."""

    scrolled = Signal(int)
    """Slices towards the head."""
    tapped = Signal(float, float)
    """A touch that was no drag: where on the image, as shares from its left and top."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self._hu: NDArray[np.int16] | None = None
        self._preset: Preset | None = None
        self._image: QImage | None = None
        self._spacing_mm = (1.0, 1.0)
        self._zoom = 1.0
        self._focus = (0.5, 0.5)
        self._texts = ViewTexts((), (), (), (), "", False, "", "")
        self._heat: HeatMap | None = None
        self._pressed_at: QPointF | None = None
        self._drag_from: float | None = None
        self._wheel = 0
        self._letters = ("A", "P", "R", "L")
        self.cut_off: list[str] = []
        """Words that found no room when they were painted last (for the layout audit)."""
        self.setAccessibleName("CT")

    @property
    def has_image(self) -> bool:
        """Return whether a slice is in view."""
        return self._image is not None

    @property
    def has_heat(self) -> bool:
        """Return whether a heat map lies over the slice."""
        return self._heat is not None

    @property
    def image(self) -> QImage | None:
        """Return the grey image in view."""
        return self._image

    def show_slice(
        self,
        hu: NDArray[np.int16] | None,
        spacing_mm: tuple[float, float],
        preset: Preset,
        zoom: float,
        texts: ViewTexts,
        heat: HeatMap | None = None,
        focus: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        """Show a slice (H, W) int16 HU, or the placeholder when it is None.

        Parameters
        ----------
        spacing_mm
            Of (rows, columns).
        zoom, focus
            How much larger than an image that just fits, and what of it is in the middle if it can be.
        """
        if hu is not self._hu or preset != self._preset:
            self._hu, self._preset = hu, preset
            self._image = None if hu is None else grey_image(hu, preset)
            self.update()
        if heat is not self._heat:
            self._heat = heat
            self.update()
        if (spacing_mm, zoom, texts, focus) != (self._spacing_mm, self._zoom, self._texts, self._focus):
            self._spacing_mm, self._zoom, self._texts, self._focus = spacing_mm, zoom, texts, focus
            self.update()

    def image_box(self) -> QRectF:
        """Return where the image lies: its aspect is that of millimetres, and no side of the view is left empty."""
        if self._image is None:
            return QRectF()
        height_mm = self._image.height() * self._spacing_mm[0]
        width_mm = self._image.width() * self._spacing_mm[1]
        scale = min(self.width() / width_mm, self.height() / height_mm) * self._zoom
        width, height = width_mm * scale, height_mm * scale
        left = _placed(self.width(), width, self._focus[0])
        return QRectF(left, _placed(self.height(), height, self._focus[1]), width, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint slice, corner texts and letters."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(_GROUND))
        if self._image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self.image_box(), self._image)
            if self._heat is not None:
                paint_heat(painter, self.image_box(), self._image.size(), self._heat)
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        self.cut_off = []
        whole = QRectF(self.rect()).adjusted(8, 4, -8, -4)
        texts = self._texts
        if self._image is None and texts.placeholder:
            self._words(painter, whole, texts.placeholder, _CENTRE, self._panel.px(TextHeight.BODY_MM))
        line = self._panel.px(TextHeight.LEAST_MM) * 1.5
        half = whole.width() / 2 - self._panel.px(TextHeight.NAME_MM)
        foot_taken = 0.0
        for lines, side in ((texts.top_left, _LEFT), (texts.top_right, _RIGHT)):
            for number, words in enumerate(lines):
                left = whole.left() if side == _LEFT else whole.right() - half
                place = QRectF(left, whole.top() + number * line, half, line)
                self._words(painter, place, self._shortened(words, half), side)
        for lines, side in ((texts.bottom_left, _LEFT), (texts.bottom_right, _RIGHT)):
            for number, words in enumerate(reversed(lines)):
                left = whole.left() if side == _LEFT else whole.right() - half
                place = QRectF(left, whole.bottom() - (number + 1) * line, half, line)
                width = self._words(painter, place, words, side)
                foot_taken = max(foot_taken, width if number == 0 else 0.0)
        top = whole.top() + 3.1 * line
        if texts.burnt_in:
            # Between the lowest corner texts; in a longer language below the upper ones.
            foot = QRectF(whole.left() + foot_taken, whole.bottom() - line, whole.width() - 2 * foot_taken, line)
            if self._width(texts.burnt_in, foot.width()) > foot.width():
                foot, top = QRectF(whole.left(), top, whole.width(), line), top + line
            self._words(painter, foot, texts.burnt_in, _CENTRE)
        if texts.caption:
            for words in self._wrapped(texts.caption, whole.width()):
                place = QRectF(whole.left(), top, whole.width(), line)
                painter.fillRect(place, QColor(_GROUND))
                self._words(painter, place, words, _CENTRE)
                top += line
        if self._image is not None and texts.letters:
            self._paint_letters(painter, whole)

    def _paint_letters(self, painter: QPainter, whole: QRectF) -> None:
        size = self._panel.px(TextHeight.NAME_MM)
        box = QRectF(0, 0, size * 2, size * 1.9)
        top, bottom, left, right = self._letters
        centre = whole.center()
        box.moveCenter(QPointF(centre.x(), whole.top() + size))
        self._words(painter, box, top, _CENTRE, size)
        box.moveCenter(QPointF(centre.x(), whole.bottom() - size - self._panel.px(TextHeight.LEAST_MM) * 1.5))
        self._words(painter, box, bottom, _CENTRE, size)
        box.moveCenter(QPointF(whole.left() + size * 0.6, centre.y()))
        self._words(painter, box, left, _CENTRE, size)
        box.moveCenter(QPointF(whole.right() - size * 0.6, centre.y()))
        self._words(painter, box, right, _CENTRE, size)

    def _words(
        self, painter: QPainter, box: QRectF, words: str, align: Qt.AlignmentFlag, cap_px: float | None = None
    ) -> float:
        """Paint a line of words on the image; return its width."""
        bold = cap_px is not None
        layout = self._layout(words, box.width(), cap_px)
        width = advance(words, bold=bold) * layout.cap_px * layout.stretch + 6
        if width > box.width() + 8:
            self.cut_off.append(words)
        # The head may reach under the words: bone must not swallow them.
        left = box.left() - 3 if align == _LEFT else box.right() - width + 3
        if align == _CENTRE:
            left = box.center().x() - width / 2
        painter.fillRect(QRectF(left, box.top() + 1, width, box.height() - 2), _VEIL)
        # A black shadow keeps the words readable over bone.
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            paint_fitted(painter, box.translated(dx, dy), layout, _GROUND, bold=bold, align=align)
        paint_fitted(painter, box, layout, _INK, bold=bold, align=align)
        return width

    def _layout(self, words: str, room: float, cap_px: float | None = None) -> Fitted:
        least = self._panel.px(TextHeight.LEAST_MM)
        return fitted(words, room, 1e4, cap_px or least, least, bold=cap_px is not None, wrap=False)

    def _width(self, words: str, room: float) -> float:
        layout = self._layout(words, room)
        return advance(words, bold=False) * layout.cap_px * layout.stretch

    def _shortened(self, words: str, room: float) -> str:
        """Return what finds room of a name or device; the whole of it stands in the patient band or the report."""
        kept = words
        while len(kept) > 1 and self._width(kept, room) > room:
            kept = f"{kept[:-2]}…"
        return kept

    def _wrapped(self, words: str, room: float) -> tuple[str, ...]:
        if self._width(words, room) <= room:
            return (words,)
        least = self._panel.px(TextHeight.LEAST_MM)
        return fitted(words, room, 1e4, least, least, bold=False, wrap=True).lines

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a drag."""
        self._drag_from = event.position().y()
        self._pressed_at = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scroll while dragging: up is towards the head."""
        if self._drag_from is None:
            return
        step = _DRAG_MM * self._panel.px_per_mm
        steps = int((self._drag_from - event.position().y()) / step)
        if steps:
            self._drag_from -= steps * step
            self.scrolled.emit(steps)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag, or take a tap."""
        self._drag_from = None
        moved = event.position() - self._pressed_at if self._pressed_at else QPointF()
        if self._pressed_at is not None and moved.manhattanLength() < _DRAG_MM * self._panel.px_per_mm:
            box = self.image_box()
            at = event.position() - box.topLeft()
            inside = box.width() > 0 and box.height() > 0
            self.tapped.emit(at.x() / box.width() if inside else 0.5, at.y() / box.height() if inside else 0.5)
        self._pressed_at = None

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll one slice per notch; fine wheels add up."""
        self._wheel += event.angleDelta().y()
        notches = int(self._wheel / 120)
        if notches:
            self._wheel -= notches * 120
            self.scrolled.emit(notches)


def _placed(room: float, length: float, focus: float) -> float:
    """Return where a side begins so that `focus` of it is in the middle, or as near as leaves no gap."""
    if length <= room:
        return (room - length) / 2
    return min(max(room / 2 - focus * length, room - length), 0.0)
