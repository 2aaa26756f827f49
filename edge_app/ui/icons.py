"""The icon of each state, painted: a shape that is its own in greyscale and without colour sight (R32)."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

from edge_app.ui.fonts import sized_font
from edge_app.ui.states import Icon

__all__ = ["paint_icon"]

# All shapes are drawn in a square from -1 to 1; `_PEN` is the line width in that square.
_PEN = 0.16


def paint_icon(painter: QPainter, box: QRectF, icon: Icon, ink: str, ground: str) -> None:
    """Paint an icon into a square; `ground` is the colour behind it, for what is cut out of a filled shape."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.center())
    scale = min(box.width(), box.height()) / 2
    painter.scale(scale, scale)
    pen = QPen(QColor(ink), _PEN)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    _PAINTERS[icon](painter, QColor(ink), QColor(ground))
    painter.restore()


def _regular(corners: int, radius: float, turn_deg: float) -> QPolygonF:
    angles = [math.radians(turn_deg + 360 * i / corners) for i in range(corners)]
    return QPolygonF([QPointF(radius * math.sin(a), -radius * math.cos(a)) for a in angles])


def _mark(painter: QPainter, mark: str, colour: QColor, size: float, dy: float = 0.0) -> None:
    path = QPainterPath()
    path.addText(QPointF(0, 0), sized_font(100, bold=True), mark)
    bounds = path.boundingRect()
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    factor = size / bounds.height()
    painter.translate(0, dy)
    painter.scale(factor, factor)
    painter.translate(-bounds.center())
    painter.drawPath(path)
    painter.restore()


def _line(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in points]))


def _octagon(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setBrush(ink)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawPolygon(_regular(8, 1.0, 22.5))
    _mark(painter, "!", ground, 1.1)


def _triangle(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setBrush(ink)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawPolygon(QPolygonF([QPointF(0, -0.9), QPointF(1, 0.85), QPointF(-1, 0.85)]))
    _mark(painter, "!", ground, 0.95, dy=0.22)


def _circle(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawEllipse(QPointF(0, 0), 0.9, 0.9)
    painter.drawEllipse(QPointF(0, 0), 0.38, 0.38)


def _diamond(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setBrush(ink)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawPolygon(_regular(4, 1.0, 0))
    _mark(painter, "?", ground, 0.95)


def _square(painter: QPainter) -> None:
    painter.drawRect(QRectF(-0.85, -0.85, 1.7, 1.7))


def _square_slash(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _square(painter)
    _line(painter, (-0.85, 0.85), (0.85, -0.85))


def _square_cross(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _square(painter)
    _line(painter, (-0.45, 0.45), (0.45, -0.45))
    _line(painter, (-0.45, -0.45), (0.45, 0.45))


def _ring_dashed(painter: QPainter, ink: QColor, ground: QColor) -> None:
    for start in range(0, 360, 60):
        painter.drawArc(QRectF(-0.85, -0.85, 1.7, 1.7), start * 16, 34 * 16)


def _arrow(painter: QPainter) -> None:
    _line(painter, (-0.42, 0.05), (0, 0.5), (0.42, 0.05))


def _tray(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _line(painter, (-0.85, 0.15), (-0.85, 0.85), (0.85, 0.85), (0.85, 0.15))
    _line(painter, (0, -0.9), (0, 0.42))
    _arrow(painter)


def _arrow_down(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _line(painter, (0, -0.9), (0, 0.8))
    _line(painter, (-0.6, 0.25), (0, 0.85), (0.6, 0.25))


def _arrow_broken(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _line(painter, (0, -0.9), (0, -0.45))
    _line(painter, (0, 0.05), (0, 0.8))
    _line(painter, (-0.6, 0.25), (0, 0.85), (0.6, 0.25))
    _line(painter, (-0.5, -0.05), (0.5, -0.35))


def _hourglass(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _line(painter, (-0.75, -0.85), (0.75, -0.85))
    _line(painter, (-0.75, 0.85), (0.75, 0.85))
    _line(painter, (-0.55, -0.85), (-0.55, -0.5), (0.55, 0.5), (0.55, 0.85))
    _line(painter, (0.55, -0.85), (0.55, -0.5), (-0.55, 0.5), (-0.55, 0.85))


def _hexagon_stop(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawPolygon(_regular(6, 0.92, 0))
    painter.fillRect(QRectF(-0.34, -0.34, 0.68, 0.68), ink)


def _plug(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _line(painter, (-0.35, -0.95), (-0.35, -0.4))
    _line(painter, (0.35, -0.95), (0.35, -0.4))
    _line(painter, (-0.65, -0.4), (0.65, -0.4), (0.65, 0.05), (0.3, 0.4), (-0.3, 0.4), (-0.65, 0.05), (-0.65, -0.48))
    _line(painter, (0, 0.4), (0, 0.95))


def _box_missing(painter: QPainter, ink: QColor, ground: QColor) -> None:
    pen = painter.pen()
    pen.setDashPattern([1.6, 1.2])
    painter.setPen(pen)
    _square(painter)
    _mark(painter, "?", ink, 0.9)


def _disk(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawEllipse(QRectF(-0.8, -0.9, 1.6, 0.6))
    _line(painter, (-0.8, -0.6), (-0.8, 0.6))
    _line(painter, (0.8, -0.6), (0.8, 0.6))
    painter.drawArc(QRectF(-0.8, 0.3, 1.6, 0.6), 180 * 16, 180 * 16)
    painter.drawArc(QRectF(-0.8, -0.15, 1.6, 0.6), 180 * 16, 180 * 16)


def _disk_line(painter: QPainter, ink: QColor, ground: QColor) -> None:
    _disk(painter, ink, ground)
    painter.fillRect(QRectF(-0.8, 0.28, 1.6, 0.3), ink)


def _lens(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawEllipse(QPointF(-0.2, -0.2), 0.62, 0.62)
    _line(painter, (0.25, 0.25), (0.9, 0.9))


def _eye(painter: QPainter, ink: QColor, ground: QColor) -> None:
    path = QPainterPath(QPointF(-1, 0))
    path.quadTo(QPointF(0, -1.15), QPointF(1, 0))
    path.quadTo(QPointF(0, 1.15), QPointF(-1, 0))
    painter.drawPath(path)
    painter.setBrush(ink)
    painter.drawEllipse(QPointF(0, 0), 0.22, 0.22)


def _waves_slash(painter: QPainter, ink: QColor, ground: QColor) -> None:
    for radius in (0.4, 0.85, 1.3):
        painter.drawArc(QRectF(-radius, 0.8 - radius, 2 * radius, 2 * radius), 50 * 16, 80 * 16)
    painter.setBrush(ink)
    painter.drawEllipse(QPointF(0, 0.8), 0.08, 0.08)
    _line(painter, (-0.85, 0.85), (0.85, -0.85))


def _gauge(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawArc(QRectF(-0.9, -0.7, 1.8, 1.8), -20 * 16, 220 * 16)
    _line(painter, (0, 0.2), (0.5, -0.35))
    painter.setBrush(ink)
    painter.drawEllipse(QPointF(0, 0.2), 0.12, 0.12)


def _wrench(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawArc(QRectF(0.05, -0.95, 0.9, 0.9), -150 * 16, 290 * 16)
    _line(painter, (0.2, -0.2), (-0.85, 0.85))
    _line(painter, (0.38, -0.08), (-0.67, 1.0))
    _line(painter, (-0.85, 0.85), (-0.67, 1.0))


def _clock(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawEllipse(QPointF(0, 0), 0.9, 0.9)
    _line(painter, (0, -0.55), (0, 0.05), (0.42, 0.42))


def _chip(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawRect(QRectF(-0.55, -0.55, 1.1, 1.1))
    for at in (-0.32, 0.0, 0.32):
        for end in (-1, 1):
            _line(painter, (at, 0.55 * end), (at, 0.92 * end))
            _line(painter, (0.55 * end, at), (0.92 * end, at))


def _padlock(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.drawArc(QRectF(-0.48, -0.9, 0.96, 1.1), 0, 180 * 16)
    _line(painter, (-0.48, -0.35), (-0.48, -0.05))
    _line(painter, (0.48, -0.35), (0.48, -0.05))
    painter.fillRect(QRectF(-0.75, -0.1, 1.5, 1.0), ink)
    painter.fillRect(QRectF(-0.09, 0.2, 0.18, 0.4), ground)


_PAINTERS: dict[Icon, Callable[[QPainter, QColor, QColor], None]] = {
    Icon.OCTAGON: _octagon,
    Icon.TRIANGLE: _triangle,
    Icon.CIRCLE: _circle,
    Icon.DIAMOND: _diamond,
    Icon.SQUARE_SLASH: _square_slash,
    Icon.SQUARE_CROSS: _square_cross,
    Icon.RING_DASHED: _ring_dashed,
    Icon.TRAY: _tray,
    Icon.ARROW_DOWN: _arrow_down,
    Icon.ARROW_BROKEN: _arrow_broken,
    Icon.HOURGLASS: _hourglass,
    Icon.HEXAGON_STOP: _hexagon_stop,
    Icon.PLUG: _plug,
    Icon.BOX_MISSING: _box_missing,
    Icon.DISK: _disk,
    Icon.DISK_LINE: _disk_line,
    Icon.LENS: _lens,
    Icon.EYE: _eye,
    Icon.WAVES_SLASH: _waves_slash,
    Icon.CLOCK: _clock,
    Icon.CHIP: _chip,
    Icon.PADLOCK: _padlock,
    Icon.GAUGE: _gauge,
    Icon.WRENCH: _wrench,
}
