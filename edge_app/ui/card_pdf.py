"""The hand-over card on paper: one A6 page with a QR code (R76)."""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QRectF, Qt
from PySide6.QtGui import QColor, QPageLayout, QPageSize, QPainter, QPdfWriter, QPen

from edge_app.ui.fitting import ABOVE, BELOW, PITCH
from edge_app.ui.hand_over import Card
from edge_app.ui.qr import qr_image
from edge_app.ui.text import fitted, paint_fitted

__all__ = ["card_pdf"]

_DPI = 300
_CAP_MM = 2.1
"""Cap height: about 8 point."""

_QR_MM = 42.0
_LABEL_MM = 22.0
_LEFT = Qt.AlignmentFlag.AlignLeft


def card_pdf(card: Card) -> bytes:
    """Return the card as a PDF."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(_DPI)
    writer.setPageLayout(
        QPageLayout(QPageSize(QPageSize.PageSizeId.A6), QPageLayout.Orientation.Portrait, QMarginsF(6, 6, 6, 6))
    )
    writer.setTitle(card.title)
    painter = QPainter(writer)
    _paint(painter, card, QRectF(0, 0, writer.width(), writer.height()))
    painter.end()
    return bytes(buffer.data().data())


def _paint(painter: QPainter, card: Card, page: QRectF) -> None:
    mm = _DPI / 25.4
    cap = _CAP_MM * mm
    y = _line(painter, card.title, QRectF(0, 0, page.width(), 0), cap * 1.6, bold=True)
    for mark in card.marks:
        top, y = y, _line(painter, mark, QRectF(cap, y + cap / 2, page.width() - cap, 0), cap, bold=True) + cap / 2
        painter.setPen(QPen(QColor("#000000"), cap / 3))
        painter.drawRect(QRectF(cap / 6, top + cap / 4, page.width() - cap / 3, y - top - cap / 4))
        y += cap / 2
    for label, words in card.lines:
        room = QRectF(_LABEL_MM * mm, y, page.width() - _LABEL_MM * mm, 0)
        below_label = _line(painter, label, QRectF(0, y, (_LABEL_MM - 1) * mm, 0), cap, bold=True)
        y = max(below_label, _line(painter, words, room, cap, bold=False))
    side = _QR_MM * mm
    foot = page.height() - 5 * cap
    side = min(side, foot - y)
    painter.drawImage(QRectF((page.width() - side) / 2, foot - side, side, side), qr_image(card.qr))
    _line(painter, card.disclaimer, QRectF(0, foot + cap * 0.5, page.width(), 0), cap, bold=True)


def _line(painter: QPainter, words: str, place: QRectF, cap: float, *, bold: bool) -> float:
    """Paint words from the top of a place, as many lines as they need; return where they end."""
    layout = fitted(words, place.width(), 1e6, cap, cap, bold=bold, wrap=True)
    height = cap * (ABOVE + BELOW + PITCH * (len(layout.lines) - 1))
    place.setHeight(height)
    paint_fitted(painter, place, layout, "#000000", bold=bold, align=_LEFT, at_top=True)
    return place.top() + height
