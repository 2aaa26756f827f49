"""Bands and lines of words: patient, clocks, SYNTHETIC and UNVALIDATED, information, footer. None can be hidden."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.screen_model import Band, Clock, PatientTexts, StatusItem
from edge_app.ui.text import FitText
from edge_app.ui.theme import Panel, TextHeight, Theme

__all__ = ["BandRow", "ClockBand", "Footer", "InfoLines", "PatientBand"]


class _Ground(QWidget):
    """A widget with one ground colour and some words on it."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self.panel = panel
        self.ground = "#000000"
        self.texts: list[FitText] = []

    def set_ground(self, colour: str) -> None:
        if colour != self.ground:
            self.ground = colour
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), QColor(self.ground))


class PatientBand(_Ground):
    """Zone 1: who this is (R58)."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        least = panel.px(TextHeight.LEAST_MM)
        self.name = FitText(self, cap_px=panel.px(5.2), least_px=panel.px(TextHeight.NAME_MM), bold=True)
        self.details = FitText(
            self, cap_px=panel.px(TextHeight.BODY_MM), least_px=least, align=Qt.AlignmentFlag.AlignRight
        )
        self.texts = [self.name, self.details]
        self._share = 0.3

    def show_patient(self, texts: PatientTexts, theme: Theme) -> None:
        """Show name and details; a previous case has the previous case's colour."""
        self.set_ground(theme.previous.ground if texts.previous else theme.surface)
        ink = theme.previous.ink if texts.previous else theme.text
        self.name.set_words(texts.name, ink)
        self.details.set_words(texts.details, ink if texts.previous else theme.text)
        # The name gets the room its letters need, between a quarter and a half of the band.
        self._share = min(max(len(texts.name) * 0.017, 0.25), 0.5)
        self._arrange()

    def _arrange(self) -> None:
        margin, width = self.panel.px(2.0), self.width()
        name = round((width - 3 * margin) * self._share)
        self.name.setGeometry(margin, 0, name, self.height())
        self.details.setGeometry(2 * margin + name, 0, width - 3 * margin - name, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        self._arrange()


class ClockBand(_Ground):
    """Zone 2: the clocks; over a previous case, the words that say so (R47)."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent, panel)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        self.line = FitText(self, cap_px=body, least_px=least)
        self.warning = FitText(self, cap_px=body, least_px=least, bold=True, align=Qt.AlignmentFlag.AlignRight)
        self.texts = [self.line, self.warning]

    def show_clocks(self, clocks: tuple[Clock, ...], previous: str, theme: Theme) -> None:
        """Show the clocks in one line."""
        self.set_ground(theme.previous.ground if previous else theme.surface)
        words = "     ".join(f"{clock.label} {clock.value}".strip() for clock in clocks)
        self.line.set_words(words, theme.previous.ink if previous else theme.secondary)
        self.warning.set_words(previous, theme.previous.ink)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room."""
        self._arrange()

    def _arrange(self) -> None:
        margin = self.panel.px(2.0)
        whole = self.width() - 2 * margin
        line = (whole - margin) // 2 if self.warning.words else whole
        self.line.setGeometry(margin, 0, line, self.height())
        self.warning.setGeometry(2 * margin + line, 0, whole - margin - line, self.height())


class _BandLabel(_Ground):
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
    """Top of zone 3: SYNTHETIC and UNVALIDATED, sharing the row when both are there."""

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self.labels = [_BandLabel(self, panel) for _ in range(2)]
        self._bands: tuple[Band, ...] = ()

    def show_bands(self, bands: tuple[Band, ...], theme: Theme) -> None:
        """Show the bands that hold now."""
        self._bands = bands
        for number, label in enumerate(self.labels):
            label.setVisible(number < len(bands))
            label.edge = theme.caution.edge
            label.set_ground(theme.caution.ground)
            label.words.set_words(bands[number].text if number < len(bands) else "", theme.caution.ink)
        self._arrange()

    def _arrange(self) -> None:
        gap = self._panel.px(1.0)
        left = 0
        total = sum(len(band.text) + 10 for band in self._bands)
        for band, label in zip(self._bands, self.labels, strict=False):
            share = (len(band.text) + 10) / total
            width = round((self.width() - gap * (len(self._bands) - 1)) * share)
            label.setGeometry(left, 0, width, self.height())
            left += width + gap

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the row."""
        self._arrange()


class InfoLines(_Ground):
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


class Footer(_Ground):
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
