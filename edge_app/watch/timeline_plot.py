"""The cases' times as one picture (SVG): a row a case, a bar from the first slice to the last thing that happened."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_app.watch.timeline import CaseTimes

__all__ = ["timeline_svg"]

ROW, LEFT, WIDTH, TOP = 22, 190, 900, 60
SHOWN = 60
"""Newest cases in the picture; the CSV has them all."""

PARTS = (
    ("first_to_last_slice_s", "images arriving", "#56B4E9"),
    ("last_slice_to_result_s", "last image to result", "#0072B2"),
    ("result_to_seen_s", "result to seen", "#E69F00"),
    ("result_to_delivered_s", "result to delivered", "#999999"),
)
"""Okabe and Ito's colours, which colour-blind people tell apart."""


def timeline_svg(cases: Sequence[CaseTimes]) -> str:
    """Return the picture; times longer than the axis are cut and marked."""
    shown = list(cases)[-SHOWN:]
    longest = max([60.0, *(min(_total(case), 900.0) for case in shown)])
    scale = (WIDTH - LEFT - 80) / longest
    height = TOP + ROW * max(len(shown), 1) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="8" y="20" font-size="15">Times of the cases, seconds from the first image</text>',
    ]
    x = 8
    for _, words, colour in PARTS:
        parts.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="41">{words}</text>')
        x += 40 + 7 * len(words)
    if not shown:
        parts.append(f'<text x="8" y="{TOP + 16}">no cases yet</text>')
    for number, case in enumerate(shown):
        parts += _row(case, TOP + ROW * number, scale)
    axis = TOP + ROW * len(shown) + 16
    for tick in range(0, int(longest) + 1, _step(longest)):
        at = LEFT + tick * scale
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{axis - 12}" stroke="#dddddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{axis}" text-anchor="middle">{tick}</text>')
    return "\n".join([*parts, "</svg>"])


def _row(case: CaseTimes, y: int, scale: float) -> list[str]:
    label = escape(f"{case.first_slice_utc[5:16].replace('T', ' ')}  {case.case}  {case.verdict or case.status}")
    drawn = [f'<text x="8" y="{y + 14}" font-size="10">{label}</text>']
    x, limit = float(LEFT), float(WIDTH - 60)
    for name, _, colour in PARTS:
        seconds = getattr(case, name)
        if seconds is None or seconds <= 0:
            continue
        start = x
        if name == "result_to_delivered_s" and case.result_to_seen_s:
            start = x - max(case.result_to_seen_s, 0.0) * scale
        width = min(seconds * scale, max(limit - start, 0.0))
        thin = name == "result_to_delivered_s"
        drawn.append(
            f'<rect x="{start:.1f}" y="{y + (15 if thin else 4)}" width="{width:.1f}" height="{3 if thin else 10}" '
            f'fill="{colour}"><title>{name[:-2]} {seconds:.1f} s</title></rect>'
        )
        x = max(x, start + width) if not thin else x
    drawn.append(f'<text x="{min(x + 4, limit):.1f}" y="{y + 13}" font-size="10">{_total(case):.0f} s</text>')
    return drawn


def _total(case: CaseTimes) -> float:
    """Return the seconds from the first image to the result, or to the last image where there is none."""
    return max(case.first_to_last_slice_s or 0.0, 0.0) + max(case.last_slice_to_result_s or 0.0, 0.0)


def _step(longest: float) -> int:
    return next(step for step in (5, 10, 30, 60, 120, 300, 600) if longest / step <= 12 or step == 600)
