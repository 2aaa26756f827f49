"""Freeze the limits of image quality from good synthetic heads; `gate_figures` says how well they find what is spoiled.

    python -m tests.benchmarks.freeze_quality [--studies 240] [--planning FOLDER] [--out edge_app/series/quality.json]

Each limit is the 99th percentile of the scores of good heads, plus a margin: four limits at the bare percentile would
together call 4 % of good heads bad. Where given, a real head that was judged good by eye raises a limit it exceeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edge_app.core.errors import InputError, PixelError
from edge_app.core.types import SliceHeader, SliceMeasures
from edge_app.series import decode_slice, load_instance, make_candidates, measure_slice
from edge_app.series.quality import ARTEFACTS, artefact_scores
from edge_app.simulator import LABELS, PERSONALITIES
from tests.degraded import clean_head, measured

FIRST_SEED = 41_000_000
MARGIN = 1.25
FLOORS = {"motion": 0.0, "metal": 4.0, "truncation": 20.0, "noise": 0.0}
"""Where good heads score nothing at all: a clip of 2 mm, and a nose or an ear that lies outside."""


def scores_of(headers: list[SliceHeader], measures: dict[str, SliceMeasures]) -> dict[str, float]:
    """Return the scores of a study's only series."""
    (candidate,) = make_candidates(headers, measures)
    assert candidate.stack is not None
    return artefact_scores(candidate.stack, candidate.measures)


def read_folder(folder: Path) -> tuple[list[SliceHeader], dict[str, SliceMeasures]]:
    """Read a real series as the worker does."""
    headers, measures = [], {}
    for path in sorted(folder.iterdir()):
        try:
            header, ds = load_instance(path)
            headers.append(header)
            measures[header.sop_uid] = measure_slice(decode_slice(ds, header))
        except (InputError, PixelError):
            continue
    return headers, measures


def main() -> None:
    """Measure, freeze, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=240)
    parser.add_argument("--planning", type=Path)
    parser.add_argument("--out", type=Path, default=Path("edge_app/series/quality.json"))
    arguments = parser.parse_args()
    names = sorted(PERSONALITIES)
    good: dict[str, list[float]] = {kind: [] for kind in ARTEFACTS}
    for number in range(arguments.studies):
        _, datasets = clean_head(FIRST_SEED + number, LABELS[number % 3], names[number % len(names)])
        scores = scores_of(*measured(datasets))
        for kind in ARTEFACTS:
            good[kind].append(scores[kind])
    limits = {k: max(MARGIN * float(np.percentile(good[k], 99)), FLOORS[k]) for k in ARTEFACTS}
    real = {}
    if arguments.planning:
        real = scores_of(*read_folder(arguments.planning))
        limits = {kind: max(limits[kind], 1.05 * real[kind]) for kind in ARTEFACTS}
    report = {
        "made_by": "tests/benchmarks/freeze_quality.py",
        "rule": f"{MARGIN} x 99th percentile of good heads, or the floor, or 1.05 x the real head where that is more",
        "good_heads": arguments.studies,
        "first_seed": FIRST_SEED,
        "scanners": names,
        "units": {"motion": "mm", "metal": "mm2", "truncation": "mm", "noise": "HU"},
        "limits": {kind: round(limits[kind], 3) for kind in ARTEFACTS},
        "floors": FLOORS,
        "good_percentiles_50_99_100": {
            kind: [round(float(np.percentile(good[kind], p)), 3) for p in (50, 99, 100)] for kind in ARTEFACTS
        },
        "real_head": {kind: round(value, 3) for kind, value in real.items()},
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["limits"]))  # noqa: T201 - a script's report


if __name__ == "__main__":
    main()
