"""Whoever reads a number or a code finds it in the runbook."""

from __future__ import annotations

import re
from pathlib import Path

from edge_app.core import errors
from edge_app.core.errors import MsuError
from edge_app.core.findings import UNFIT
from edge_app.core.reasons import TEXTS

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
_EVENT = re.compile(r"(?:\.event|refusals\.note)\(\s*([0-9]{3})\b")


def _listed_events() -> set[int]:
    listed: set[int] = set()
    for row in re.findall(r"^\| ([0-9][0-9, to]*) \|", RUNBOOK, re.MULTILINE):
        numbers = [int(number) for number in re.findall(r"[0-9]{3}", row)]
        listed |= set(range(numbers[0], numbers[1] + 1)) if " to " in row else set(numbers)
    return listed


def test_every_event_is_listed() -> None:
    used = {
        int(number)
        for path in (ROOT / "edge_app").rglob("*.py")
        for number in _EVENT.findall(path.read_text(encoding="utf-8"))
    }
    assert len(used) > 30
    assert used - _listed_events() == set(), "add them to deploy/runbook.md"


def test_every_code_is_listed_once() -> None:
    codes = {thing.code for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, MsuError)}
    listed = re.findall(r"^\| ([EFQ]-[0-9]+) \|", RUNBOOK, re.MULTILINE)
    assert codes | TEXTS.keys() | UNFIT.keys() <= set(listed), "add them to deploy/runbook.md"
    assert len(listed) == len(set(listed))
