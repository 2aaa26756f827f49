"""The result page as a picture: what any PACS can show. Same colours, shapes and words as the screen, without Qt."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_app.core.clock import utc_iso
from edge_app.core.types import SliceImage, Verdict
from edge_app.reports.header import ReportInput, software
from edge_app.reports.words import LIMITS, SYNTHETIC, aid, headline, lines, minute, percent

__all__ = ["HEIGHT", "WIDTH", "draw_page"]

WIDTH, HEIGHT = 960, 720
"""Pixels. Small on purpose: the page leaves before the images, over a link of a few kilobytes a second."""

_BACK, _TEXT, _SECOND = "#101418", "#F2F5F7", "#B8C2CC"
_PANELS = {
    Verdict.HEMORRHAGE: ("#A50F25", "#FFFFFF", "#FFFFFF"),
    Verdict.INDETERMINATE: ("#FFC20A", "#000000", "#FFC20A"),
    Verdict.ISCHEMIC: ("#56B4E9", "#000000", "#56B4E9"),
    Verdict.NONE_DETECTED: (_BACK, _TEXT, "#CFD8DC"),
    None: (_BACK, _TEXT, "#8A949E"),
}
"""Fill, ink and frame (SCREEN.md section 4, night)."""

_MARGIN = 24
_LINES = 5
_PICTURES = 5
_PICTURE = (WIDTH - 2 * _MARGIN - (_PICTURES - 1) * 8) // _PICTURES
_CENTRE_HU, _WIDTH_HU = 40.0, 80.0


def draw_page(report: ReportInput) -> NDArray[np.uint8]:
    """Return the page, (HEIGHT, WIDTH, 3) uint8 RGB: identity, headline, limits, key slices, model, disclaimer."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _BACK)
    draw = ImageDraw.Draw(image)
    _identity(draw, report)
    _panel(draw, report)
    _remarks(draw, report)
    _pictures(image, draw, report)
    _model(draw, report)
    return np.asarray(image)


def _identity(draw: ImageDraw.ImageDraw, report: ReportInput) -> None:
    source = report.used()[0]
    # The font has no ideographs: of the three component groups (PS3.5 Section 6.2) the alphabetic one is shown.
    name = str(source.get("PatientName", "")).split("=")[0].replace("^", " ").strip() or "(no name)"
    born, sex = str(source.get("PatientBirthDate", "") or ""), str(source.get("PatientSex", "") or "")
    who = "   ".join(part for part in (name, f"*{_date(born)}" if born else "", sex) if part)
    draw.text((_MARGIN, 14), _fitted(who, 30, bold=True), _TEXT, _font(30, bold=True))
    when = f"{_date(str(source.get('StudyDate', '') or ''))} {_time(str(source.get('StudyTime', '') or ''))}"
    ids = f"ID {source.get('PatientID', '')}   Acc {source.get('AccessionNumber', '') or '-'}   Study {when}"
    draw.text((_MARGIN, 52), _fitted(ids, 22), _SECOND, _font(22))


def _panel(draw: ImageDraw.ImageDraw, report: ReportInput) -> None:
    result = report.result
    fill, ink, frame = _PANELS[result.verdict]
    box = (_MARGIN, 92, WIDTH - _MARGIN, 276)
    draw.rectangle(box, fill=fill, outline=frame, width=6)
    _shape(draw, result.verdict, (130, 184), 58, ink, fill)
    draw.text((230, 114), headline(result), ink, _font(50, bold=True))
    if result.probabilities is not None:
        scores = f"score haemorrhage {percent(result.probabilities['hemorrhage'])}"
        if not any("not assessed" in remark for remark in result.quality):
            scores += f"   ischaemic signs {percent(result.probabilities['ischemic'])}"
            scores += " (UNVALIDATED)" if report.unvalidated_ischaemia else ""
        draw.text((230, 182), scores, ink, _font(28))
    # Beside the headline and at more than 45 % of its size (R03).
    draw.text((230, 222), _limit(report), ink, _font(28, bold=True))


def _remarks(draw: ImageDraw.ImageDraw, report: ReportInput) -> None:
    said = lines(report)[1 if _limit(report) else 0 :]
    if len(said) > _LINES:
        said = (*said[: _LINES - 2], f"... {len(said) - _LINES + 1} more in the structured report", said[-1])
    for row, line in enumerate(said):
        draw.text((_MARGIN, 288 + 25 * row), _fitted(line, 20), _TEXT, _font(20))


def _limit(report: ReportInput) -> str:
    return LIMITS.get(report.result.verdict, "")


def _shape(
    draw: ImageDraw.ImageDraw, verdict: Verdict | None, centre: tuple[int, int], size: int, ink: str, fill: str
) -> None:
    """Draw the sign of a state: each has its own outline, so that it survives greyscale (R32)."""
    x, y = centre
    if verdict is Verdict.HEMORRHAGE:
        draw.regular_polygon((x, y, size), 8, fill=ink)
        draw.rectangle((x - 7, y - 34, x + 7, y + 10), fill=fill)
        draw.rectangle((x - 7, y + 20, x + 7, y + 34), fill=fill)
    elif verdict is Verdict.ISCHEMIC:
        draw.polygon([(x, y - size), (x + size, y + size - 12), (x - size, y + size - 12)], fill=ink)
    elif verdict is Verdict.INDETERMINATE:
        draw.polygon([(x, y - size), (x + size, y), (x, y + size), (x - size, y)], fill=ink)
        draw.text((x, y), "?", fill, _font(64, bold=True), anchor="mm")
    elif verdict is Verdict.NONE_DETECTED:
        draw.ellipse((x - size, y - size, x + size, y + size), outline=ink, width=8)
    else:
        draw.rectangle((x - size, y - size, x + size, y + size), outline=ink, width=8)
        draw.line((x - size, y + size, x + size, y - size), fill=ink, width=8)


def _pictures(image: Image.Image, draw: ImageDraw.ImageDraw, report: ReportInput) -> None:
    order = {row.sop_uid: number for number, row in enumerate(report.result.slices, 1)}
    top = HEIGHT - 78 - _PICTURE - 28
    for column, uid in enumerate(report.result.key_slices[:_PICTURES]):
        left = _MARGIN + column * (_PICTURE + 8)
        box = (left, top, left + _PICTURE - 1, top + _PICTURE - 1)
        if uid in report.pictures:
            image.paste(_picture(report.pictures[uid]), (left, top))
        else:
            draw.rectangle(box, outline=_SECOND)
            draw.text((left + _PICTURE // 2, top + _PICTURE // 2), "no picture", _SECOND, _font(18), anchor="mm")
        draw.text((left + 6, top + _PICTURE // 2), "R", _TEXT, _font(20, bold=True), anchor="lm")
        draw.text((left + _PICTURE - 6, top + _PICTURE // 2), "L", _TEXT, _font(20, bold=True), anchor="rm")
        caption = f"slice {order.get(uid, 0)}/{len(order)}"
        draw.text((left, top + _PICTURE + 4), caption, _SECOND, _font(18))
    if report.result.key_slices:
        draw.text((WIDTH - _MARGIN, top - 22), "W 80 L 40, not a display for reading", _SECOND, _font(16), anchor="ra")


def _picture(slice_image: SliceImage) -> Image.Image:
    """Return a slice in the brain window, in true proportions, patient's right on the left (`SliceImage`'s frame)."""
    hu = slice_image.hu.astype(np.float32)
    grey = np.clip((hu - (_CENTRE_HU - _WIDTH_HU / 2)) / _WIDTH_HU, 0.0, 1.0) * 255.0
    row_mm, column_mm = slice_image.spacing_mm
    high, wide = hu.shape[0] * row_mm, hu.shape[1] * column_mm
    scale = _PICTURE / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    small = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    square = Image.new("L", (_PICTURE, _PICTURE))
    square.paste(small, ((_PICTURE - size[0]) // 2, (_PICTURE - size[1]) // 2))
    return square.convert("RGB")


def _model(draw: ImageDraw.ImageDraw, report: ReportInput) -> None:
    result = report.result
    made = f"{software()}   result {minute(utc_iso(report.created))}   {len(result.slices)} slices"
    if result.model is not None:
        made += f"   model {result.model.name} {result.model.version} #{result.model.sha256[:8]}   {result.backend}"
    synthetic = result.model is not None and result.model.synthetic
    draw.text((_MARGIN, HEIGHT - 74), _fitted(made, 16), _SECOND, _font(16))
    draw.text(
        (_MARGIN, HEIGHT - 40), _fitted(aid(report.said), 22, bold=True), _TEXT, _font(22, bold=True), anchor="lm"
    )
    if synthetic:
        draw.rectangle((0, HEIGHT - 24, WIDTH, HEIGHT), fill=_TEXT)
        draw.text((WIDTH // 2, HEIGHT - 12), SYNTHETIC, _BACK, _font(20, bold=True), anchor="mm")


def _font(size: int, *, bold: bool = False) -> Any:
    name = "RobotoCondensed-Bold.ttf" if bold else "RobotoCondensed-Regular.ttf"
    # The screen's fonts, taken as files: the screen itself (and Qt) is not loaded.
    content = (files("edge_app") / "ui" / "assets" / name).read_bytes()
    return ImageFont.truetype(BytesIO(content), size)


def _fitted(words: str, size: int, *, bold: bool = False) -> str:
    """Return the words, shortened with an ellipsis where they would run off the page."""
    font = _font(size, bold=bold)
    if font.getlength(words) <= WIDTH - 2 * _MARGIN:
        return words
    while font.getlength(words + "...") > WIDTH - 2 * _MARGIN:
        words = words[:-1]
    return words + "..."


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 else text


def _time(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}" if len(text) >= 4 else text
