"""The one widget that shows words, and the one function that paints them."""

from __future__ import annotations

from functools import lru_cache, partial

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import ABOVE, PITCH, Fitted, fit
from edge_app.ui.fonts import CAP_RATIO, advance, sized_font

__all__ = ["FitText", "fitted", "paint_fitted"]


@lru_cache(maxsize=1024)
def fitted(
    words: str,
    width_px: float,
    height_px: float,
    cap_px: float,
    least_px: float,
    *,
    bold: bool,
    wrap: bool,
    widest: float = 1.0,
) -> Fitted:
    """Return the layout of a text in the screen's font (kept, as most texts do not change from paint to paint)."""
    return fit(
        words,
        width_px,
        height_px,
        cap_px=cap_px,
        least_px=least_px,
        measure=partial(advance, bold=bold),
        wrap=wrap,
        widest=widest,
    )


def paint_fitted(
    painter: QPainter,
    box: QRectF,
    layout: Fitted,
    colour: str,
    *,
    bold: bool,
    align: Qt.AlignmentFlag,
    at_top: bool = False,
) -> None:
    """Paint a fitted text into its box, centred vertically unless `at_top`."""
    font = sized_font(layout.cap_px, bold=bold)
    painter.setFont(font)
    # Fonts come in whole pixels only; what was measured is exact.
    exact = layout.cap_px / CAP_RATIO / font.pixelSize()
    painter.setPen(QColor(colour))
    above = 0.0 if at_top else (box.height() - layout.height_px) / 2
    baseline = box.top() + above + layout.cap_px * ABOVE
    for line in layout.lines:
        width = advance(line, bold=bold) * layout.cap_px * layout.stretch
        left = box.left()
        if align & Qt.AlignmentFlag.AlignHCenter:
            left += (box.width() - width) / 2
        elif align & Qt.AlignmentFlag.AlignRight:
            left += box.width() - width
        painter.save()
        painter.translate(QPointF(left, baseline))
        painter.scale(layout.stretch * exact, exact)
        painter.drawText(QPointF(0, 0), line)
        painter.restore()
        baseline += layout.cap_px * PITCH


class FitText(QWidget):
    """Words in a box: as large as asked, smaller where they must be, never cut off.

    Parameters
    ----------
    cap_px, least_px
        Cap height wanted and least cap height, in pixels.
    """

    def __init__(
        self,
        parent: QWidget,
        *,
        cap_px: float,
        least_px: float,
        bold: bool = False,
        wrap: bool = False,
        align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
        at_top: bool = False,
    ) -> None:
        super().__init__(parent)
        self.at_top = at_top
        self._widest = 1.0
        self._cap_px, self._least_px = cap_px, least_px
        self.bold, self._wrap, self.align = bold, wrap, align
        self._words = ""
        self._colour = "#FFFFFF"
        self._ground = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    @property
    def words(self) -> str:
        """Return the text."""
        return self._words

    @property
    def layout_now(self) -> Fitted:
        """Return how the text lies in the box as it is now."""
        return fitted(
            self._words,
            self.width(),
            self.height(),
            self._cap_px,
            self._least_px,
            bold=self.bold,
            wrap=self._wrap,
            widest=self._widest,
        )

    def set_font(self, *, cap_px: float, bold: bool, least_px: float | None = None) -> None:
        """Want another cap height, weight or least cap height."""
        least_px = self._least_px if least_px is None else least_px
        if (cap_px, bold, least_px) != (self._cap_px, self.bold, self._least_px):
            self._cap_px, self.bold, self._least_px = cap_px, bold, least_px
            self.update()

    def set_widest(self, stretch: float) -> None:
        """Begin no wider than this, so that two lines look alike."""
        if stretch != self._widest:
            self._widest = stretch
            self.update()

    @property
    def fits(self) -> bool:
        """Return whether the whole text is inside the box at an allowed size."""
        return not self._words or self.layout_now.fits

    def set_words(self, words: str, colour: str, ground: str = "") -> None:
        """Show other words or colours; the same ones cost nothing. A `ground` makes them stand out."""
        if (words, colour, ground) != (self._words, self._colour, self._ground):
            self._words, self._colour, self._ground = words, colour, ground
            self.setAccessibleName(words.replace("\n", " "))
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the words."""
        if not self._words:
            return
        painter = QPainter(self)
        if self._ground:
            painter.fillRect(self.rect(), QColor(self._ground))
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        paint_fitted(
            painter,
            QRectF(self.rect()),
            self.layout_now,
            self._colour,
            bold=self.bold,
            align=self.align,
            at_top=self.at_top,
        )
