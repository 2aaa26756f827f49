"""The commands of `export`, `msu engine …`; `edge_app.cli` hands over to here when they are asked for.

Only the standard library is imported on the way in, so that ``--help`` is immediate. Results go to stdout, progress to
stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_app.cli import NOT_AS_EXPECTED

if TYPE_CHECKING:
    from edge_app.inference.bundle import Bundle
    from edge_app.inference.device import Fingerprint
    from export.engine.make import Built
    from export.golden import GoldenSet

__all__ = ["engine"]


def engine(argv: Sequence[str]) -> int:
    """Run one `msu engine` command.

    Raises
    ------
    MsuError
        If the bundle, the machine or a build does not allow it.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="msu engine", description="TensorRT engines: built, judged and checked on the device that runs them."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--bundle", type=Path, help="model bundle (default: the SYNTHETIC one in the package)")
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    def on_device(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--engines", type=Path, metavar="DIR", help="engine folder (default: beside the bundle)")

    build = command(
        "build", _build, "build both engines, judge them against ONNX Runtime, keep the fastest that passes"
    )
    on_device(build)
    build.add_argument("--precision", choices=("auto", "int8", "fp16", "fp32"), default="auto")
    build.add_argument("--golden", type=Path, metavar="FILE", help="a golden set in place of the bundle's own")

    verify = command("verify", _verify, "check the engines as at load time, and run the accuracy gate again")
    on_device(verify)
    verify.add_argument("--golden", type=Path, metavar="FILE", help="a golden set in place of the bundle's own")

    bench = command("bench", _bench, "time the engines against ONNX Runtime, in one run")
    on_device(bench)
    bench.add_argument("--runs", type=int, default=50, metavar="N", help="calls that are timed (default 50)")

    on_device(command("list", _list, "list the engines, and whether they may run here"))

    matrix = command("matrix", _matrix, "for a fleet file of devices: what is built, and what is stale")
    matrix.add_argument("fleet", type=Path, metavar="FLEET.toml")
    return parser


def _build(arguments: argparse.Namespace) -> int:
    from export.engine.machine import read_machine
    from export.engine.make import MakeOptions, build_engines
    from export.engine.progress import show_progress

    bundle, machine = _bundle(arguments), read_machine()
    with show_progress() as (on_step, on_event):
        built = build_engines(
            bundle,
            machine,
            MakeOptions(
                precision=arguments.precision,
                engines=arguments.engines,
                golden=arguments.golden,
                on_step=on_step,
                on_event=on_event,
            ),
        )
    rows = [row for one in built for row in _rung_rows(one)]
    _print(
        arguments,
        {"bundle_sha256": bundle.sha256, "networks": [_built_json(one) for one in built]},
        ("Network", "Precision", "Outcome", "p50", "Detail"),
        rows,
    )
    return 0 if all(one.passport for one in built) else NOT_AS_EXPECTED


def _verify(arguments: argparse.Namespace) -> int:
    from export.engine.machine import read_machine
    from export.engine.status import verify
    from export.gate import GateLimits

    bundle, machine = _bundle(arguments), read_machine()
    found = verify(bundle, arguments.engines, machine.fingerprint, _golden(bundle, arguments), GateLimits())
    body = [
        {
            **status.to_json(),
            "gate": {"passed": gate.passed, "failures": gate.failures, **gate.measured} if gate else None,
        }
        for status, gate in found
    ]
    rows = [
        (
            status.network,
            status.state,
            "passed" if gate and gate.passed else "refused" if gate else "not run",
            "; ".join((*status.problems, *(gate.failures if gate else ()))),
        )
        for status, gate in found
    ]
    _print(arguments, {"engines": body}, ("Network", "State", "Gate", "Problems"), rows)
    return 0 if all(gate is not None and gate.passed for _, gate in found) else NOT_AS_EXPECTED


def _bench(arguments: argparse.Namespace) -> int:
    from export.engine.machine import read_machine
    from export.engine.status import bench

    rows = bench(_bundle(arguments), arguments.engines, read_machine().fingerprint, runs=arguments.runs)
    table = [(r["network"], r["backend"], str(r["batch"]), f"{r['p50_ms']:.2f}", f"{r['p95_ms']:.2f}") for r in rows]
    _print(arguments, {"latencies": rows}, ("Network", "Backend", "Batch", "p50 ms", "p95 ms"), table)
    return 0 if rows else NOT_AS_EXPECTED


def _list(arguments: argparse.Namespace) -> int:
    from export.engine.status import look

    bundle, fingerprint = _bundle(arguments), _fingerprint_if_any()
    found = look(bundle, arguments.engines, fingerprint)
    rows = [
        (
            status.network,
            status.state,
            status.passport.precision if status.passport else "",
            f"{status.passport.latencies[0].p50_ms:.2f} ms" if status.passport else "",
            status.passport.created_utc[:10] if status.passport else "",
            "; ".join(status.problems),
        )
        for status in found
    ]
    body = {
        "bundle_sha256": bundle.sha256,
        "fingerprint": fingerprint.model_dump(mode="json") if fingerprint else None,
        "engines": [status.to_json() for status in found],
    }
    _print(arguments, body, ("Network", "State", "Precision", "p50", "Built", "Problems"), rows)
    return 0


def _matrix(arguments: argparse.Namespace) -> int:
    from export.engine.matrix import read_matrix

    cells = read_matrix(arguments.fleet, _bundle(arguments))
    rows = [
        (c.device, c.hardware, c.network, c.state, c.precision, c.built_utc[:10], "; ".join(c.problems)) for c in cells
    ]
    headings = ("Device", "Hardware", "Network", "State", "Precision", "Built", "Problems")
    _print(arguments, {"cells": [cell.to_json() for cell in cells]}, headings, rows)
    return 0 if all(cell.state == "built" for cell in cells) else NOT_AS_EXPECTED


def _bundle(arguments: argparse.Namespace) -> Bundle:
    from edge_app.inference.bundle import load_bundle

    return load_bundle(arguments.bundle)


def _golden(bundle: Bundle, arguments: argparse.Namespace) -> GoldenSet:
    from export.engine.make import golden_of

    return golden_of(bundle, arguments.golden)[0]


def _fingerprint_if_any() -> Fingerprint | None:
    """Return this machine's fingerprint, or None where there is no TensorRT or GPU: the list is shown all the same."""
    from edge_app.core.errors import BackendError, EngineError
    from export.engine.machine import read_machine

    try:
        return read_machine().fingerprint
    except (BackendError, EngineError) as error:
        sys.stderr.write(f"msu: {error}\n")
        return None


def _rung_rows(built: Built) -> list[tuple[str, ...]]:
    kept = built.passport.precision if built.passport else None
    return [
        (
            built.network,
            one.precision,
            "chosen" if one.precision == kept else one.outcome,
            f"{one.p50_ms:.2f} ms" if one.p50_ms is not None else "",
            one.detail,
        )
        for one in built.tried
    ]


def _built_json(built: Built) -> dict[str, Any]:
    return {
        "network": built.network,
        "tried": [
            {"precision": one.precision, "outcome": one.outcome, "detail": one.detail, "p50_ms": one.p50_ms}
            for one in built.tried
        ],
        "passport": built.passport.model_dump(mode="json") if built.passport else None,
    }


def _print(
    arguments: argparse.Namespace, body: dict[str, Any], headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
