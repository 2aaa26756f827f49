"""The case list: the last cases with their status, over zones 3 to 6. Tap one to see it again."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QWidget

from edge_app.ui.icons import paint_icon
from edge_app.ui.screen_model import CaseRow, CasesTexts
from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Panel, Role, TextHeight, Theme
from edge_app.ui.touch_button import TouchButton
from edge_app.ui.zones import BANDS_MM, TARGET_GAP_MM, TARGET_MM

__all__ = ["CasesPanel"]

_MOST_ROWS = 10
"""More than fit on any panel."""


class _Row(QAbstractButton):
    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        self._name = FitText(self, cap_px=body, least_px=least, bold=True)
        self._details = FitText(self, cap_px=least, least_px=least)
        self._status = FitText(self, cap_px=body, least_px=least, bold=True)
        self._delivery = FitText(self, cap_px=least, least_px=least)
        self.texts = [self._name, self._details, self._status, self._delivery]
        self.row: CaseRow | None = None
        self._theme = THEMES["night"]
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def show_row(self, row: CaseRow | None, theme: Theme) -> None:
        self.row, self._theme = row, theme
        self.setVisible(row is not None)
        if row is None:
            return
        self._name.set_words(row.name, theme.text)
        self._details.set_words(row.details, theme.secondary)
        self._status.set_words(row.status, theme.text)
        self._delivery.set_words(row.delivery, theme.secondary)
        self.setAccessibleName(f"{row.name}, {row.status}, {row.delivery}")
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        width, height = self.width(), self.height()
        half = height // 2
        self._name.setGeometry(16, 2, round(width * 0.5) - 20, half)
        self._details.setGeometry(16, half - 2, round(width * 0.5) - 20, half)
        left = round(width * 0.5) + height
        self._status.setGeometry(left, 2, width - left - 12, half)
        self._delivery.setGeometry(left, half - 2, width - left - 12, half)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.row is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = self._theme
        painter.setBrush(QColor(theme.surface))
        painter.setPen(QPen(QColor(theme.text if self.row.current or self.hasFocus() else theme.border), 3))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(2, 2, -2, -2), 6, 6)
        height = self.height()
        fill = theme.fills[self.row.look.role]
        box = QRectF(round(self.width() * 0.5) + height * 0.06, height * 0.14, height * 0.72, height * 0.72)
        if self.row.look.role is not Role.NEUTRAL:
            painter.fillRect(box, QColor(fill.ground))
        inner = box.adjusted(8, 8, -8, -8)
        paint_icon(painter, inner, self.row.look.icon, fill.ink, fill.ground)


class CasesPanel(QWidget):
    """A page of cases and buttons to page and close."""

    chosen = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self._page = 0
        self._cases: tuple[CaseRow, ...] = ()
        self._theme = THEMES["night"]
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        # Made here and not when there is room for them: a child that is made while its hidden parent gets a pending
        # resize event (Qt delivers it with updates disabled when the window is grabbed) would never be painted.
        self._pool = [_Row(self, panel) for _ in range(_MOST_ROWS)]
        self.rows: list[_Row] = []
        for row in self._pool:
            row.hide()
            row.clicked.connect(partial(self._choose, row))
        self._empty = FitText(self, cap_px=body, least_px=least, align=Qt.AlignmentFlag.AlignHCenter)
        self.newer = TouchButton(self, cap_px=body, least_px=least)
        self.older = TouchButton(self, cap_px=body, least_px=least)
        self.close_button = TouchButton(self, cap_px=body, least_px=least)
        self.newer.tapped.connect(lambda: self._turn(-1))
        self.older.tapped.connect(lambda: self._turn(1))
        self.close_button.tapped.connect(self.closed)

    @property
    def texts(self) -> list[FitText]:
        """Return the words in view (for the layout audit)."""
        return [self._empty, *(words for row in self.rows if row.row for words in row.texts)]

    def show_cases(self, cases: tuple[CaseRow, ...], words: CasesTexts, theme: Theme) -> None:
        """Show the cases, the newest first."""
        self._cases, self._theme = cases, theme
        self.newer.show_words(words.newer, theme)
        self.older.show_words(words.older, theme)
        self.close_button.show_words(words.close, theme)
        self._empty.set_words("" if cases else words.empty, theme.text)
        self._fill()

    def open_first_page(self) -> None:
        """Start again with the newest cases."""
        self._page = 0
        self._fill()

    def _turn(self, by: int) -> None:
        pages = max(-(-len(self._cases) // max(len(self.rows), 1)), 1)
        self._page = min(max(self._page + by, 0), pages - 1)
        self._fill()

    def _fill(self) -> None:
        first = self._page * len(self.rows)
        for number, row in enumerate(self.rows, start=first):
            row.show_row(self._cases[number] if number < len(self._cases) else None, self._theme)
        self.newer.setVisible(self._page > 0)
        self.older.setVisible(first + len(self.rows) < len(self._cases))
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make as many rows as there is room for."""
        target, gap = self._panel.px(TARGET_MM), self._panel.px(TARGET_GAP_MM)
        side = self._panel.px(40.0)
        top = self._panel.px(BANDS_MM) + gap // 2  # SYNTHETIC and UNVALIDATED stay in view above the list
        count = max((self.height() - top + gap) // (target + gap), 1)
        self.rows = self._pool[:count]
        for row in self._pool[count:]:
            row.show_row(None, self._theme)
        width = self.width() - side - gap
        for number, row in enumerate(self.rows):
            row.setGeometry(0, top + number * (target + gap), width, target)
        self._empty.setGeometry(0, top, width, target)
        left = width + gap
        self.newer.setGeometry(left, top, side, target)
        self.older.setGeometry(left, top + target + gap, side, target)
        self.close_button.setGeometry(left, self.height() - target, side, target)
        self._fill()

    def _choose(self, row: _Row, _: bool = False) -> None:
        if row.row is not None:
            self.chosen.emit(row.row.study_uid)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Cover what lies below."""
        QPainter(self).fillRect(self.rect(), QColor(self._theme.ground))
