"""The `msu` command: one small function per subcommand, imports late so that ``--help`` is immediate.

Results go to stdout (tables for people, one JSON object with ``--json``), errors with code and remedy to stderr.
Exit codes: 0 done; 1 something else failed; 2 wrong command line; 3 model bundle or backend; 4 store; 5 DICOM peer or
link; 6 input that cannot be read; 7 a process died; 8 done, but not as expected (demo verdict, doctor finding);
9 data set or training run that cannot go on; 78 settings refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.core.errors import ConfigError, MsuError, StoreError

if TYPE_CHECKING:
    from edge_app.core.config import Settings
    from edge_app.store.ledger import Ledger

__all__ = ["NOT_AS_EXPECTED", "main"]

NOT_AS_EXPECTED = 8
"""Exit code of a command that ran to its end but found something wrong."""

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

    demo = command("demo", _demo, "push one synthetic study per class through everything and show the results")
    demo.add_argument("--headless", action="store_true", help="no window even where there is a display")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for summary.json and the pictures")
    demo.add_argument("--bundle", type=Path, help="model bundle (default: the SYNTHETIC one in the package)")

    for name, run, text in (
        ("serve", _serve, "run all processes under one supervisor"),
        ("receive", _receive, "run the DICOM receiver"),
        ("work", _work, "run the worker that analyses what was received"),
        ("screen", _screen, "run the triage screen"),
        ("deliver", _deliver, "run the delivery to the stroke centre"),
        ("watch", _watch, "look whether this vehicle is fit for duty, and test it"),
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

    send = command("send", _send, "push DICOM files or folders to a peer, as a scanner would")
    send.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    send.add_argument("--to", required=True, metavar="AE@HOST:PORT")
    send.add_argument("--from", dest="calling_aet", default="MSU-SEND", metavar="AE", help="our AE title")
    send.add_argument("--interval", type=float, default=0.0, metavar="S", help="seconds between two images")

    analyse = command("analyse", _analyse, "analyse files or folders offline, with the worker's own code")
    analyse.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    analyse.add_argument("--bundle", type=Path, help="model bundle")
    analyse.add_argument("--config", type=Path, metavar="FILE", help="settings, e.g. which keys are trusted")
    analyse.add_argument("--json", action="store_true", help="print one JSON object")

    cases = command("cases", _cases, "list a store's studies; choose a series; correct a patient's identity; export")
    cases.add_argument("action", nargs="?", choices=("list", "choose", "identify", "export"), default="list")
    cases.add_argument("--study", metavar="UID", help="choose, identify: the study")
    cases.add_argument("--patient-id", metavar="ID", help="identify: who the patient is; the images stay as they are")
    cases.add_argument("--by", default="crew", metavar="ROLE", help="identify: who says so")
    cases.add_argument("--series", metavar="UID", help="choose: the series to analyse; '' for the rule's choice")
    cases.add_argument("--deid", action="store_true", help="export without the patients (PS3.15 Annex E)")
    cases.add_argument("--out", type=Path, metavar="DIR", help="export: a new folder")
    cases.add_argument("--data", type=Path, required=True, metavar="DIR")
    cases.add_argument("--json", action="store_true", help="print one JSON object")

    outcomes = command("outcomes", _outcomes, "import what the hospital found, and report this vehicle's performance")
    outcomes.add_argument("action", choices=("import", "report", "thresholds"))
    outcomes.add_argument("csv", type=Path, nargs="?", metavar="CSV", help="import: study_uid, hemorrhage, ischemic")
    outcomes.add_argument("--data", type=Path, required=True, metavar="DIR")
    outcomes.add_argument("--bundle", type=Path, help="thresholds: the bundle whose scores they are for")
    outcomes.add_argument("--out", type=Path, metavar="FILE", help="thresholds: the file for `msu bundle make`")
    outcomes.add_argument("--json", action="store_true", help="print one JSON object")

    report = command("report", _report, "write all objects of a study's latest result as files")
    report.add_argument("study_uid", metavar="STUDY_UID")
    store = report.add_mutually_exclusive_group(required=True)
    store.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    store.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")

    audit = command("audit", _audit, "check the audit trail: has a record been changed or taken out?")
    audit.add_argument("action", choices=("verify",))
    audit.add_argument("--data", type=Path, required=True, metavar="DIR")

    timeline = command("timeline", _timeline, "when what happened to each case, without the patients: CSV and picture")
    timeline.add_argument("--data", type=Path, required=True, metavar="DIR")
    timeline.add_argument("--csv", type=Path, metavar="FILE", help="write the table here (default: stdout)")
    timeline.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (SVG) here")
    timeline.add_argument("--vehicle", default="", metavar="NAME", help="goes into the first column")

    fleet = command("fleet", _fleet, "one report of many vehicles, from what each of them exported")
    fleet.add_argument("action", choices=("report",))
    fleet.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="one per vehicle, named after it")
    fleet.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for fleet.html and fleet.json")

    doctor = command("doctor", _doctor, "check whether this machine is fit for duty")
    doctor.add_argument("--config", type=Path, metavar="FILE")
    doctor.add_argument("--data", type=Path, metavar="DIR")
    doctor.add_argument("--bundle", type=Path, help="model bundle")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")

    selftest = command("selftest", _selftest, "let the running vehicle test itself with a phantom, and wait for it")
    place = selftest.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    place.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
    selftest.add_argument("--timeout", type=float, default=180.0, metavar="S", help="seconds to wait")

    certs = command("certs", _certs, "make a test authority and key pairs for DICOM over TLS")
    certs.add_argument("--out", type=Path, required=True, metavar="DIR")
    certs.add_argument("--name", action="append", metavar="NAME", help="whom for (default: msu and scanner)")
    certs.add_argument("--host", action="append", metavar="HOST", help="their host names or addresses")
    certs.add_argument("--days", type=int, default=365, help="how long they are good")

    simulate = command("simulate", _simulate, "write a synthetic head CT study as DICOM files")
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


def _settings(arguments: argparse.Namespace) -> Settings:
    from edge_app.core.config import Settings, load_settings

    settings = load_settings(arguments.config) if arguments.config else Settings(data=arguments.data.resolve())
    receiver = {key: value for key in ("port", "aet") if (value := getattr(arguments, key, None)) is not None}
    analysis = {"bundle": str(arguments.bundle.resolve())} if getattr(arguments, "bundle", None) else {}
    return settings.replaced(receiver=receiver, analysis=analysis)


def _demo(arguments: argparse.Namespace) -> int:
    from edge_app.processes.demo import run_demo

    return 0 if run_demo(arguments.out, bundle=arguments.bundle, headless=arguments.headless) else NOT_AS_EXPECTED


def _serve(arguments: argparse.Namespace) -> int:
    from edge_app.processes import lifecycle, serve

    settings = _settings(arguments)
    serve.run(
        settings,
        stop=lifecycle.stop_event(),
        ready=lifecycle.print_ready,
        headless=arguments.headless,
        screenshots=arguments.screenshots,
    )
    return 0


def _receive(arguments: argparse.Namespace) -> int:
    from edge_app.processes import lifecycle, receive
    from edge_app.processes.start import started

    settings = _settings(arguments)
    with started("receive", settings, supervised=arguments.supervised) as process:

        def ready(aet: str, host: str, port: int) -> None:
            process.notifier.ready()
            lifecycle.print_ready(aet, host, port)

        receive.run(settings, stop=process.stop, ready=ready, alive=process.notifier.alive)
    return 0


def _work(arguments: argparse.Namespace) -> int:
    from edge_app.processes import work
    from edge_app.processes.start import started

    settings = _settings(arguments)
    with started("work", settings, supervised=arguments.supervised) as process:
        work.run(settings, stop=process.stop, ready=process.notifier.ready, alive=process.notifier.alive)
    return 0


def _screen(arguments: argparse.Namespace) -> int:
    from edge_app.processes import lifecycle, screen
    from edge_app.processes.notify import Notifier
    from edge_app.processes.start import started

    lifecycle.choose_display(headless=arguments.headless)
    try:
        settings = _settings(arguments)
    except ConfigError as error:
        if not (arguments.kiosk and arguments.config):
            raise
        notifier = Notifier()
        screen.run_refused(
            error, arguments.config, stop=lifecycle.stop_event(), ready=notifier.ready, alive=notifier.alive
        )
        return 0
    with started("screen", settings, supervised=arguments.supervised) as process:
        screen.run(
            settings,
            stop=process.stop,
            ready=process.notifier.ready,
            alive=process.notifier.alive,
            screenshot_dir=arguments.screenshots,
        )
    return 0


def _deliver(arguments: argparse.Namespace) -> int:
    from edge_app.processes import deliver
    from edge_app.processes.start import started

    settings = _settings(arguments)
    with started("deliver", settings, supervised=arguments.supervised) as process:
        deliver.run(settings, stop=process.stop, ready=process.notifier.ready, alive=process.notifier.alive)
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    from edge_app.processes import watch
    from edge_app.processes.start import started

    settings = _settings(arguments)
    with started("watch", settings, supervised=arguments.supervised) as process:
        watch.run(settings, stop=process.stop, ready=process.notifier.ready, alive=process.notifier.alive)
    return 0


def _selftest(arguments: argparse.Namespace) -> int:
    from edge_app.processes.ask_self_test import ask_self_test

    with _open_ledger(_settings(arguments).data, "selftest") as ledger:
        passed, said = ask_self_test(ledger, timeout_s=arguments.timeout)
    print(said)
    return 0 if passed else NOT_AS_EXPECTED


def _send(arguments: argparse.Namespace) -> int:
    from edge_app.console import send_with_progress

    send_with_progress(arguments.paths, arguments.to, calling_aet=arguments.calling_aet, interval_s=arguments.interval)
    return 0


def _analyse(arguments: argparse.Namespace) -> int:
    from edge_app.console import print_studies
    from edge_app.core.logs import setup_logging
    from edge_app.inference.installed import with_installed_bundle
    from edge_app.worker.models import load_models
    from edge_app.worker.offline import analyse_paths

    setup_logging()
    arguments.data = Path()
    known = _settings(arguments)
    settings = with_installed_bundle(known) if arguments.config else known.analysis
    with load_models(settings) as models:
        results = analyse_paths(arguments.paths, models, settings)
    print_studies([result.to_json() for result in results], as_json=arguments.json)
    return 0


def _cases(arguments: argparse.Namespace) -> int:
    from edge_app.console import print_studies
    from edge_app.store.cases import list_cases

    if arguments.action == "export":
        return _export_cases(arguments)
    if arguments.action == "identify":
        return _identify_case(arguments)
    if arguments.action == "choose":
        return _choose_series(arguments)
    with _open_ledger(arguments.data, "cases") as ledger:
        print_studies(list_cases(ledger), as_json=arguments.json)
    return 0


def _choose_series(arguments: argparse.Namespace) -> int:
    if not arguments.study or arguments.series is None:
        raise ConfigError("`msu cases choose` needs --study and --series", remedy="`msu cases --json` lists both.")
    from edge_app.store.choices import choose_series

    with _open_ledger(arguments.data, "cases") as ledger:
        result = ledger.latest_result(arguments.study)
        if result is None:
            raise ConfigError(f"no result for study {arguments.study}", remedy="`msu cases` lists the studies.")
        if arguments.series and not any(o.series_uid == arguments.series and o.choosable for o in result.series):
            raise ConfigError(
                f"series {arguments.series} cannot be analysed", remedy="`msu cases --json` says which are choosable."
            )
        choose_series(ledger, arguments.study, arguments.series, by="command line")
    print("the worker will analyse the study again")
    return 0


def _identify_case(arguments: argparse.Namespace) -> int:
    from edge_app.store.statements import correct_identity

    if not (arguments.study and arguments.patient_id):
        raise ConfigError(
            "`msu cases identify` needs --study UID and --patient-id ID", remedy="`msu cases list` has the studies."
        )
    with _open_ledger(arguments.data, "cases") as ledger:
        if not ledger.instances(study_uid=arguments.study):
            raise StoreError(f"no study {arguments.study}", remedy="`msu cases list --data DIR` has the studies.")
        correct_identity(ledger, arguments.study, patient_id=arguments.patient_id, by=arguments.by)
    print("kept: the report goes out again with both identities")
    return 0


def _export_cases(arguments: argparse.Namespace) -> int:
    if not (arguments.deid and arguments.out):
        raise ConfigError(
            "`msu cases export` needs --deid and --out DIR", remedy="Patients' names never leave by this command."
        )
    from edge_app.processes.export_cases import export_cases

    with _open_ledger(arguments.data, "export") as ledger:
        table = export_cases(ledger, arguments.out)
    print(f"{len(table)} cases, {sum(int(str(row['images'])) for row in table)} images in {arguments.out}")
    return 0


def _outcomes(arguments: argparse.Namespace) -> int:
    from edge_app.console import print_performance
    from edge_app.processes.outcomes import local_performance
    from edge_app.store.outcomes import import_outcomes

    if (arguments.action == "import") != (arguments.csv is not None):
        raise ConfigError("`msu outcomes import` needs a CSV file, `report` none", remedy="See `msu outcomes --help`.")
    if arguments.action == "thresholds":
        return _site_thresholds(arguments)
    with _open_ledger(arguments.data, "outcomes") as ledger:
        if arguments.csv:
            taken, unknown = import_outcomes(ledger, arguments.csv)
            print(f"{taken} outcomes taken in, {unknown} of studies that this store does not know")
        else:
            print_performance(local_performance(ledger), as_json=arguments.json)
    return 0


def _site_thresholds(arguments: argparse.Namespace) -> int:
    from edge_app.inference.bundle import load_bundle
    from edge_app.processes.outcomes import site_thresholds
    from edge_app.store.paths import write_atomically

    if not arguments.out:
        raise ConfigError("`msu outcomes thresholds` needs --out FILE", remedy="See `msu outcomes --help`.")
    with _open_ledger(arguments.data, "outcomes") as ledger:
        found = site_thresholds(ledger, load_bundle(arguments.bundle))
    write_atomically(arguments.out.resolve(), (json.dumps(found, indent=1) + "\n").encode())
    point, evidence = found["operating_points"]["hemorrhage"], found["evidence"]
    rates = " ".join(
        f"{name} {rate['value']:.3f} ({rate['low']:.3f}-{rate['high']:.3f})" for name, rate in evidence["now"].items()
    )
    print(f"{arguments.out}: t_lo {point['t_lo']}, t_hi {point['t_hi']}; {rates}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from edge_app.processes.report import write_report

    for path in write_report(_settings(arguments), arguments.study_uid, arguments.out):
        print(path)
    return 0


def _timeline(arguments: argparse.Namespace) -> int:
    from edge_app.watch.timeline import case_times, to_csv
    from edge_app.watch.timeline_plot import timeline_svg

    with _open_ledger(arguments.data, "timeline") as ledger:
        cases = case_times(ledger)
    table = to_csv(cases, arguments.vehicle)
    if arguments.csv:
        arguments.csv.write_text(table, encoding="utf-8")
    else:
        sys.stdout.write(table)
    if arguments.plot:
        arguments.plot.write_text(timeline_svg(cases), encoding="utf-8")
    return 0


def _fleet(arguments: argparse.Namespace) -> int:
    from edge_app.watch.fleet import fleet_html, fleet_json, read_fleet

    vehicles = read_fleet(arguments.folders)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "fleet.html").write_text(fleet_html(vehicles), encoding="utf-8")
    (arguments.out / "fleet.json").write_text(fleet_json(vehicles), encoding="utf-8")
    unfit = [vehicle.name for vehicle in vehicles if vehicle.fit is False]
    print(f"{len(vehicles)} vehicles, not fit: {', '.join(unfit) or 'none'}; see {arguments.out / 'fleet.html'}")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from edge_app.store import audit

    with _open_ledger(arguments.data, "audit") as ledger, ledger.transaction() as db:
        broken = audit.verify(db)
        count, last = audit.head(db)
    if broken is not None:
        print(f"BROKEN at record {broken} of {count}", file=sys.stderr)
        return NOT_AS_EXPECTED
    # The chain cannot tell that records are missing at its end: the last hash, kept elsewhere, can.
    print(f"OK {count} records, last hash {last}")
    return 0


def _open_ledger(data: Path, process: str) -> Ledger:
    from edge_app.store.ledger import Ledger
    from edge_app.store.paths import StorePaths

    paths = StorePaths(data.resolve())
    if not paths.ledger.is_file():
        raise StoreError(f"no store at {data}", remedy="Give the folder that `msu serve --data` was given.")
    return Ledger(paths, process)


def _doctor(arguments: argparse.Namespace) -> int:
    from edge_app.console import print_findings
    from edge_app.processes.doctor import examine

    arguments.data = arguments.data or Path()
    findings = examine(_settings(arguments))
    print_findings(findings, as_json=arguments.json)
    return 0 if all(finding.ok for finding in findings) else NOT_AS_EXPECTED


def _certs(arguments: argparse.Namespace) -> int:
    from edge_app.receiver.certificates import make_certificates

    fingerprints = make_certificates(
        arguments.out,
        arguments.name or ("msu", "scanner"),
        hosts=arguments.host or ("localhost", "127.0.0.1"),
        days=arguments.days,
    )
    for name, fingerprint in fingerprints.items():
        print(f"{name} {fingerprint}")
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    from edge_app.simulator import make_study, write_study

    paths = write_study(make_study(arguments.seed, arguments.label), arguments.out)
    print(f"{len(paths)} images in {arguments.out}")
    return 0
