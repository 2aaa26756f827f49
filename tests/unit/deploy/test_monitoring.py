"""The dashboard asks only for figures that exist, and the trace table says what the tests' marks say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.watch.metrics import LedgerCollector
from tests import trace

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_every_figure_of_the_dashboard_is_one_that_the_watch_has(tmp_path: Path) -> None:
    board = json.loads((DEPLOY / "monitoring" / "grafana-dashboard.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"msu_[a-z_]+", target["expr"])
    }
    with Ledger(StorePaths(tmp_path), "watch") as ledger:
        known = {
            family.name + ("_total" if family.type == "counter" else "") for family in LedgerCollector(ledger).collect()
        }
    assert asked and asked <= known


def test_the_trace_table_is_that_of_the_marks() -> None:
    assert trace.FILE.read_text(encoding="utf-8") == trace.table(trace.marked()), "python -m tests.trace"
