"""The `msu` command: its grammar, and the exit code of what it runs (`edge_app.commands`).

Results go to stdout (tables for people, one JSON object with ``--json``), errors with code and remedy to stderr.
Exit codes: 0 done; 1 something else failed; 2 wrong command line; 3 model bundle or backend; 4 store; 5 DICOM peer or
link; 6 input that cannot be read; 7 a process died; 8 done, but not as expected (demo verdict, doctor finding);
9 data set or training run that cannot go on; 78 settings refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.commands import NOT_AS_EXPECTED, cases, running
from edge_app.core.errors import ConfigError, MsuError

if TYPE_CHECKING:
    pass

__all__ = ["NOT_AS_EXPECTED", "main"]

WORKSHOP_COMMANDS = {
    "bundle": (
        "edge_app.processes.bundle_command:bundle",
        "model bundles: make, sign, inspect, verify, install, roll back",
    ),
    "data": ("training.cli:data", "data sets: index, split, check, preprocess, synth (workshop)"),
    "train": ("training.cli:train", "networks: image, features, patient, import, evaluate, search (workshop)"),
    "export": ("export.export_cli:export", "weights to ONNX, compared with torch; golden sets (workshop)"),
    "calibrate": ("calibration.cli:calibrate", "FP16 or INT8 from FP32, judged, with report (workshop)"),
    "engine": ("export.cli:engine", "TensorRT engines: build, verify, bench, list, matrix"),
    "release": ("edge_app.deploy.release_cli:release", "one signed file with everything: make, verify, install"),
    "deploy": ("edge_app.deploy.cli:deploy", "what is carried to a vehicle: wheelhouse, constraints, sbom (workshop)"),
}
"""Commands with a command line of their own, most in packages the vehicle lacks: module, function, purpose."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] in WORKSHOP_COMMANDS:
            return _workshop(words[0])(words[1:])
        arguments = _parser().parse_args(words)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except MsuError as error:
        print(f"msu: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # the reader of a pipe (head, less) has seen enough
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="msu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    demo = command("demo", running.demo, "push one synthetic study per class through everything and show the results")
    demo.add_argument("--headless", action="store_true", help="no window even where there is a display")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for summary.json and the pictures")
    demo.add_argument("--bundle", type=Path, help="model bundle (default: the SYNTHETIC one in the package)")

    for name, run, text in (
        ("serve", running.serve, "run all processes under one supervisor"),
        ("receive", running.receive, "run the DICOM receiver"),
        ("work", running.work, "run the worker that analyses what was received"),
        ("screen", running.screen, "run the triage screen"),
        ("deliver", running.deliver, "run the delivery to the stroke centre"),
        ("watch", running.watch, "look whether this vehicle is fit for duty, and test it"),
    ):
        process = command(name, run, text)
        where = process.add_mutually_exclusive_group(required=True)
        where.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
        where.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
        process.add_argument("--port", type=int, help="DICOM port (0: any free one)")
        process.add_argument("--aet", help="our AE title")
        process.add_argument("--bundle", type=Path, help="model bundle")
        process.add_argument("--headless", action="store_true", help="draw offscreen")
        process.add_argument("--screenshots", type=Path, metavar="DIR", help="save a picture of each finished case")
        process.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
        if name == "screen":
            process.add_argument("--kiosk", action="store_true", help="with refused settings, stay and say why")

    send = command("send", running.send, "push DICOM files or folders to a peer, as a scanner would")
    send.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    send.add_argument("--to", required=True, metavar="AE@HOST:PORT")
    send.add_argument("--from", dest="calling_aet", default="MSU-SEND", metavar="AE", help="our AE title")
    send.add_argument("--interval", type=float, default=0.0, metavar="S", help="seconds between two images")

    analyse = command("analyse", running.analyse, "analyse files or folders offline, with the worker's own code")
    analyse.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    analyse.add_argument("--bundle", type=Path, help="model bundle")
    analyse.add_argument("--config", type=Path, metavar="FILE", help="settings, e.g. which keys are trusted")
    analyse.add_argument("--json", action="store_true", help="print one JSON object")

    listing = command(
        "cases", cases.cases, "list a store's studies; choose a series; correct a patient's identity; export"
    )
    listing.add_argument("action", nargs="?", choices=("list", "choose", "identify", "export"), default="list")
    listing.add_argument("--study", metavar="UID", help="choose, identify: the study")
    listing.add_argument("--patient-id", metavar="ID", help="identify: who the patient is; the images stay as they are")
    listing.add_argument("--by", default="crew", metavar="ROLE", help="identify: who says so")
    listing.add_argument("--series", metavar="UID", help="choose: the series to analyse; '' for the rule's choice")
    listing.add_argument("--deid", action="store_true", help="export without the patients (PS3.15 Annex E)")
    listing.add_argument("--out", type=Path, metavar="DIR", help="export: a new folder")
    listing.add_argument("--data", type=Path, required=True, metavar="DIR")
    listing.add_argument("--json", action="store_true", help="print one JSON object")

    outcomes = command(
        "outcomes", cases.outcomes, "import what the hospital found, and report this vehicle's performance"
    )
    outcomes.add_argument("action", choices=("import", "report", "thresholds"))
    outcomes.add_argument("csv", type=Path, nargs="?", metavar="CSV", help="import: study_uid, hemorrhage, ischemic")
    outcomes.add_argument("--data", type=Path, required=True, metavar="DIR")
    outcomes.add_argument("--bundle", type=Path, help="thresholds: the bundle whose scores they are for")
    outcomes.add_argument("--out", type=Path, metavar="FILE", help="thresholds: the file for `msu bundle make`")
    outcomes.add_argument("--json", action="store_true", help="print one JSON object")

    report = command("report", cases.report, "write all objects of a study's latest result as files")
    report.add_argument("study_uid", metavar="STUDY_UID")
    store = report.add_mutually_exclusive_group(required=True)
    store.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    store.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")

    audit = command("audit", cases.audit, "check the audit trail: has a record been changed or taken out?")
    audit.add_argument("action", choices=("verify",))
    audit.add_argument("--data", type=Path, required=True, metavar="DIR")

    timeline = command(
        "timeline", cases.timeline, "when what happened to each case, without the patients: CSV and picture"
    )
    timeline.add_argument("--data", type=Path, required=True, metavar="DIR")
    timeline.add_argument("--csv", type=Path, metavar="FILE", help="write the table here (default: stdout)")
    timeline.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (SVG) here")
    timeline.add_argument("--vehicle", default="", metavar="NAME", help="goes into the first column")

    fleet = command("fleet", cases.fleet, "one report of many vehicles, from what each of them exported")
    fleet.add_argument("action", choices=("report",))
    fleet.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="one per vehicle, named after it")
    fleet.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for fleet.html and fleet.json")

    doctor = command("doctor", running.doctor, "check whether this machine is fit for duty")
    doctor.add_argument("--config", type=Path, metavar="FILE")
    doctor.add_argument("--data", type=Path, metavar="DIR")
    doctor.add_argument("--bundle", type=Path, help="model bundle")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")

    selftest = command(
        "selftest", running.selftest, "let the running vehicle test itself with a phantom, and wait for it"
    )
    place = selftest.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    place.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
    selftest.add_argument("--timeout", type=float, default=180.0, metavar="S", help="seconds to wait")

    certs = command("certs", running.certs, "make a test authority and key pairs for DICOM over TLS")
    certs.add_argument("--out", type=Path, required=True, metavar="DIR")
    certs.add_argument("--name", action="append", metavar="NAME", help="whom for (default: msu and scanner)")
    certs.add_argument("--host", action="append", metavar="HOST", help="their host names or addresses")
    certs.add_argument("--days", type=int, default=365, help="how long they are good")

    simulate = command("simulate", running.simulate, "write a synthetic head CT study as DICOM files")
    simulate.add_argument("label", choices=("negative", "hemorrhage", "ischemic"))
    simulate.add_argument("--out", type=Path, required=True, metavar="DIR")
    simulate.add_argument("--seed", type=int, default=1)

    for name, (_, text) in WORKSHOP_COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)  # listed only; `main` hands over before parsing
    return parser


def _workshop(name: str) -> Callable[[Sequence[str]], int]:
    """Return a command's function; resolved by name, because the vehicle must not import the workshop's packages."""
    module, _, function = WORKSHOP_COMMANDS[name][0].partition(":")
    try:
        run: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"`msu {name}` needs {error.name}, which the vehicle does not have",
            remedy="On a workshop machine, in the project's folder: pip install .[train]",
        ) from error
    return run
