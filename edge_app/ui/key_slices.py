"""Zone 6, left: the five most suspicious slices, one tap away in every result state (R33)."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QWidget

from edge_app.ui.screen_model import KeySlice
from edge_app.ui.text import fitted, paint_fitted
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme
from edge_app.ui.zones import TARGET_GAP_MM, Rect, split_row

__all__ = ["KEY_SLICES", "KeySliceRow"]

KEY_SLICES = 5


class _Thumbnail(QAbstractButton):
    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self.key: KeySlice | None = None
        self.image: QImage | None = None
        self.theme = THEMES["night"]
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        box = QRectF(self.rect())
        if self.key is None:
            painter.setPen(QPen(QColor(self.theme.border), 1, Qt.PenStyle.DashLine))
            painter.drawRect(box.adjusted(1, 1, -1, -1))
            return
        painter.fillRect(box, QColor("#000000"))
        if self.image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(box.adjusted(3, 3, -3, -3), self.image)
        least = self._panel.px(TextHeight.LEAST_MM)
        number = str(self.key.number)
        layout = fitted(number, box.width(), least * 1.7, least, least, bold=True, wrap=False)
        corner = QRectF(8, 5, box.width(), least * 1.7)
        for dx, dy, ink in (
            (-2, 0, "#000000"),
            (2, 0, "#000000"),
            (0, -2, "#000000"),
            (0, 2, "#000000"),
            (0, 0, "#F2F5F7"),
        ):
            paint_fitted(painter, corner.translated(dx, dy), layout, ink, bold=True, align=Qt.AlignmentFlag.AlignLeft)
        if self.key.seen:  # a bar, not a tick: it says "looked at", not "all is well" (R31)
            bar = self._panel.px(1.4)
            painter.fillRect(QRectF(6, box.height() - bar - 7, box.width() - 12, bar), QColor("#F2F5F7"))
        width = 6 if self.key.shown or self.hasFocus() else 2
        pen = QPen(QColor(self.theme.text if self.key.shown else self.theme.border), width)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.setPen(pen)
        painter.drawRect(box.adjusted(width / 2, width / 2, -width / 2, -width / 2))


class KeySliceRow(QWidget):
    """Five thumbnails with slice numbers; the one in view has a thick frame, those looked at have a bar."""

    opened = Signal(str)

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self.thumbnails = [_Thumbnail(self, panel) for _ in range(KEY_SLICES)]
        for thumbnail in self.thumbnails:
            thumbnail.clicked.connect(lambda _=False, chosen=thumbnail: self._open(chosen))

    def _open(self, chosen: _Thumbnail) -> None:
        if chosen.key is not None:
            self.opened.emit(chosen.key.sop_uid)

    def show_keys(self, keys: tuple[KeySlice, ...], images: dict[str, QImage], label: str, theme: Theme) -> None:
        """Show the key slices; `images` holds those that are loaded, by SOP Instance UID."""
        for number, thumbnail in enumerate(self.thumbnails):
            key = keys[number] if number < len(keys) else None
            image = images.get(key.sop_uid) if key else None
            if (key, theme) != (thumbnail.key, thumbnail.theme) or image is not thumbnail.image:
                thumbnail.key, thumbnail.image, thumbnail.theme = key, image, theme
                thumbnail.setAccessibleName(f"{label} {key.number}".replace("\n", " ") if key else "")
                thumbnail.setEnabled(key is not None)
                thumbnail.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the thumbnails."""
        row = Rect(0, 0, self.width(), self.height())
        for thumbnail, place in zip(
            self.thumbnails, split_row(row, KEY_SLICES, self._panel.px(TARGET_GAP_MM)), strict=True
        ):
            thumbnail.setGeometry(place.x, place.y, place.width, place.height)
