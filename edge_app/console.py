"""What the command line prints: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from edge_app.processes.doctor import Finding

__all__ = [
    "delivery_words",
    "percent",
    "print_findings",
    "print_studies",
    "result_words",
    "score_words",
    "send_with_progress",
]

VERDICT_WORDS = {
    "hemorrhage": "HAEMORRHAGE SUSPECTED",
    "ischemic": "ISCHAEMIC SIGNS SUSPECTED\nunvalidated",
    "none_detected": "NO HAEMORRHAGE DETECTED\ndoes not exclude haemorrhage or stroke",
    "indeterminate": "INDETERMINATE\nread the images now",
}
"""Verdicts as people read them; the caution belongs to the words (SCREEN.md R02, R03)."""


def percent(probability: float) -> str:
    """Return a probability as whole percent, clipped to "<1 %" and ">99 %" (SCREEN.md R26)."""
    if probability < 0.01:
        return "<1 %"
    if probability > 0.99:
        return ">99 %"
    return f"{probability * 100:.0f} %"


def print_studies(studies: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print studies (`StudyResult.to_json`) as one JSON object or as a table."""
    if as_json:
        sys.stdout.write(json.dumps({"studies": list(studies)}, indent=2) + "\n")
        return
    table = Table(
        title="AI triage aid - not a diagnosis. A clinician must read the images.", title_justify="left", box=SIMPLE
    )
    headings = ("Patient ID", "Result", "Scores", "Slices", "Model", "Delivery")
    for heading in headings if any("delivery" in study for study in studies) else headings[:-1]:
        table.add_column(heading, overflow="fold")
    for study in studies:
        model = study["model"]
        table.add_row(
            study["patient_id"],
            result_words(study),
            score_words(study),
            str(len(study["slices"])),
            f"{model['name']} {model['version']}{' SYNTHETIC' if model['synthetic'] else ''}" if model else "-",
            *([delivery_words(study)] if "delivery" in study else []),
        )
    Console().print(table)


def result_words(study: dict[str, Any]) -> str:
    """Return what a study's result says to people, with its reasons; its status while there is none yet."""
    if study["status"] in ("receiving", "analysing"):
        return str(study["status"])
    words = VERDICT_WORDS.get(study["verdict"] or "", "NO AI RESULT")
    return "\n".join([words, *(f"{reason['code']} {reason['text']}" for reason in study["reasons"])])


def score_words(study: dict[str, Any]) -> str:
    """Return the two scores of a study, or a dash."""
    scores = study["probabilities"]
    if not scores:
        return "-"
    return f"haemorrhage {percent(scores['hemorrhage'])}\nischaemic signs {percent(scores['ischemic'])}"


def delivery_words(study: dict[str, Any]) -> str:
    """Return how far a study's delivery is, one line for each destination, or a dash."""
    said = []
    for there in study["delivery"]:
        counts = [
            f"{there[word]} {word}" for word in ("committed", "found", "answered", "refused", "lost") if there[word]
        ]
        seen = there["acknowledged"]
        said.append(
            f"{there['destination']}: {there['state']}"
            + (f" ({', '.join(counts)})" if counts else "")
            + (f", seen by {seen['by']} {seen['at_utc']}" if seen else "")
        )
    return "\n".join(said) or "-"


def print_performance(report: dict[str, Any], *, as_json: bool) -> None:
    """Print what `msu outcomes report` found."""
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    table = Table(title="Haemorrhage, this vehicle's own studies; INDETERMINATE counts as detected", box=SIMPLE)
    for heading in ("Scanner", "Studies", "No result", "Abstained", "Sensitivity", "Specificity", "Disagreements"):
        table.add_column(heading, overflow="fold")
    for group in report["groups"]:
        counts = (str(group[key]) for key in ("studies", "no_result", "abstained"))
        rates = (_rate_words(group[key]) for key in ("sensitivity", "specificity"))
        table.add_row(group["scanner"], *counts, *rates, str(group["disagreements"]))
    Console().print(table)
    table = Table(title="By week; times from the last slice to the result", box=SIMPLE)
    for heading in ("Week", "Studies", "No result", "Abstained", "Disagreements", "Median s", "Longest s"):
        table.add_column(heading)
    for week in report["weeks"]:
        counts = (str(week[key]) for key in ("studies", "no_result", "abstained", "disagreements"))
        times = (week["waited_ms_median"], week["waited_ms_longest"])
        table.add_row(week["week"], *counts, *("-" if ms is None else f"{ms / 1e3:.1f}" for ms in times))
    Console().print(table)
    index = report["drift"]["index"]
    drift = (
        "too few studies to tell"
        if index is None
        else f"{index:.2f}{' LOOK INTO IT' if report['drift']['alert'] else ''}"
    )
    sys.stdout.write(f"Drift of scores, last {report['drift']['recent']} against before: {drift}\n")


def _rate_words(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "-"
    return (
        f"{rate['hits']}/{rate['n']} = {100 * rate['value']:.0f} % ({100 * rate['low']:.0f}-{100 * rate['high']:.0f})"
    )


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what `msu doctor` found."""
    if as_json:
        body = {"ok": all(f.ok for f in findings), "findings": [f.to_json() for f in findings]}
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
        return
    table = Table(title="Fit for duty?", title_justify="left", box=SIMPLE)
    for heading in ("", "Check", "Found", "Remedy"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row("ok" if finding.ok else "[bold red]NO[/]", finding.check, finding.found, finding.remedy)
    Console().print(table)


def send_with_progress(paths: Sequence[Path], to: str, *, calling_aet: str, interval_s: float) -> None:
    """Push files or folders to ``AE@HOST:PORT`` under a progress bar; raises if one instance is not accepted."""
    from edge_app.simulator import Peer, send

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("sending", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        report = send(paths, Peer.parse(to), calling_aet=calling_aet, interval_s=interval_s, on_progress=show)
    sys.stdout.write(f"{report.accepted} images accepted by {to}\n")
