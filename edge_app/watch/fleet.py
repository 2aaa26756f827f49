"""Many vehicles in one table: the doctors' findings and the cases' times that each of them exported.

Every vehicle's folder (or file) holds what `msu doctor --json` and `msu timeline --csv` wrote there; its name is the
vehicle's.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from edge_app.core.errors import InputError
from edge_app.watch.timeline import from_csv

__all__ = ["DOCTOR_FILE", "TIMELINE_FILE", "Vehicle", "fleet_html", "fleet_json", "read_fleet"]

DOCTOR_FILE, TIMELINE_FILE = "doctor.json", "timeline.csv"

SPANS = ("first_to_last_slice_s", "last_slice_to_result_s", "result_to_delivered_s")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle as it described itself."""

    name: str
    fit: bool | None
    """None where there is no doctor's file."""
    unfit: tuple[str, ...]
    """What the doctor complained of, with the code where it has one."""
    cases: int
    verdicts: dict[str, int]
    medians_s: dict[str, float | None]
    """Median of each span in `SPANS`."""


def read_fleet(folders: Sequence[Path]) -> list[Vehicle]:
    """Read vehicles' folders, in order of their names.

    Raises
    ------
    InputError
        If a folder holds neither file, or one that cannot be understood; names it.
    """
    return sorted((_read(folder) for folder in folders), key=lambda vehicle: vehicle.name)


def fleet_json(vehicles: Sequence[Vehicle]) -> str:
    """Return everything as one JSON object."""
    return json.dumps({"vehicles": [asdict(vehicle) for vehicle in vehicles]}, indent=2) + "\n"


def fleet_html(vehicles: Sequence[Vehicle]) -> str:
    """Return one page that needs nothing beside itself."""
    rows = []
    for vehicle in vehicles:
        state = {True: "fit", False: "NOT FIT", None: "no report"}[vehicle.fit]
        verdicts = ", ".join(f"{name} {count}" for name, count in sorted(vehicle.verdicts.items()))
        spans = "".join(f"<td>{'' if value is None else f'{value:.1f}'}</td>" for value in vehicle.medians_s.values())
        rows.append(
            f"<tr class='{'bad' if vehicle.fit is False else ''}'><td>{escape(vehicle.name)}</td><td>{state}</td>"
            f"<td>{escape('; '.join(vehicle.unfit))}</td><td>{vehicle.cases}</td>"
            f"<td>{escape(verdicts)}</td>{spans}</tr>"
        )
    heads = "".join(f"<th>{span[:-2].replace('_', ' ')}, median s</th>" for span in SPANS)
    return (
        "<!doctype html><meta charset='utf-8'><title>Fleet</title><style>body{font-family:sans-serif}"
        "td,th{padding:4px 10px;border-bottom:1px solid #ccc;text-align:left}.bad{background:#fde8e8}</style>"
        f"<h1>Fleet of {len(vehicles)}</h1><table><tr><th>vehicle</th><th>state</th><th>why</th><th>cases</th>"
        f"<th>results</th>{heads}</tr>{''.join(rows)}</table>\n"
    )


def _read(folder: Path) -> Vehicle:
    doctor, timeline = folder / DOCTOR_FILE, folder / TIMELINE_FILE
    if not doctor.is_file() and not timeline.is_file():
        raise InputError(
            f"{folder} holds neither {DOCTOR_FILE} nor {TIMELINE_FILE}",
            remedy="On the vehicle: msu doctor --json > doctor.json; msu timeline --csv timeline.csv.",
        )
    try:
        findings = json.loads(doctor.read_text(encoding="utf-8"))["findings"] if doctor.is_file() else None
        rows = from_csv(timeline.read_text(encoding="utf-8")) if timeline.is_file() else []
        unfit = tuple(f"{f.get('code', '')} {f['check']}: {f['found']}".strip() for f in findings or () if not f["ok"])
        medians = {span: _median([row[span] for row in rows]) for span in SPANS}
        verdicts: dict[str, int] = {}
        for row in rows:
            answer = row["verdict"] or row["status"]
            verdicts[answer] = verdicts.get(answer, 0) + 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: cannot be understood: {error!r}", remedy="Export it again on the vehicle."
        ) from error
    return Vehicle(folder.name, None if findings is None else not unfit, unfit, len(rows), verdicts, medians)


def _median(values: Sequence[str]) -> float | None:
    numbers = [float(value) for value in values if value]
    return round(statistics.median(numbers), 3) if numbers else None
