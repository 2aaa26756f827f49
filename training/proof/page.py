"""The proof as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from training.data.atomic import replacing

__all__ = ["write_page"]

_STYLE = """
body { font: 16px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1b1b1b; }
.note { background: #fff3cd; border-left: 6px solid #c58f00; padding: .6em 1em; }
article { border: 1px solid #d0d0d0; border-left: 8px solid; border-radius: 4px; padding: .2em 1em 1em; margin: 1em 0; }
article.ok { border-left-color: #1a7f37; } article.failed { border-left-color: #b3261e; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #e3e3e3; padding: .25em .5em;
vertical-align: top; } td:first-child { width: 15em; color: #555; }
"""


def write_page(path: Path, content: dict[str, Any], *, title: str = "Proof of the training code") -> None:
    """Write the page of what stands in ``proof.json``."""
    claims = content["claims"]
    held = sum(claim["ok"] for claim in claims)
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
        f"<p class='note'>{escape(content['note'])}</p>",
        f"<p>{held} of {len(claims)} claims hold.</p>",
        *(_claim(claim) for claim in claims),
        "<h2>How it was measured</h2><table>",
        *(_row(name, content[name]) for name in ("sizes", "seconds", "machine")),
        "</table></body></html>",
    ]
    with replacing(path) as file:
        file.write("\n".join(parts).encode())


def _claim(claim: dict[str, Any]) -> str:
    rows = "".join(_row(name, value) for name, value in claim["measured"].items())
    state, word = ("ok", "holds") if claim["ok"] else ("failed", "does not hold")
    return (
        f"<article class='{state}'><h2>{escape(claim['claim'])}</h2><p><b>It {word}.</b> Goal: {escape(claim['goal'])}."
        f"</p><table>{rows}</table></article>"
    )


def _row(name: str, value: object) -> str:
    if name == "report":
        return f"<tr><td>report</td><td><a href='{escape(str(value))}'>{escape(str(value))}</a></td></tr>"
    if isinstance(value, dict):
        value = ", ".join(f"{key}: {part}" for key, part in value.items())
    return f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
