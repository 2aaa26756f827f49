"""Bands and lines of words: SYNTHETIC and its like, information, footer. None can be hidden."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import ABOVE, BELOW, PITCH
from edge_app.ui.screen_model import Band, BandKind, StatusItem
from edge_app.ui.text import FitText
from edge_app.ui.theme import Panel, TextHeight, Theme

__all__ = ["BandRow", "Footer", "Ground", "InfoLines"]


_A_ROW = 2
"""Bands beside each other above the result; above a sheet, which is wider, all of them."""


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
    """Top of zone 3: what must be known of the model. Two share a row; three or four take two rows there."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self.labels = [_BandLabel(self, panel) for _ in BandKind]
        self._bands: tuple[Band, ...] = ()
        self._a_row = _A_ROW
        self._ink = "#000000"

    def set_wide(self, wide: bool) -> None:
        """Put all bands into one row, or two of them."""
        self._a_row = len(BandKind) if wide else _A_ROW

    @property
    def rows(self) -> int:
        """Return how many rows the bands take."""
        return max(-(-len(self._bands) // self._a_row), 1)

    def show_bands(self, bands: tuple[Band, ...], theme: Theme) -> None:
        """Show the bands that hold now."""
        self._bands = bands
        for number, label in enumerate(self.labels):
            label.setVisible(number < len(bands))
            label.edge = theme.caution.edge
            label.set_ground(theme.caution.ground)
        self._ink = theme.caution.ink
        self.arrange()

    def arrange(self) -> None:
        """Share the rows by the length of the words; short words where the long ones do not fit."""
        gap = self._panel.px(1.0)
        height = (self.height() - gap * (self.rows - 1)) // self.rows
        for row in range(self.rows):
            start = row * self._a_row
            bands, labels = self._bands[start : start + self._a_row], self.labels[start : start + self._a_row]
            for texts in ([band.text for band in bands], [band.short for band in bands]):
                total = sum(len(words) + 10 for words in texts)
                left = 0
                for words, label in zip(texts, labels, strict=False):
                    width = round((self.width() - gap * (len(bands) - 1)) * (len(words) + 10) / total)
                    label.setGeometry(left, row * (height + gap), width, height)
                    label.words.set_words(words, self._ink)
                    left += width + gap
                if all(label.words.fits for label in labels[: len(bands)]):
                    break

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the rows."""
        self.arrange()


class InfoLines(Ground):
    """Zone 7, left: what has stopped, a note that found no room above, then series, model and quality."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        least = panel.px(TextHeight.LEAST_MM)
        self._alert = FitText(self, cap_px=least, least_px=least, bold=True, wrap=True)
        self._words = FitText(self, cap_px=least, least_px=least, wrap=True, at_top=True)
        self.texts = [self._alert, self._words]
        self._lines: tuple[str, ...] = ()
        self._ink = "#FFFFFF"

    def show_lines(self, alerts: tuple[str, ...], note: str, lines: tuple[str, ...], theme: Theme) -> None:
        """Show the lines that find room, the most important first; of alerts the first, in inverted colours."""
        self.set_ground(theme.ground)
        self._alert.set_words(alerts[0] if alerts else "", theme.caution.ink, theme.caution.ground)
        self._alert.setVisible(bool(alerts))
        self._lines = tuple(line for line in (note, *lines) if line)
        self._ink = theme.text if note else theme.secondary
        self._arrange()

    def _arrange(self) -> None:
        top = 0
        if self._alert.words:
            # One line where it fits, two in a longer language.
            for lines in (1, 2):
                top = round(self.panel.px(TextHeight.LEAST_MM) * (ABOVE + BELOW + PITCH * (lines - 1))) + 2
                self._alert.setGeometry(0, 0, self.width(), top)
                if self._alert.fits:
                    break
        self._words.setGeometry(0, top, self.width(), self.height() - top)
        for count in range(len(self._lines), 0, -1):
            self._words.set_words("\n".join(self._lines[:count]), self._ink)
            if self._words.fits:
                return
        self._words.set_words("", self._ink)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fill the room."""
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
        shown = list(items)
        while True:
            words = "  |  ".join(item.text if item.good else f"[! {item.text}]" for item in shown)
            self.status.set_words(words, theme.text)
            good = [item for item in shown if item.good]
            if self.status.fits or not good:
                return
            shown.remove(good[-1])  # what is well may go unsaid where there is no room

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
