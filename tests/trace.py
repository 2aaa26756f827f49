"""Which test proves which requirement: ``python -m tests.trace`` writes ``deploy/trace.md`` from the tests' marks.

Read from the source, so that nothing has to be collected or installed; a test compares the file with what is marked.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

__all__ = ["FILE", "main", "marked", "table"]

TESTS = Path(__file__).parent
FILE = TESTS.parent / "deploy" / "trace.md"
ALL = tuple(f"R{number:02}" for number in range(1, 91))
"""The numbered requirements of the triage screen and everything around it."""

NOT_BY_TEST = {
    "R05": "inspection: no string names a drug, dose, BP target or hospital",
    "R24": "needs a test set of real patients; the evaluation report computes it",
    "R30": "usability test, deploy/usability-protocol.md",
    "R38": "needs lesion masks of real patients",
    "R54": "measured on the target panel, deploy/usability-protocol.md; tests/benchmarks/test_screen.py meanwhile",
    "R65": "usability test, deploy/usability-protocol.md",
    "R70": "inspection of the panel",
    "R88": "needs an external set",
}
"""What no automated test can prove here, and why."""


def marked(folder: Path = TESTS) -> dict[str, list[str]]:
    """Return the tests by the requirement that they are marked with, in order of file and line."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(folder.parent).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "pytestmark" for t in node.targets):
                for requirement in _requirements([node.value]):
                    found[requirement].append(f"{name} (all of it)")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for requirement in _requirements(node.decorator_list):
                    found[requirement].append(f"{name}: {node.name.removeprefix('test_').replace('_', ' ')}")
    return dict(found)


def table(tests: dict[str, list[str]]) -> str:
    """Return the page, Markdown."""
    lines = [
        "# Requirements and the tests that prove them",
        "",
        "Written by `python -m tests.trace` from the marks in the tests; do not edit. Numbers are those of the",
        "screen's requirements (R01 to R90). One without a test is proved elsewhere, or not yet; the table says so.",
        "",
        "| requirement | tests |",
        "|---|---|",
    ]
    for requirement in sorted({*ALL, *tests}):
        proofs = tests.get(requirement, [])
        said = "<br>".join(f"`{proof}`" for proof in proofs) or NOT_BY_TEST.get(requirement, "**none marked**")
        lines.append(f"| {requirement} | {said} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page."""
    FILE.write_text(table(marked()), encoding="utf-8")
    sys.stdout.write(f"{FILE}: {len(marked())} requirements have tests\n")
    return 0


def _requirements(marks: list[ast.expr]) -> list[str]:
    found = []
    for mark in marks:
        for node in ast.walk(mark):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement"):
                found += [str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)]
    return found


if __name__ == "__main__":
    sys.exit(main())
