"""Every way to spoil a head series is refused, or doubted, with the right reason first; the whole count is a benchmark.

`python -m tests.benchmarks.gate_figures` does the same with hundreds of heads of every scanner.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset

from edge_app.core.types import SliceMeasures
from edge_app.series import decode_slice, measure_slice, read_header
from edge_app.series.quality import ARTEFACTS
from tests.benchmarks.gate_figures import judge
from tests.benchmarks.gate_report import summarise, write_report
from tests.degraded import clean_head
from tests.spoiled import CASES, Case

Head = tuple[list[FileDataset], dict[str, SliceMeasures]]


@pytest.fixture(scope="module")
def good() -> Head:
    _, objects = clean_head(61, "hemorrhage", "basic2")
    return objects, {ds.SOPInstanceUID: measure_slice(decode_slice(ds, read_header(ds))) for ds in objects}


def test_the_head_is_good_before_it_is_spoiled(good: Head) -> None:
    objects, known = good
    assert judge(objects, known)[0] == []


@pytest.mark.requirement("R13")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_spoiled_head_is_stopped_with_the_right_reason_first(good: Head, case: Case) -> None:
    objects, known = good
    before = [ds.PixelData for ds in objects]
    codes, _ = judge(case.change(objects, np.random.default_rng(3)), None if case.pixels else known)
    assert codes and codes[0] in case.codes
    assert [ds.PixelData for ds in objects] == before


def test_the_report_counts_what_was_refused_rightly_and_wrongly(tmp_path: Path) -> None:
    def row(kind: str, case: str, right: list[str], codes: list[str], **more: object) -> dict[str, object]:
        return {"kind": kind, "case": case, "right": right, "codes": codes, "scanner": "s", "scores": {}, **more}

    rows = [row("good", "good head", [], [], scores={"motion": 1.0})] * 99 + [row("good", "good head", [], ["Q-16"])]
    rows += [row("spoiled", "motion 6 mm", ["Q-16"], ["Q-16"], group="artefact", scores={"motion": 4.0})] * 99
    rows += [row("real head", "planning", [], []), row("foreign", "chest 1", ["Q-01"], ["Q-02"])]
    copies = [{"copy": "prone", "delta": 0.002, "verdicts": ["hemorrhage"] * 2}]
    figures = summarise(rows, copies, ARTEFACTS)
    assert figures["passed"]
    assert (figures["good"]["refused"], figures["other"]["right_code"], figures["other"]["n"]) == (1, 99, 100)
    assert figures["artefacts"]["motion"]["levels"]["motion 6 mm"]["auroc"] == 1.0
    assert not summarise([*rows, rows[-1]], copies, ARTEFACTS)["passed"]
    assert not summarise(rows, [{**copies[0], "delta": 0.02}], ARTEFACTS)["passed"]
    write_report(tmp_path, figures)
    assert json.loads((tmp_path / "figures.json").read_text())["copies"]["prone"]["within"] == 1
    assert "99 of 100" in (tmp_path / "figures.md").read_text()
    assert "<svg" in (tmp_path / "figures.html").read_text()
