"""Zone 3: headline, icon, lead, score and note, on the fill that belongs to the state."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import ABOVE, BELOW, PITCH
from edge_app.ui.icons import paint_icon
from edge_app.ui.screen_model import ResultTexts
from edge_app.ui.states import LOOKS, Look, Pattern, ScreenState
from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Fill, Panel, Role, TextHeight

__all__ = ["LEAD_SHARE", "ResultPanel"]

LEAD_SHARE = 0.45
"""The lead's least height as a share of the headline's (R03)."""

HEAD_LEAST = 0.46
"""In the languages there are, headlines have their full height (R67); in another one they would shrink, not be cut."""

_SCORE_MM = (6.0, 5.0, TextHeight.BODY_MM)

_FRAME_MM = {
    Pattern.PLAIN: 0.0,
    Pattern.SOLID_FRAMED: 3.0,
    Pattern.SOLID: 0.0,
    Pattern.OUTLINE: 1.2,
    Pattern.HATCH_EDGE: 3.4,
    Pattern.CROSS_HATCH_EDGE: 3.0,
}


class ResultPanel(QWidget):
    """The panel a paramedic must understand in two seconds.

    From top to bottom: the headline's lines, the icon right of the last of them (or right of the lead when there is
    but one), the lead, the coverage bar, the score, the note; the code stands in the lower right corner.
    """

    tapped = Signal()

    def __init__(self, parent: QWidget, panel: Panel) -> None:
        super().__init__(parent)
        self._panel = panel
        self._look: Look = LOOKS[ScreenState.STARTING]
        self._fill: Fill = THEMES["night"].fills[Role.NEUTRAL]
        self._texts = ResultTexts((), "", "", "", "", "", "", "", None)
        self.note_elsewhere = ""
        """What found no room here; the window shows it in the information lines."""
        self._icon_box = QRectF()
        self._bar_box = QRectF()
        self._second_box = QRectF()
        least, body = panel.px(TextHeight.LEAST_MM), panel.px(TextHeight.BODY_MM)
        head = panel.headline_mm * panel.px_per_mm
        self._head_px = self._head_now = head
        self._heads = [FitText(self, cap_px=head, least_px=head * HEAD_LEAST, bold=True) for _ in range(2)]
        self._lead = FitText(self, cap_px=head * 0.5, least_px=head * LEAD_SHARE, bold=True, wrap=True)
        self._second = FitText(self, cap_px=head, least_px=head * HEAD_LEAST, bold=True)
        self._score = FitText(self, cap_px=panel.px(6.0), least_px=body, bold=True)
        self._note = FitText(self, cap_px=panel.px(4.8), least_px=least, wrap=True, at_top=True)
        self._coverage = FitText(self, cap_px=body, least_px=least)
        self._tag = FitText(self, cap_px=body, least_px=least, bold=True, align=Qt.AlignmentFlag.AlignRight)

    @property
    def texts(self) -> list[FitText]:
        """Return the words of the panel (for the layout audit)."""
        return [*self._heads, self._lead, self._second, self._score, self._note, self._coverage, self._tag]

    @property
    def headline_cap_px(self) -> float:
        """Return the cap height of the headline as it is shown."""
        return min(head.layout_now.cap_px for head in self._heads if head.words)

    @property
    def second_cap_px(self) -> float:
        """Return the cap height of the second reader's contradiction as it is shown."""
        return self._second.layout_now.cap_px

    @property
    def lead_cap_px(self) -> float:
        """Return the cap height of the lead as it is shown."""
        return self._lead.layout_now.cap_px

    def show_result(self, texts: ResultTexts, look: Look, fill: Fill) -> None:
        """Show a state's words on its fill."""
        if (texts, look, fill) == (self._texts, self._look, self._fill):
            return
        self._texts, self._look, self._fill = texts, look, fill
        lines = [*texts.headline, ""][:2]
        for head, line in zip(self._heads, lines, strict=True):
            head.set_words(line, fill.ink)
        self._lead.set_words(texts.lead, fill.ink)
        self._second.set_words(texts.second, fill.ground)
        self._coverage.set_words(texts.progress.text if texts.progress else "", fill.ink)
        self.setAccessibleName(" ".join((*texts.headline, texts.second)).strip())
        self._arrange()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange the words anew."""
        self._arrange()

    def _arrange(self) -> None:
        """Place everything from the top; what is empty takes no room.

        The second reader's contradiction needs a third line of the headline's height; where there is no room for
        three (10.1"), all three get smaller together (R79).
        """
        size = self._head_px
        while not self._arrange_at(size) and size > self._head_px * HEAD_LEAST:
            size *= 0.96

    def _arrange_at(self, head_px: float) -> bool:
        """Place everything with headlines of a height; return whether the contradiction found its room."""
        texts, mm = self._texts, self._panel.px_per_mm
        self._head_now = head_px
        for widget, share in ((self._heads[0], 1.0), (self._heads[1], 1.0), (self._second, 1.0), (self._lead, 0.5)):
            least = LEAD_SHARE if widget is self._lead else HEAD_LEAST
            widget.set_font(cap_px=head_px * share, bold=True, least_px=head_px * least)
        self._tag.set_words("   ".join(part for part in (texts.tag, texts.hint) if part), self._fill.ink)
        edge = round(_FRAME_MM[self._look.pattern] * mm) + round(2.2 * mm)
        area = QRect(self.rect()).adjusted(edge, edge, -edge, -edge)
        gap = round(1.6 * mm)
        head_height = round(self._head_now * (ABOVE + BELOW)) + 1
        # Capitals need neither descenders nor, in most lines, room for accents: lines move closer together.
        pitch = round(self._head_now * 1.26)
        accents = any(letter in "ÄÖÜ" for line in texts.headline[:1] for letter in line)
        top = area.top() - round(self._head_now * (ABOVE - (1.27 if accents else 1.06)))
        two_lines = len(texts.headline) > 1
        icon = round(self._head_now * (1.3 if two_lines else 1.45))
        self._heads[0].setGeometry(area.left(), top, area.width(), head_height)
        icon_left = area.right() - icon
        if two_lines:
            self._heads[1].setGeometry(area.left(), top + pitch, area.width() - icon - gap, head_height)
            top += pitch
        baseline = top + round(self._head_now * ABOVE)
        y = baseline + gap * 2
        if two_lines:
            self._icon_box = QRectF(icon_left, baseline - self._head_now * 1.02, icon, icon)
            lead_width = area.width()
            if self._icon_box.bottom() > y:
                lead_width -= icon + gap
        else:
            self._icon_box = QRectF(icon_left, y, icon, icon)
            lead_width = area.width() - icon - gap * 2
        self._heads[1].setVisible(two_lines)
        for head in self._heads:
            head.set_widest(1.0)
        narrowest = min(head.layout_now.stretch for head in self._heads if head.words) if texts.headline else 1.0
        for head in self._heads:
            head.set_widest(narrowest)
        y = self._place(self._lead, texts.lead, area.left(), y, lead_width, self._lead_lines(lead_width)) + gap
        if not two_lines:
            y = max(y, round(self._icon_box.bottom()) + gap)
        y = self._place_progress(area, y, gap)
        y, fits = self._place_second(area, y, gap)
        elsewhere = []
        # Smaller before it goes elsewhere: with two rows of bands there is less room.
        heights = [self._line_height(self._panel.px(cap), 1) for cap in _SCORE_MM]
        score_height = next((height for height in heights if y + height <= area.bottom() + 1), heights[-1])
        tag_height = self._line_height(self._panel.px(TextHeight.BODY_MM), 1)
        tag_width = round(area.width() * (0.42 if texts.tag and texts.hint else 0.3)) if self._tag.words else 0
        score_width = area.width() - (tag_width + gap if tag_width else 0)
        self._score.set_words(texts.score, self._fill.ink)
        self._score.resize(score_width, score_height)
        score = texts.score if self._score.fits and y + score_height <= area.bottom() + 1 else ""
        if score != texts.score:
            elsewhere.append(texts.score)
            self._score.set_words("", self._fill.ink)
        if not score and y + tag_height > area.bottom() + 1:  # no room for the hint; a code is shown at any price
            self._tag.set_words(texts.tag, self._fill.ink)
        self._score.setGeometry(area.left(), y, score_width if score else 0, score_height if score else 0)
        y += score_height if score else 0
        bottom = area.bottom() + 1
        # The code stands beside the score, or in the lower right corner.
        tag_top = y - tag_height - 1 if score else bottom - tag_height
        self._tag.setGeometry(area.right() + 1 - tag_width, tag_top, tag_width, tag_height)
        beside = bool(self._tag.words) and not score
        self._place_note(QRect(area.left(), y, area.width(), bottom - y), tag_height if beside else 0, tag_width + gap)
        # On the smallest panel score and note move to the information lines (SCREEN.md section 5, 10.1").
        if texts.note and not self._note.words:
            elsewhere.append(texts.note)
        self.note_elsewhere = "   ".join(elsewhere)
        return fits

    def _place_second(self, area: QRect, y: int, gap: int) -> tuple[int, bool]:
        """Place the contradiction in its box; return where it ends and whether it is inside."""
        self._second_box = QRectF()
        self._second.setVisible(bool(self._texts.second))
        if not self._texts.second:
            return y, True
        height = round(self._head_now * (ABOVE + BELOW)) + 1
        # Capitals need little room above them: the box is as high as the letters with an even margin.
        box = round(self._head_now * 1.36)
        self._second_box = QRectF(area.left(), y, area.width(), box)
        top = y + (box - height) // 2 - round(self._head_now * (ABOVE - 1 - BELOW) / 2)
        self._second.setGeometry(area.left() + gap, top, area.width() - 2 * gap, height)
        return y + box + gap, y + box <= area.bottom() + 1

    def _place_note(self, room: QRect, tag_height: int, tag_width: int) -> None:
        """Show note and evidence where both fit, else the note; the evidence is in the About panel as well."""
        texts = self._texts
        both = "\n".join(part for part in (texts.note, texts.evidence) if part)
        for words in dict.fromkeys((both, texts.note)):
            # The whole width above the code, or the lowest lines beside it.
            above = room.adjusted(0, 0, 0, -tag_height)
            for place in (above, room.adjusted(0, 0, -tag_width if tag_height else 0, 0)):
                self._note.setGeometry(place)
                self._note.set_words(words, self._fill.ink)
                if place.height() > 0 and self._note.fits:
                    return
        self._note.set_words("", self._fill.ink)

    def _lead_lines(self, width: int) -> int:
        """Return how many lines the lead needs at its least height."""
        if not self._texts.lead:
            return 0
        for lines in (1, 2):
            self._lead.resize(width, self._line_height(self._head_now * LEAD_SHARE, lines))
            if self._lead.fits:
                return lines
        return 3

    def _line_height(self, cap_px: float, lines: int) -> int:
        return round(cap_px * (ABOVE + BELOW + PITCH * (lines - 1))) + 1

    def _place(self, widget: FitText, words: str, left: int, y: int, width: int, lines: int) -> int:
        if not words:
            widget.setGeometry(left, y, 0, 0)
            return y
        cap = self._head_now * LEAD_SHARE if widget is self._lead else self._panel.px(6.0)
        height = self._line_height(cap, lines)
        widget.setGeometry(left, y, width, height)
        return y + height

    def _place_progress(self, area: QRect, y: int, gap: int) -> int:
        if self._texts.progress is None:
            self._bar_box = QRectF()
            self._coverage.setGeometry(area.left(), y, 0, 0)
            return y
        bar = self._panel.px(4.0)
        self._bar_box = QRectF(area.left(), y, area.width(), bar)
        height = self._line_height(self._panel.px(TextHeight.BODY_MM), 1)
        self._coverage.setGeometry(area.left(), y + bar + gap // 2, area.width(), height)
        return y + bar + gap // 2 + height

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Take a tap that ends inside (R64)."""
        if self.rect().contains(event.position().toPoint()):
            self.tapped.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Accept the press, so that the release comes here."""
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint fill, frame, icon and coverage bar; the words are children."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_fill(painter)
        paint_icon(painter, self._icon_box, self._look.icon, self._fill.ink, self._fill.ground)
        if self._texts.second:
            painter.fillRect(self._second_box, QColor(self._fill.ink))
        if self._texts.progress is not None:
            painter.setPen(QPen(QColor(self._fill.ink), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self._bar_box)
            done = self._bar_box.adjusted(4, 4, -4, -4)
            done.setWidth(done.width() * self._texts.progress.fraction)
            painter.fillRect(done, QColor(self._fill.ink))

    def _paint_fill(self, painter: QPainter) -> None:
        look, fill, mm = self._look, self._fill, self._panel.px_per_mm
        whole = QRectF(self.rect())
        painter.fillRect(whole, QColor(fill.ground))
        width = _FRAME_MM[look.pattern] * mm
        if width == 0:
            return
        if look.pattern in (Pattern.SOLID_FRAMED, Pattern.OUTLINE):
            pen = QPen(QColor(fill.edge), width)
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(whole.adjusted(width / 2, width / 2, -width / 2, -width / 2))
            if look.pattern is Pattern.SOLID_FRAMED:  # on a white ground the white frame needs an end, too
                painter.setPen(QPen(QColor(fill.ground), 3))
                painter.drawRect(whole.adjusted(1, 1, -1, -1))
            return
        self._paint_hatched_edge(painter, whole, width, crossed=look.pattern is Pattern.CROSS_HATCH_EDGE)

    def _paint_hatched_edge(self, painter: QPainter, whole: QRectF, width: float, *, crossed: bool) -> None:
        ring = QPainterPath()
        ring.addRect(whole)
        hole = QPainterPath()
        hole.addRect(whole.adjusted(width, width, -width, -width))
        painter.save()
        painter.setClipPath(ring.subtracted(hole))
        step = width * (0.75 if crossed else 1.3)
        painter.setPen(QPen(QColor(self._fill.edge), step * (0.22 if crossed else 0.5)))
        reach = whole.height()
        x = -reach
        while x < whole.width() + reach:
            painter.drawLine(QRectF(x, 0, reach, reach).bottomLeft(), QRectF(x, 0, reach, reach).topRight())
            if crossed:
                painter.drawLine(QRectF(x, 0, reach, reach).topLeft(), QRectF(x, 0, reach, reach).bottomRight())
            x += step
        painter.restore()
        painter.setPen(QPen(QColor(self._fill.edge), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(whole.adjusted(width, width, -width, -width))
        painter.drawRect(whole.adjusted(1, 1, -1, -1))
