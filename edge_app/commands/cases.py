"""Commands that look into a store: cases, outcomes, reports, times, audit trail."""

from __future__ import annotations

import argparse
import json
import sys

from edge_app.commands import NOT_AS_EXPECTED
from edge_app.commands.named import open_ledger, settings_of
from edge_app.core.errors import ConfigError, StoreError

__all__ = ["audit", "cases", "fleet", "outcomes", "report", "timeline"]


def cases(arguments: argparse.Namespace) -> int:
    """List the cases, or do something with them."""
    from edge_app.console import print_studies
    from edge_app.store.cases import list_cases

    if arguments.action == "export":
        return _export_cases(arguments)
    if arguments.action == "identify":
        return _identify_case(arguments)
    if arguments.action == "choose":
        return _choose_series(arguments)
    with open_ledger(arguments.data, "cases") as ledger:
        print_studies(list_cases(ledger), as_json=arguments.json)
    return 0


def _choose_series(arguments: argparse.Namespace) -> int:
    if not arguments.study or arguments.series is None:
        raise ConfigError("`msu cases choose` needs --study and --series", remedy="`msu cases --json` lists both.")
    from edge_app.store.choices import choose_series

    with open_ledger(arguments.data, "cases") as ledger:
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
    with open_ledger(arguments.data, "cases") as ledger:
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

    with open_ledger(arguments.data, "export") as ledger:
        table = export_cases(ledger, arguments.out)
    print(f"{len(table)} cases, {sum(int(str(row['images'])) for row in table)} images in {arguments.out}")
    return 0


def outcomes(arguments: argparse.Namespace) -> int:
    """Import outcomes, report on them, or choose thresholds by them."""
    from edge_app.console import print_performance
    from edge_app.processes.outcomes import local_performance
    from edge_app.store.outcomes import import_outcomes

    if (arguments.action == "import") != (arguments.csv is not None):
        raise ConfigError("`msu outcomes import` needs a CSV file, `report` none", remedy="See `msu outcomes --help`.")
    if arguments.action == "thresholds":
        return _site_thresholds(arguments)
    with open_ledger(arguments.data, "outcomes") as ledger:
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
    with open_ledger(arguments.data, "outcomes") as ledger:
        found = site_thresholds(ledger, load_bundle(arguments.bundle))
    write_atomically(arguments.out.resolve(), (json.dumps(found, indent=1) + "\n").encode())
    point, evidence = found["operating_points"]["hemorrhage"], found["evidence"]
    rates = " ".join(
        f"{name} {rate['value']:.3f} ({rate['low']:.3f}-{rate['high']:.3f})" for name, rate in evidence["now"].items()
    )
    print(f"{arguments.out}: t_lo {point['t_lo']}, t_hi {point['t_hi']}; {rates}")
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write all objects of a study's result."""
    from edge_app.processes.report import write_report

    for path in write_report(settings_of(arguments), arguments.study_uid, arguments.out):
        print(path)
    return 0


def timeline(arguments: argparse.Namespace) -> int:
    """Write when what happened to each case."""
    from edge_app.watch.timeline import case_times, to_csv
    from edge_app.watch.timeline_plot import timeline_svg

    with open_ledger(arguments.data, "timeline") as ledger:
        cases = case_times(ledger)
    table = to_csv(cases, arguments.vehicle)
    if arguments.csv:
        arguments.csv.write_text(table, encoding="utf-8")
    else:
        sys.stdout.write(table)
    if arguments.plot:
        arguments.plot.write_text(timeline_svg(cases), encoding="utf-8")
    return 0


def fleet(arguments: argparse.Namespace) -> int:
    """Merge what many vehicles exported."""
    from edge_app.watch.fleet import fleet_html, fleet_json, read_fleet

    vehicles = read_fleet(arguments.folders)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "fleet.html").write_text(fleet_html(vehicles), encoding="utf-8")
    (arguments.out / "fleet.json").write_text(fleet_json(vehicles), encoding="utf-8")
    unfit = [vehicle.name for vehicle in vehicles if vehicle.fit is False]
    print(f"{len(vehicles)} vehicles, not fit: {', '.join(unfit) or 'none'}; see {arguments.out / 'fleet.html'}")
    return 0


def audit(arguments: argparse.Namespace) -> int:
    """Check the audit trail."""
    from edge_app.store import audit

    with open_ledger(arguments.data, "audit") as ledger, ledger.transaction() as db:
        broken = audit.verify(db)
        count, last = audit.head(db)
    if broken is not None:
        print(f"BROKEN at record {broken} of {count}", file=sys.stderr)
        return NOT_AS_EXPECTED
    # The chain cannot tell that records are missing at its end: the last hash, kept elsewhere, can.
    print(f"OK {count} records, last hash {last}")
    return 0
