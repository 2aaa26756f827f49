"""Cells, tables and pictures of an HTML report."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["Html", "head", "matrix", "number", "picture", "rate", "table"]


def matrix(corner: str, names: Sequence[str], heads: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return counts of what was true (a row each) and what was said, shaded by their share of the row."""
    cells = []
    for name, row in zip(names, counts, strict=True):
        total = max(1, sum(row))
        shaded = "".join(
            f'<td style="background:rgba(31,95,158,{0.55 * value / total:.2f})">{value}</td>' for value in row
        )
        cells.append(f"<tr><td>{name}</td>{shaded}</tr>")
    return f"<table>{head((corner, *heads))}{''.join(cells)}</table>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; text is escaped, `Html` is not."""
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{head(heads)}{body}</table>"


def head(heads: Sequence[str]) -> str:
    """Return a table's first row."""
    return "<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"


class Html(str):
    """Text that is HTML already."""


def _cell(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def rate(measured: Mapping[str, Any]) -> Html:
    """Return a rate with its interval and n."""
    if measured["value"] is None:
        return Html("–")
    interval = measured["ci95"]
    of = f", n {measured['n']}" if "n" in measured else ""
    shown = f" <span class=ci>({interval[0]:.3f}–{interval[1]:.3f}{of})</span>" if interval else ""
    return Html(f"{measured['value']:.3f}{shown}")


def number(value: float | None) -> str:
    """Return a number, or a dash where there is none."""
    return "–" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.3f}"


def picture(content: bytes, kind: str, words: str) -> str:
    """Return a picture that is part of the page."""
    return f'<img alt="{escape(words)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'
