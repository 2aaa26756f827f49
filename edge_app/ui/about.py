"""The About panel: the model card as it is, and what the model is known to get wrong (R27). No Qt."""

from __future__ import annotations

import re

from edge_app.core.types import StudyResult
from edge_app.ui.model_facts import ModelFacts
from edge_app.ui.screen_model import LineKind, SheetLine
from edge_app.ui.strings import text

__all__ = ["about_lines"]

_RULE = re.compile(r"^\|[\s|:-]+\|$")
"""The line under a table's head."""


def about_lines(
    facts: ModelFacts | None, result: StudyResult | None, evidence: str, language: str
) -> tuple[SheetLine, ...]:
    """Return the panel's lines. The card is in the language it was written in: nobody translates numbers by hand."""
    lines = []
    model = result.model if result else None
    if model is not None:
        lines.append(SheetLine(LineKind.HEADING, f"{model.name} {model.version}  #{model.sha256[:16]}"))
    if evidence:
        lines.append(SheetLine(LineKind.BODY, evidence))
    lines += [SheetLine(LineKind.BODY, text(f"about.{key}", language)) for key in ("false_alarms", "misses")]
    if facts is None:
        return (*lines, SheetLine(LineKind.BODY, text("about.no_card", language)))
    return (*lines, *_card_lines(facts.card))


def _card_lines(card: str) -> tuple[SheetLine, ...]:
    """Return a Markdown card as plain lines; not a word is left out."""
    lines: list[SheetLine] = []
    paragraph: list[str] = []

    def flush() -> None:
        if paragraph:
            lines.append(SheetLine(LineKind.BODY, " ".join(paragraph)))
            paragraph.clear()

    for raw in card.splitlines():
        line = raw.strip()
        starts_item = line.startswith(("#", "|", "- "))
        if not line or starts_item:
            flush()
        if not line or _RULE.match(line):
            continue
        if line.startswith("#"):
            lines.append(SheetLine(LineKind.HEADING, _plain(line.lstrip("# "))))
        elif line.startswith("|"):
            cells = [_plain(cell.strip()) for cell in line.strip("|").split("|")]
            lines.append(SheetLine(LineKind.BODY, "   ".join(cell for cell in cells if cell)))
        else:
            paragraph.append(_plain(line))
    flush()
    return tuple(lines)


def _plain(words: str) -> str:
    return words.replace("**", "").replace("`", "")
