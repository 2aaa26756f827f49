"""`msu demo`: the whole product on one machine, with a simulated scanner as its peer.

All processes run for real in a fresh store; one synthetic study per class goes over a real association; the screen's
own pictures of each case are kept. It succeeds only if every verdict is the expected one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydicom
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from edge_app.console import result_words, score_words
from edge_app.core.clock import monotonic_s, utc_iso, utc_now
from edge_app.core.config import Settings
from edge_app.core.errors import ProcessError
from edge_app.core.types import StudyStatus
from edge_app.inference.bundle import load_bundle
from edge_app.processes.serve import Supervisor
from edge_app.simulator import Label, Peer, make_study, send, write_study
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, write_atomically

__all__ = ["run_demo"]

_T = TypeVar("_T")

EXPECTED = {"negative": "none_detected", "hemorrhage": "hemorrhage", "ischemic": "ischemic"}

SEEDS: dict[Label, int] = {"negative": 20_001, "hemorrhage": 20_002, "ischemic": 20_003}
"""Seeds of the three patients; training uses none of them (`training.synthetic`)."""

PERSONALITY = "unseen_mobile32"

START_S = 120.0
RESULT_S = 120.0
"""Deadlines after which the demo gives up with an error rather than hang; a busy laptop must not reach them."""

LOG_FILE = "processes.log"

SEND_INTERVAL_S = 0.05
"""Between two images: slow enough that the live screen can be watched, faster than any scanner."""


@dataclass(frozen=True, slots=True)
class _Case:
    label: str
    folder: Path
    study_uid: str


def run_demo(out: Path, *, bundle: Path | None, headless: bool) -> bool:
    """Run the demo, write ``summary.json`` and one picture per case to `out`, and return whether all went as expected.

    Raises
    ------
    MsuError
        If a process does not start, an image is not accepted or a result does not come.
    """
    began_s = monotonic_s()
    console = Console()
    load_bundle(bundle)  # a damaged bundle is said here, before anything starts
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.png"), out / "summary.json"):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="msu-demo-") as temporary:
        root = Path(temporary)
        settings = Settings(data=root / "store").replaced(
            receiver={"port": 0, "min_free_bytes": 0}, analysis={"bundle": str(bundle.resolve()) if bundle else ""}
        )
        pictures = root / "pictures"
        stop = threading.Event()
        with (
            (out / LOG_FILE).open("wb") as log,
            Supervisor(settings, headless=headless, screenshots=pictures, log=log) as supervisor,
        ):
            watcher = threading.Thread(target=supervisor.watch, args=(stop,), name="watch-processes")
            watcher.start()
            try:
                cases = [_write_case(label, root / label) for label in SEEDS]
                aet, host, port = supervisor.wait_ready(START_S)
                console.print(f"READY {aet}@{host}:{port}")
                studies = [
                    _run_case(case, Peer(aet, host, port), settings.data, pictures, out, console) for case in cases
                ]
            finally:
                stop.set()
                watcher.join()
    ok = all(study["as_expected"] for study in studies)
    summary = {"ok": ok, "created_utc": utc_iso(utc_now()), "elapsed_s": monotonic_s() - began_s, "studies": studies}
    write_atomically(out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    _print_table(console, studies, out)
    return ok


def _write_case(label: Label, folder: Path) -> _Case:
    paths = write_study(make_study(SEEDS[label], label, personality=PERSONALITY), folder)
    study_uid = str(pydicom.dcmread(paths[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    return _Case(label, folder, study_uid)


def _run_case(case: _Case, peer: Peer, data: Path, pictures: Path, out: Path, console: Console) -> dict[str, Any]:
    """Push one study, wait for its result and for the picture of the screen that shows it."""
    with console.status(f"{case.label}: sending"):
        send([case.folder], peer, calling_aet="SIMCT", interval_s=SEND_INTERVAL_S)
    with Ledger(StorePaths(data), "demo") as ledger, console.status(f"{case.label}: analysing"):

        def result() -> dict[str, Any] | None:
            found = ledger.latest_result(case.study_uid)
            return None if found is None else found.to_json()

        body = _wait_for(result, f"no result for the {case.label} study")

        def picture() -> Path | None:
            found = pictures / f"{case.study_uid}-r{body['revision']}.png"
            return found if found.is_file() else None

        shown = _wait_for(picture, f"the screen did not show the result of the {case.label} study")
    kept = out / f"{case.label}.png"
    shutil.copyfile(shown, kept)
    expected = EXPECTED[case.label]
    return {
        "case": case.label,
        "expected": expected,
        "as_expected": body["status"] == StudyStatus.RESULT.value and body["verdict"] == expected,
        "screenshot": kept.name,
        **body,
    }


def _wait_for(look: Callable[[], _T | None], problem: str) -> _T:
    pause = threading.Event()
    deadline_s = monotonic_s() + RESULT_S
    while (found := look()) is None:
        if monotonic_s() > deadline_s:
            raise ProcessError(f"{problem} within {RESULT_S:.0f} s", remedy=f"Read {LOG_FILE} in the output folder.")
        pause.wait(0.05)
    return found


def _print_table(console: Console, studies: list[dict[str, Any]], out: Path) -> None:
    title = "msu demo: SYNTHETIC images and model, not for diagnosis"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in ("Pushed", "Shown on the screen", "Scores", "Last slice\nto result", "Verdict"):
        table.add_column(heading)
    for study in studies:
        table.add_row(
            study["case"],
            result_words(study),
            score_words(study),
            f"{study['timings_ms']['last_slice_to_result']:.0f} ms",
            "as expected" if study["as_expected"] else f"[bold red]expected {study['expected']}[/]",
        )
    console.print(table)
    console.print(f"Pictures, summary.json and the processes' log are in {out}")
