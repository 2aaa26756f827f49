"""How often the input gate refuses good heads, and how often it lets anything else through.

    python -m tests.benchmarks.gate_figures --out FOLDER [--heads 204] [--copies 12] [--data ../shared/data]

Good synthetic heads of every scanner, the same heads spoiled in every way of `tests.spoiled`, drawn bodies that are no
heads, and the real series where the data folder is there. Rows are appended as they come, so that a run that was cut
off goes on where it stopped, but only by the same code and bundle: ``rows-CODE.jsonl`` and ``copies-CODE.jsonl``.
``figures.json``, ``figures.md`` and ``figures.html`` come of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import FileDataset

import edge_app
from edge_app.core.errors import InputError, PixelError
from edge_app.core.reasons import reason
from edge_app.core.types import SliceHeader, SliceMeasures
from edge_app.series import (
    CT_IMAGE_STORAGE,
    check,
    check_quality,
    decode_slice,
    load_instance,
    make_candidates,
    measure_slice,
    read_header,
    select_series,
)
from edge_app.series.quality import ARTEFACTS, artefact_scores
from edge_app.series.scanners import is_validated
from edge_app.simulator import LABELS, PERSONALITIES
from edge_app.worker.outcome import merge_reasons
from tests.benchmarks.gate_copies import compare_copies
from tests.benchmarks.gate_report import summarise, write_report
from tests.degraded import BODIES, body_slice, clean_head, set_hu
from tests.spoiled import CASES, Case, with_heights

FIRST_SEED = 42_000_000
"""Heads that neither the networks nor the quality limits were made with."""

SPOILED_PER_HEAD = 2
BODIES_OF_EACH = 3

VALIDATED = tuple(f"{p.manufacturer} | {p.model} | *" for p in PERSONALITIES.values())

REAL: dict[str, str] = {
    "head_neck_planning": "",
    "skull_phantom_5mm": "Q-01",
    "skull_phantom_tilted": "Q-01",
    "skull_phantom_other_series/S1000": "Q-14",
    "skull_phantom_other_series/S4010": "Q-14",
    "enhanced_ct": "Q-14",
    "chest_contrast": "Q-01",
    "transfer_syntaxes": "Q-06 Q-10 Q-01 Q-11",
    "geometry_faults/gantrytilting/001": "Q-10",
    "geometry_faults/notavolume/001": "Q-11",
    "geometry_faults/slicecount/001": "Q-14 Q-10",
    "geometry_faults/sliceincrement/001": "Q-02",
    "geometry_faults/sliceincrement/002": "Q-02",
    "geometry_faults/sliceorientation/001": "Q-14 Q-08",
}
"""Real series (shared/data/CATALOGUE.md) and the codes that are right; none for the one head."""


def judge(
    objects: Sequence[FileDataset], known: Mapping[str, SliceMeasures] | None = None, *, validated: bool = True
) -> tuple[list[str], dict[str, float]]:
    """Return the codes of gate and quality checks for a study, and its scores; none: the networks may judge it.

    `known` measures spare decoding; `validated` asks for the scanner too, as with ``unvalidated_scanner = "withhold"``.
    """
    headers: dict[str, SliceHeader] = {}
    pixels: dict[str, bytes] = {}
    measures: dict[str, SliceMeasures] = {}
    conflicts: set[str] = set()
    for ds in objects:
        header = read_header(ds)
        if header.sop_uid in headers:
            conflicts |= {header.sop_uid} if pixels[header.sop_uid] != ds.PixelData else set()
            continue
        headers[header.sop_uid], pixels[header.sop_uid] = header, ds.PixelData
        if known and header.sop_uid in known:
            measures[header.sop_uid] = known[header.sop_uid]
        elif header.sop_class_uid == CT_IMAGE_STORAGE:
            try:
                measures[header.sop_uid] = measure_slice(decode_slice(ds, header))
            except PixelError:
                continue
    return _codes(list(headers.values()), measures, conflicts, validated=validated)


def _codes(
    headers: Sequence[SliceHeader],
    measures: Mapping[str, SliceMeasures],
    conflicts: Collection[str] = (),
    *,
    validated: bool = False,
) -> tuple[list[str], dict[str, float]]:
    candidates = make_candidates(headers, measures)
    selection = select_series(candidates)
    largest = max(candidates, key=lambda c: (c.stack is not None, len(c.measures), len(c.headers)), default=None)
    shown = selection.chosen or largest
    if shown is None or shown.stack is None:
        return [r.code for r in merge_reasons(selection, ())], {}
    reasons = merge_reasons(selection, check(shown.stack, shown.measures, conflicts=conflicts, study=headers))
    if validated and not is_validated(shown.headers[0], VALIDATED):
        reasons = (*reasons, reason("Q-21"))
    doubt = check_quality(shown.stack, shown.measures)
    if not reasons and doubt:
        reasons = (doubt,)
    scores = {kind: round(value, 3) for kind, value in artefact_scores(shown.stack, shown.measures).items()}
    return [r.code for r in reasons], scores


def head_rows(number: int) -> Iterator[dict[str, Any]]:
    """Return the rows of one good head and of what is made of it."""
    scanner = sorted(PERSONALITIES)[number % len(PERSONALITIES)]
    label = LABELS[(number // len(PERSONALITIES)) % len(LABELS)]
    _, objects = clean_head(FIRST_SEED + number, label, scanner)
    known = {ds.SOPInstanceUID: measure_slice(decode_slice(ds, read_header(ds))) for ds in objects}
    about = {"head": number, "scanner": scanner, "label": label}
    codes, scores = judge(objects, known)
    yield {**about, "kind": "good", "case": "good head", "right": [], "codes": codes, "scores": scores}
    for case in _cases_for(number):
        spoiled = case.change(objects, np.random.default_rng([number, CASES.index(case)]))
        codes, scores = judge(spoiled, None if case.pixels else known)
        yield {
            **about,
            "kind": "spoiled",
            "group": case.group,
            "case": case.name,
            "right": sorted(case.codes),
            "codes": codes,
            "scores": scores if case.group == "artefact" else {},
        }


def _cases_for(number: int) -> list[Case]:
    """Return which cases a head is spoiled by: all come equally often, and with every scanner sooner or later."""
    first = number * SPOILED_PER_HEAD
    rounds = range(first // len(CASES), (first + SPOILED_PER_HEAD - 1) // len(CASES) + 1)
    order = [int(i) for r in rounds for i in np.random.default_rng(r).permutation(len(CASES))]
    start = first - rounds.start * len(CASES)
    return [CASES[i] for i in order[start : start + SPOILED_PER_HEAD]]


def body_rows() -> Iterator[dict[str, Any]]:
    """Return the rows of drawn bodies that are no heads."""
    _, template = clean_head(FIRST_SEED, "negative", "fixed64")
    for what in BODIES:
        for number in range(BODIES_OF_EACH):
            rng = np.random.default_rng([number, BODIES.index(what)])
            objects = with_heights(template, [5.0 * i for i in range(len(template))])
            for i, ds in enumerate(objects):
                spacing = 0.45 + 0.1 * number
                ds.PixelSpacing = [spacing, spacing]
                set_hu(ds, body_slice(what, 512, spacing, i / len(objects), rng))
            codes, _ = judge(objects)
            right = ["Q-01", "Q-13"]
            yield {"kind": "foreign", "case": f"{what} {number + 1}", "right": right, "codes": codes, "scores": {}}


def real_rows(data: Path) -> Iterator[dict[str, Any]]:
    """Return the rows of the real series, and of the real head spoiled."""
    for name, right in REAL.items():
        codes, scores = read_folder(data / name)
        kind = "real" if right else "real head"
        yield {"kind": kind, "case": name, "right": right.split(), "codes": codes, "scores": scores}
    paths = sorted((data / "head_neck_planning").iterdir())
    for name, kept, right in (
        ("planning head without slice 6", paths[:5] + paths[6:], "Q-02"),
        ("planning head without slice 41", paths[:40] + paths[41:], "Q-02"),
        ("planning head, neck only", paths[45:], "Q-01"),
    ):
        codes, scores = read_files(kept)
        yield {"kind": "real", "case": name, "right": [right], "codes": codes, "scores": scores}


def read_folder(folder: Path) -> tuple[list[str], dict[str, float]]:
    """Judge the files of a folder."""
    return read_files(sorted(path for path in folder.rglob("*") if path.is_file()))


def read_files(paths: Sequence[Path]) -> tuple[list[str], dict[str, float]]:
    """Judge files as one study; what cannot be read is left out."""
    headers, measures = [], {}
    for path in paths:
        try:
            header, ds = load_instance(path)
            headers.append(header)
            if header.sop_class_uid == CT_IMAGE_STORAGE:
                measures[header.sop_uid] = measure_slice(decode_slice(ds, header))
        except (InputError, PixelError):
            continue
    return _codes(headers, measures)


def code_hash() -> str:
    """Return twelve digits of everything that decides a row: the vehicle's code, the demo bundle, and these tests."""
    digest = hashlib.sha256()
    top = Path(edge_app.__path__[0])
    here = Path(__file__).parent
    sources = [*sorted(top.rglob("*.py")), *sorted((top / "bundles").rglob("*.json")), *sorted(here.glob("gate_*.py"))]
    for path in (*sources, here.parent / "degraded.py", here.parent / "spoiled.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def collect(path: Path, heads: int, data: Path | None) -> list[dict[str, Any]]:
    """Return all rows, those of an earlier run of the same command included."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    done = {row.get("head") for row in rows} | {row["kind"] for row in rows}
    with path.open("a", encoding="utf-8") as file:

        def keep(found: Sequence[dict[str, Any]]) -> None:
            rows.extend(found)
            file.write("".join(json.dumps(row) + "\n" for row in found))
            file.flush()

        if data is not None and "real" not in done:
            keep(list(real_rows(data)))
        if "foreign" not in done:
            keep(list(body_rows()))
        for number in range(heads):
            if number not in done:
                keep(list(head_rows(number)))
    return rows


def main() -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=204)
    parser.add_argument("--copies", type=int, default=12, help="studies whose turned and resampled copies are compared")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    code = code_hash()
    data = arguments.data if arguments.data.is_dir() else None
    rows = collect(arguments.out / f"rows-{code}.jsonl", arguments.heads, data)
    copies = compare_copies(arguments.out / f"copies-{code}.jsonl", arguments.copies)
    figures = {"code": code, **summarise(rows, copies, ARTEFACTS)}
    write_report(arguments.out, figures)
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
