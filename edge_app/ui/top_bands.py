"""Zones 1 and 2: who this is, the clocks, the time window, and the two buttons that belong to them."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.bands import Ground
from edge_app.ui.fonts import advance
from edge_app.ui.screen_model import Clock, PatientTexts, WindowBar
from edge_app.ui.text import FitText
from edge_app.ui.theme import Panel, TextHeight, Theme

__all__ = ["ClockBand", "PatientBand"]

_WINDOW_MM = 1.8
_PATTERNS = (
    Qt.BrushStyle.SolidPattern,
    Qt.BrushStyle.Dense3Pattern,
    Qt.BrushStyle.BDiagPattern,
    Qt.BrushStyle.DiagCrossPattern,
    Qt.BrushStyle.NoBrush,
)
"""Of what is left of the window, by level: it thins out towards the end (R57: a pattern, not a colour)."""


class PatientBand(Ground):
    """Zone 1: who this is (R58). While nobody has confirmed it, the band's left edge is hatched (R59)."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        least = panel.px(TextHeight.LEAST_MM)
        self.name = FitText(self, cap_px=panel.px(5.2), least_px=panel.px(TextHeight.NAME_MM), bold=True)
        self.details = FitText(
            self, cap_px=panel.px(TextHeight.BODY_MM), least_px=least, align=Qt.AlignmentFlag.AlignRight
        )
        self.texts = [self.name, self.details]
        self._room = 0
        self._unconfirmed = False
        self._ink = "#FFFFFF"

    def show_patient(self, texts: PatientTexts, theme: Theme, room: int) -> None:
        """Show name and details in `room` pixels; a previous case has the previous case's colour."""
        self.set_ground(theme.previous.ground if texts.previous else theme.surface)
        self._ink = theme.previous.ink if texts.previous else theme.text
        self.name.set_words(texts.name, self._ink)
        self.details.set_words(texts.details, self._ink)
        if (room, texts.unconfirmed) != (self._room, self._unconfirmed):
            self._room, self._unconfirmed = room, texts.unconfirmed
            self.update()
        self._arrange()

    def _arrange(self) -> None:
        margin, width = self.panel.px(2.0), self._room or self.width()
        left = margin + (self.panel.px(2.5) if self._unconfirmed else 0)
        # The name gets the room its letters need, between a quarter and a half of the band.
        share = min(max(len(self.name.words) * 0.019, 0.25), 0.5)
        name = round((width - left - 2 * margin) * share)
        self.name.setGeometry(left, 0, name, self.height())
        details = width - left - 2 * margin - name
        self.details.setGeometry(left + margin + name, 0, details, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        self._arrange()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground, and the hatch of an identity that nobody has confirmed."""
        super().paintEvent(event)
        if self._unconfirmed:
            painter = QPainter(self)
            edge = QRectF(0, 0, self.panel.px(2.5), self.height())
            painter.fillRect(edge, QBrush(QColor(self._ink), Qt.BrushStyle.BDiagPattern))


class ClockBand(Ground):
    """Zone 2: the clocks and the time window; over a previous case, the words that say so (R47)."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        self.line = FitText(self, cap_px=body, least_px=least)
        self.warning = FitText(self, cap_px=body, least_px=least, bold=True, align=Qt.AlignmentFlag.AlignRight)
        self.texts = [self.line, self.warning]
        self._window: WindowBar | None = None
        self._clocks: tuple[Clock, ...] = ()
        self._line_ink = "#FFFFFF"
        self._ink = "#FFFFFF"
        self._room = 0

    def show_clocks(
        self, clocks: tuple[Clock, ...], window: WindowBar | None, warning: str, theme: Theme, room: int, *, old: bool
    ) -> None:
        """Show the clocks in one line, and at its right end the window or a warning; `old` is a previous case."""
        self.set_ground(theme.previous.ground if old else theme.surface)
        self._ink = theme.previous.ink if old else theme.text
        at_end = "   ".join(part for part in (window.text if window else "", warning) if part)
        self.warning.set_words(at_end, self._ink)
        if (window, room) != (self._window, self._room):
            self._window, self._room = window, room
            self.update()
        self._clocks, self._line_ink = clocks, theme.previous.ink if old else theme.secondary
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        self._arrange()

    def _arrange(self) -> None:
        margin = self.panel.px(2.0)
        whole = (self._room or self.width()) - 2 * margin
        height = self.height() - (self.panel.px(_WINDOW_MM) if self._window else 0)
        end = advance(self.warning.words, bold=True)
        for clocks in (self._clocks, tuple(clock for clock in self._clocks if not clock.optional)):
            words = "   ".join(f"{clock.label} {clock.value}".strip() for clock in clocks)
            self.line.set_words(words, self._line_ink)
            need = advance(words, bold=False)
            line = round((whole - margin) * need / (need + end)) if end else whole
            self.line.setGeometry(margin, 0, line, height)
            self.warning.setGeometry(2 * margin + line, 0, whole - margin - line, height)
            if self.line.fits and self.warning.fits:
                return

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground and the window's bar with its marks."""
        super().paintEvent(event)
        window = self._window
        if window is None or not window.marks:
            return
        painter = QPainter(self)
        margin, height = self.panel.px(2.0), self.panel.px(_WINDOW_MM)
        bar = QRectF(margin, self.height() - height - 1, (self._room or self.width()) - 2 * margin, height)
        left = QRectF(bar)
        left.setLeft(bar.left() + bar.width() * min(window.spent, 1.0))
        painter.fillRect(left, QBrush(QColor(self._ink), _PATTERNS[min(window.level, len(_PATTERNS) - 1)]))
        painter.setPen(QColor(self._ink))
        painter.drawRect(bar)
        for mark in window.marks:
            x = round(bar.left() + bar.width() * mark)
            painter.fillRect(QRectF(x - 1, bar.top() - 3, 3, bar.height() + 3), QColor(self._ink))
