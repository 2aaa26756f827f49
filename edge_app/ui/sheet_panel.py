"""The one widget for every sheet: title, lines, rows of buttons and a QR code, over zones 3 to 6."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import ABOVE, BELOW, PITCH
from edge_app.ui.qr import qr_image
from edge_app.ui.screen_model import LineKind, SheetButton, SheetLine, SheetModel
from edge_app.ui.text import FitText, fitted
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme
from edge_app.ui.touch_button import TouchButton
from edge_app.ui.zones import BANDS_MM, TARGET_GAP_MM, TARGET_MM, Rect, split_row

__all__ = ["PRIMARY_MM", "SheetPanel"]

PRIMARY_MM = 20.0
"""Side of a primary target (R63)."""

_CAPS_MM = {LineKind.HEADING: 4.1, LineKind.LARGE: 6.5, LineKind.BODY: 4.1, LineKind.ALERT: 5.2, LineKind.PAIR: 3.7}
_BOLD = (LineKind.HEADING, LineKind.LARGE, LineKind.ALERT)
_LABEL_SHARE = 0.24
_MOST_TEXTS = 60
"""More than fit on any panel."""


class SheetPanel(QWidget):
    """Shows a `SheetModel`; every button says its action. Lines that find no room go to further pages."""

    action = Signal(str)

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self._model: SheetModel | None = None
        self._theme: Theme = THEMES["night"]
        self._page, self._page_count = 0, 1
        self._least = panel.px(TextHeight.LEAST_MM)
        self._title = FitText(self, cap_px=panel.px(5.2), least_px=self._least, bold=True)
        # A pool, because no child may be made in a resize event: see `edge_app.ui.cases_panel`.
        self._pool = [
            FitText(self, cap_px=self._least, least_px=self._least, wrap=True, at_top=True) for _ in range(_MOST_TEXTS)
        ]
        self._lines: list[FitText] = []
        self._buttons: dict[str, TouchButton] = {}
        self._qr_box = QRectF()

    @property
    def texts(self) -> list[FitText]:
        """Return the words in view (for the layout audit)."""
        return [self._title, *(line for line in self._lines if line.words)]

    @property
    def buttons(self) -> list[TouchButton]:
        """Return the buttons in view."""
        return [button for button in self._buttons.values() if not button.isHidden()]

    @property
    def offered(self) -> tuple[str, ...]:
        """Return the actions that the sheet offers."""
        return tuple(self._buttons)

    @property
    def pages(self) -> int:
        """Return how many pages the lines take."""
        return self._page_count

    @property
    def primary(self) -> tuple[str, ...]:
        """Return the actions whose buttons are primary (R63)."""
        rows = self._model.rows if self._model else ()
        return tuple(button.action for row in rows for button in row if button is not None and button.primary)

    @property
    def destructive(self) -> tuple[str, ...]:
        """Return the actions that cannot be undone (R63)."""
        rows = self._model.rows if self._model else ()
        return tuple(button.action for row in rows for button in row if button is not None and button.destructive)

    def button(self, action: str) -> TouchButton:
        """Return the button of an action."""
        return self._buttons[action]

    def show_sheet(self, model: SheetModel | None, theme: Theme) -> None:
        """Show a sheet, or hide when there is none."""
        if model is None:
            self._model = None
            self.hide()
            return
        if (model, theme) == (self._model, self._theme):
            return
        opened = self._model is None or self._model.name != model.name
        if opened:
            self._page = 0
        self._model, self._theme = model, theme
        self._title.set_words(model.title, theme.text)
        self._take_buttons(model)
        self._arrange()
        self.show()
        self.raise_()
        if opened and self._buttons:
            next(iter(self._buttons.values())).setFocus(Qt.FocusReason.OtherFocusReason)
        self.update()

    def _take_buttons(self, model: SheetModel) -> None:
        wanted = {button.action: button for row in model.rows for button in row if button is not None}
        for action in [action for action in self._buttons if action not in wanted]:
            gone = self._buttons.pop(action)
            gone.hide()
            gone.deleteLater()
        for action, button in wanted.items():
            if action not in self._buttons:
                self._buttons[action] = self._new_button(action)
            widget = self._buttons[action]
            widget.setEnabled(button.enabled)
            widget.show_words(button.label, self._theme, active=button.active)
            widget.show()

    def _new_button(self, action: str) -> TouchButton:
        repeats = action.startswith("lkw:") and action[4:5] in "+-"
        widget = TouchButton(self, cap_px=self._panel.px(TextHeight.BODY_MM), least_px=self._least, repeats=repeats)
        if action == "page":
            widget.tapped.connect(self._turn)
        else:
            widget.tapped.connect(lambda: self.action.emit(action))
        return widget

    def _turn(self) -> None:
        self._page += 1
        self._arrange()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange everything anew."""
        self._arrange()

    def _arrange(self) -> None:
        if self._model is None:
            return
        px, gap = self._panel.px, self._panel.px(TARGET_GAP_MM)
        top = px(BANDS_MM) + gap // 2
        title = round(px(5.2) * (ABOVE + BELOW)) + 1 if self._model.title else 0
        self._title.setGeometry(px(1.0), top, self.width() - px(2.0), title)
        bottom = self._place_rows(self._model.rows)
        area = Rect(px(1.0), top + title + gap // 2, self.width() - px(2.0), bottom - gap - top - title - gap // 2)
        self._qr_box = QRectF()
        if self._model.qr:
            side = min(area.height, round(self.width() * 0.36))
            self._qr_box = QRectF(self.width() - side, area.y, side, side)
            area = Rect(area.x, area.y, area.width - side - gap, area.height)
        self._place_lines(area)

    def _place_rows(self, rows: tuple[tuple[SheetButton | None, ...], ...]) -> int:
        """Place the rows from the bottom; return where the lowest line may end."""
        gap, y = self._panel.px(TARGET_GAP_MM), self.height()
        for row in reversed(rows):
            primary = any(button and button.primary for button in row)
            height = self._panel.px(PRIMARY_MM if primary else TARGET_MM)
            y -= height
            for button, place in zip(row, split_row(Rect(0, y, self.width(), height), len(row), gap), strict=True):
                if button is not None:
                    self._buttons[button.action].setGeometry(place.x, place.y, place.width, place.height)
            y -= gap
        return y + gap

    def _place_lines(self, area: Rect) -> None:
        """Set the lines of the page in view one below the other."""
        for old in self._lines:
            old.hide()
        self._lines = []
        pages = self._pages(area)
        self._page_count = max(len(pages), 1)
        if "page" in self._buttons:
            self._buttons["page"].setVisible(self._page_count > 1)
        self._page %= self._page_count
        y = area.y
        for line, height in pages[self._page] if pages else ():
            if line.kind is LineKind.PAIR:
                label = round(area.width * _LABEL_SHARE)
                self._add(line.label, line, Rect(area.x, y, label, height), self._theme.secondary)
                left = label + self._panel.px(1.5)
                self._add(line.text, line, Rect(area.x + left, y, area.width - left, height), self._theme.text)
            else:
                self._add(line.text, line, Rect(area.x, y, area.width, height), self._theme.text)
            y += height

    def _add(self, words: str, line: SheetLine, place: Rect, colour: str) -> None:
        bold = line.kind in _BOLD
        cap = self._panel.px(_CAPS_MM[line.kind])
        widget = self._pool[len(self._lines)]
        widget.set_font(cap_px=cap, bold=bold)
        widget.setGeometry(place.x, place.y, place.width, place.height)
        caution = self._theme.caution
        if line.kind is LineKind.ALERT:
            widget.set_words(f" {words} ", caution.ink, caution.ground)
        else:
            widget.set_words(words, colour)
        widget.show()
        self._lines.append(widget)

    def _pages(self, area: Rect) -> list[list[tuple[SheetLine, int]]]:
        """Return the lines with their heights, page by page; what fits on one page is not split."""
        model = self._model
        lines = model.lines if model else ()
        tight: list[tuple[SheetLine, int]] = []
        for share in (1.0, 0.85, 0.7, 0.0):
            caps = {kind: max(self._panel.px(cap) * share, self._least) for kind, cap in _CAPS_MM.items()}
            tight = [(line, self._height(line, area.width, caps[line.kind])) for line in lines]
            if sum(height for _, height in tight) <= area.height:
                return [tight] if tight else []
        pages: list[list[tuple[SheetLine, int]]] = [[]]
        for line, height in tight:
            if pages[-1] and sum(h for _, h in pages[-1]) + height > area.height:
                pages.append([])
            pages[-1].append((line, height))
        return pages

    def _height(self, line: SheetLine, width: int, cap: float) -> int:
        bold = line.kind in _BOLD
        share = 1 - _LABEL_SHARE if line.kind is LineKind.PAIR else 1.0
        room = width * share - self._panel.px(1.5)
        parts = [(line.text, room)] + ([(line.label, width * _LABEL_SHARE)] if line.label else [])
        heights = (_lines_height(words, space, cap, bold=bold) for words, space in parts)
        return max(heights)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Cover what lies below, and paint the QR code: black on white in both themes, with its quiet zone."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._theme.ground))
        if self._model is not None and self._model.qr:
            painter.drawImage(self._qr_box, qr_image(self._model.qr))


def _lines_height(words: str, room: float, cap: float, *, bold: bool) -> int:
    """Return the height of a text with as few lines as it can be set in; narrower letters come before another line."""
    most = len(fitted(words, room, 1e9, cap, cap, bold=bold, wrap=True).lines)
    for count in range(1, most + 1):
        height = round(cap * (ABOVE + BELOW + PITCH * (count - 1))) + 2
        if fitted(words, room, height, cap, cap, bold=bold, wrap=True).fits:
            return height
    return round(cap * (ABOVE + BELOW + PITCH * (most - 1))) + 2
