"""Bands and lines of words: SYNTHETIC and its like, information, footer. None can be hidden."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.screen_model import Band, BandKind, StatusItem
from edge_app.ui.text import FitText
from edge_app.ui.theme import Panel, TextHeight, Theme

__all__ = ["BandRow", "Footer", "Ground", "InfoLines"]


_A_ROW = 2
"""Bands beside each other."""


class Ground(QWidget):
    """A widget with one ground colour and some words on it."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self.panel = panel
        self.ground = "#000000"
        self.texts: list[FitText] = []

    def set_ground(self, colour: str) -> None:
        """Change the colour."""
        if colour != self.ground:
            self.ground = colour
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground."""
        QPainter(self).fillRect(self.rect(), QColor(self.ground))


class _BandLabel(Ground):
    """One band: inverted words between hatched ends, black and white in both themes."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        self.words = FitText(self, cap_px=body, least_px=least, bold=True, align=Qt.AlignmentFlag.AlignHCenter)
        self.texts = [self.words]
        self.edge = "#000000"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self.ground))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self.edge), 5))
        end, height = self.panel.px(6.0), self.height()
        for left in (0.0, self.width() - end):
            painter.setClipRect(QRectF(left, 0, end, height))
            x = left - height
            while x < left + end:
                painter.drawLine(round(x), height, round(x + height), 0)
                x += 14
        painter.setClipping(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        end = self.panel.px(6.5)
        self.words.setGeometry(end, 0, self.width() - 2 * end, self.height())


class BandRow(QWidget):
    """Top of zone 3: what must be known of the model. Two share a row; three or four take two rows."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self.labels = [_BandLabel(self, panel) for _ in BandKind]
        self._bands: tuple[Band, ...] = ()

    @property
    def rows(self) -> int:
        """Return how many rows the bands take."""
        return max(-(-len(self._bands) // _A_ROW), 1)

    def show_bands(self, bands: tuple[Band, ...], theme: Theme) -> None:
        """Show the bands that hold now."""
        self._bands = bands
        for number, label in enumerate(self.labels):
            label.setVisible(number < len(bands))
            label.edge = theme.caution.edge
            label.set_ground(theme.caution.ground)
            label.words.set_words(bands[number].text if number < len(bands) else "", theme.caution.ink)
        self.arrange()

    def arrange(self) -> None:
        """Share the rows by the length of the words."""
        gap = self._panel.px(1.0)
        height = (self.height() - gap * (self.rows - 1)) // self.rows
        for row in range(self.rows):
            bands = self._bands[row * _A_ROW : (row + 1) * _A_ROW]
            total = sum(len(band.text) + 10 for band in bands)
            left = 0
            for number, band in enumerate(bands, start=row * _A_ROW):
                width = round((self.width() - gap * (len(bands) - 1)) * (len(band.text) + 10) / total)
                self.labels[number].setGeometry(left, row * (height + gap), width, height)
                left += width + gap

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the rows."""
        self.arrange()


class InfoLines(Ground):
    """Zone 7, left: series, model and quality in up to three lines; a note that found no room above comes first."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        least = panel.px(TextHeight.LEAST_MM)
        self._note = FitText(self, cap_px=least, least_px=least, bold=True, wrap=True)
        self._lines = [FitText(self, cap_px=least, least_px=least) for _ in range(3)]
        self.texts = [self._note, *self._lines]

    def show_lines(self, note: str, lines: tuple[str, ...], theme: Theme) -> None:
        """Show the note in two lines and one of the others, or the lines alone."""
        self.set_ground(theme.ground)
        self._note.set_words(note, theme.text)
        room = lines[:1] if note else lines[:3]
        for number, words in enumerate(self._lines):
            words.set_words(room[number] if number < len(room) else "", theme.secondary)
        self._arrange()

    def _arrange(self) -> None:
        height = self.height() // 3
        noted = 2 if self._note.words else 0
        self._note.setGeometry(0, 0, self.width(), height * noted)
        for number, words in enumerate(self._lines):
            words.setGeometry(0, (number + noted) * height, self.width(), height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        self._arrange()


class Footer(Ground):
    """Zone 8: R01's sentence, the state of the processes, and a dot that goes on and off once a second (R48)."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        least = panel.px(TextHeight.LEAST_MM)
        self.disclaimer = FitText(self, cap_px=least, least_px=least, bold=True)
        self.status = FitText(self, cap_px=least, least_px=least, align=Qt.AlignmentFlag.AlignRight)
        self.texts = [self.disclaimer, self.status]
        self._beat = False
        self._ink = "#FFFFFF"

    def show_footer(self, disclaimer: str, items: tuple[StatusItem, ...], theme: Theme) -> None:
        """Show sentence and states; what is not good stands in brackets, as colour alone says nothing."""
        self.set_ground(theme.surface)
        self._ink = theme.text
        self.disclaimer.set_words(disclaimer, theme.text)
        words = "  |  ".join(item.text if item.good else f"[! {item.text}]" for item in items)
        self.status.set_words(words, theme.text)

    def beat(self) -> None:
        """Turn the dot on or off: a frozen screen is one whose dot stands still."""
        self._beat = not self._beat
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint ground and dot."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        size = self.panel.px(2.2)
        box = QRectF(self.width() - size * 1.8, (self.height() - size) / 2, size, size)
        painter.setPen(QPen(QColor(self._ink), 2))
        painter.setBrush(QColor(self._ink) if self._beat else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(box)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        margin, width = self.panel.px(2.0), self.width()
        dot = self.panel.px(6.0)
        left = round((width - 3 * margin - dot) * 0.62)
        self.disclaimer.setGeometry(margin, 0, left, self.height())
        self.status.setGeometry(2 * margin + left, 0, width - 3 * margin - dot - left, self.height())
