"""Rows of the gate's figures → one summary, as JSON, Markdown and a page with pictures."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.series.quality import quality_limits

__all__ = ["summarise", "write_report"]

MAX_REFUSED_GOOD = 0.01
MIN_REFUSED_OTHER = 0.99
MAX_DELTA = 0.01

Row = dict[str, Any]


def summarise(rows: Sequence[Row], copies: Sequence[Row], artefacts: Sequence[str]) -> Row:
    """Return every figure that is reported; `passed` is issue 5's sentence on the gate."""
    good = [row for row in rows if row["kind"] == "good"]
    other = [row for row in rows if row["kind"] in ("spoiled", "foreign", "real")]
    refused_good = [row for row in good if row["codes"]]
    stopped = [row for row in other if row["codes"]]
    right = [row for row in other if _is_right(row)]
    moved = [row for row in copies if row["delta"] is None or row["delta"] > MAX_DELTA]
    figures: Row = {
        "good": {"n": len(good), "refused": len(refused_good), "which": [_name(row) for row in refused_good]},
        "other": {
            "n": len(other),
            "stopped": len(stopped),
            "right_code": len(right),
            "wrong": [_name(row) | {"right": row["right"]} for row in other if not _is_right(row)],
        },
        "real_heads": [{"case": row["case"], "codes": row["codes"]} for row in rows if row["kind"] == "real head"],
        "by_scanner": _table(good, lambda row: row["scanner"], lambda row: not row["codes"]),
        "by_case": _table(other, _family, _is_right),
        "artefacts": {kind: _artefact(rows, kind) for kind in artefacts},
        "copies": _copies(copies),
    }
    figures["passed"] = (
        len(refused_good) <= MAX_REFUSED_GOOD * len(good)
        and len(right) >= MIN_REFUSED_OTHER * len(other)
        and not any(head["codes"] for head in figures["real_heads"])
        and not moved
    )
    return figures


def _is_right(row: Row) -> bool:
    return bool(row["codes"]) and row["codes"][0] in row["right"]


def _name(row: Row) -> Row:
    return {key: row[key] for key in ("head", "scanner", "case", "codes") if key in row}


def _family(row: Row) -> str:
    if row["kind"] == "real":
        return "real series"
    return f"{row['case'].rsplit(' ', 1)[0]} (drawn)" if row["kind"] == "foreign" else str(row["case"])


def _table(rows: Iterable[Row], key: Callable[[Row], str], hit: Callable[[Row], bool]) -> dict[str, list[int]]:
    """Return [hits, all] by key."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        found[key(row)][0] += hit(row)
        found[key(row)][1] += 1
    return dict(sorted(found.items()))


def _artefact(rows: Sequence[Row], kind: str) -> Row:
    good = np.array([row["scores"].get(kind, 0.0) for row in rows if row["kind"] == "good"])
    levels = {}
    for case in sorted(
        {row["case"] for row in rows if row.get("group") == "artefact" and row["case"].startswith(kind)}
    ):
        bad = np.array([row["scores"].get(kind, 0.0) for row in rows if row["case"] == case])
        auroc = float((bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()) if len(good) else 0.0
        levels[case] = {
            "n": len(bad),
            "auroc": round(auroc, 4),
            "above_limit": int((bad > quality_limits()[kind]).sum()),
            "scores": [round(float(v), 2) for v in sorted(bad)],
        }
    return {"limit": quality_limits()[kind], "good": [round(float(v), 2) for v in sorted(good)], "levels": levels}


def _copies(rows: Sequence[Row]) -> dict[str, Row]:
    found = {}
    for copy in dict.fromkeys(row["copy"] for row in rows):
        own = [row for row in rows if row["copy"] == copy]
        deltas = [row["delta"] for row in own if row["delta"] is not None]
        found[copy] = {
            "n": len(own),
            "largest": round(max(deltas), 5) if deltas else None,
            "within": sum(delta <= MAX_DELTA for delta in deltas),
            "other_verdict": sum(row["verdicts"][0] != row["verdicts"][1] for row in own),
        }
    return found


def write_report(out: Path, figures: Row) -> None:
    """Write ``figures.json``, ``figures.md`` and ``figures.html``."""
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sections = _sections(figures)
    text = "\n\n".join(f"**{title}**\n\n{_markdown(table)}" for title, table in sections)
    (out / "figures.md").write_text(text + "\n", encoding="utf-8")
    tables = "".join(f"<h2>{html.escape(title)}</h2>{_html(table)}" for title, table in sections)
    pictures = "".join(_picture(kind, found) for kind, found in figures["artefacts"].items())
    style = "body{font:14px sans-serif;margin:2em}td,th{padding:2px 12px;border-bottom:1px solid #ccc;text-align:left}"
    page = f"<!doctype html><meta charset=utf-8><title>Input gate</title><style>{style}</style><h1>Input gate</h1>"
    (out / "figures.html").write_text(f"{page}{tables}<h2>Artefact scores</h2>{pictures}\n", encoding="utf-8")


_Table = list[tuple[str, ...]]


def _sections(figures: Row) -> list[tuple[str, _Table]]:
    good, other = figures["good"], figures["other"]
    whole = [
        ("figure", "asked for", "measured"),
        ("good synthetic heads refused", "at most 1 %", f"{good['refused']} of {good['n']}"),
        ("others refused or INDETERMINATE", "", f"{other['stopped']} of {other['n']}"),
        ("... with the right code first", "at least 99 %", f"{other['right_code']} of {other['n']}"),
    ]
    whole += [(f"real head {h['case']}", "judged", ", ".join(h["codes"]) or "judged") for h in figures["real_heads"]]
    cases = [("spoiled or foreign", "right code"), *((k, f"{a} of {n}") for k, (a, n) in figures["by_case"].items())]
    scanners = [("good heads of", "judged"), *((k, f"{a} of {n}") for k, (a, n) in figures["by_scanner"].items())]
    artefacts: _Table = [("artefact", "AUROC against good heads", "above the limit")]
    for found in figures["artefacts"].values():
        artefacts += [
            (case, f"{level['auroc']:.3f}", f"{level['above_limit']} of {level['n']}")
            for case, level in found["levels"].items()
        ]
    copies = [("copy of a study", "largest change of a probability", "within 0.01", "other verdict")]
    copies += [
        (
            name,
            "-" if c["largest"] is None else f"{c['largest']:.4f}",
            f"{c['within']} of {c['n']}",
            str(c["other_verdict"]),
        )
        for name, c in figures["copies"].items()
    ]
    return [("Whole", whole), ("Copies", copies), ("Cases", cases), ("Artefacts", artefacts), ("Scanners", scanners)]


def _markdown(table: _Table) -> str:
    rows = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([rows[0], "|" + "---|" * len(table[0]), *rows[1:]])


def _html(table: _Table) -> str:
    head, *rest = ["".join(f"<td>{html.escape(cell)}</td>" for cell in cells) for cells in table]
    return f"<table><tr>{head.replace('td>', 'th>')}</tr>{''.join(f'<tr>{cells}</tr>' for cells in rest)}</table>"


def _picture(kind: str, found: Row) -> str:
    """Draw the scores of good and spoiled heads as dots on lines, and the limit between them."""
    lines = {"good": found["good"], **{case: level["scores"] for case, level in found["levels"].items()}}
    top = max([found["limit"] * 1.3, *(max(values, default=0.0) for values in lines.values())])
    marks, limit_x = [], 140 + 560 * found["limit"] / top
    for row, (name, values) in enumerate(lines.items()):
        y = 20 + 24 * row
        marks.append(f'<text x="0" y="{y + 4}">{html.escape(name)}</text>')
        marks += [f'<circle cx="{140 + 560 * v / top:.1f}" cy="{y}" r="4" opacity="0.35"/>' for v in values]
    height = 24 * len(lines) + 20
    marks.append(f'<line x1="{limit_x:.1f}" x2="{limit_x:.1f}" y1="4" y2="{height - 12}" stroke="red"/>')
    marks.append(f'<text x="{limit_x + 4:.1f}" y="{height - 4}" fill="red">limit {found["limit"]:g}</text>')
    return f'<h3>{kind}</h3><svg width="760" height="{height}" font-size="12">{"".join(marks)}</svg>'
