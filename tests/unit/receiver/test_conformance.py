"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

from edge_app.receiver.conformance import statement
from edge_app.receiver.contexts import IMAGE_SYNTAXES, LOSSY_SYNTAXES, supported_contexts
from edge_app.series.syntaxes import LOSSY_SYNTAXES as REFUSED_BY_THE_GATE

COMMITTED = Path(__file__).parents[3] / "deploy" / "dicom-conformance-statement.md"


def test_the_committed_statement_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == statement(), "python -m edge_app.receiver.conformance > (that file)"


def test_every_sop_class_and_transfer_syntax_is_named() -> None:
    text = statement()
    for context in supported_contexts():
        assert f"`{context.abstract_syntax}`" in text
    for uid in IMAGE_SYNTAXES:
        assert f"`{uid}`" in text


def test_what_is_said_to_be_shown_only_is_what_the_gate_refuses() -> None:
    assert {str(uid) for uid in LOSSY_SYNTAXES} == {str(uid) for uid in IMAGE_SYNTAXES} & REFUSED_BY_THE_GATE
