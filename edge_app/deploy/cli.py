"""`msu deploy …`, run on a workshop machine; `edge_app.cli` hands over to here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_app.core.errors import ConfigError

__all__ = ["deploy"]

_NOT_AS_EXPECTED = 8


def deploy(argv: Sequence[str]) -> int:
    """Run one `msu deploy` command.

    Raises
    ------
    MsuError
        If what is needed is not there.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msu deploy", description="What is carried to a vehicle.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--source", type=Path, metavar="DIR", help="the project's folder (default: this program's)")
        return sub

    wheelhouse = command("wheelhouse", _wheelhouse, "write the folder that installs a vehicle without a network")
    wheelhouse.add_argument("--target", required=True, metavar="NAME", help="jetpack6, jetpack7, debian12, …")
    wheelhouse.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    wheelhouse.add_argument("--bundle", type=Path, metavar="DIR", help="model bundle to take along")

    bill = command("sbom", _sbom, "print what is installed here as a CycloneDX bill of materials; fails on a licence")
    bill.add_argument("--licences", action="store_true", help="print the table of licences instead")

    command("audit", _audit, "look for known holes in the exact packages (pip-audit); skips where nobody can be asked")

    constraints = command("constraints", _constraints, "check the exact packages against the registry, or renew them")
    constraints.add_argument("--target", action="append", metavar="NAME", help="only this one (default: all)")
    constraints.add_argument("--update", action="store_true", help="resolve pyproject.toml anew (needs uv)")
    return parser


def _source(arguments: argparse.Namespace) -> Path:
    folder: Path = (arguments.source or Path(__file__).parents[2]).resolve()
    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(f"{folder} is not the project's folder", remedy="Run this in a checkout, or give --source.")
    return folder


def _constraints(arguments: argparse.Namespace) -> int:
    from edge_app.deploy.constraints import check, file_of, gpu_file_of, read_pins, update
    from edge_app.deploy.registry import Registry
    from edge_app.deploy.targets import TARGETS, target_named

    source, registry, problems = _source(arguments), Registry(), list[str]()
    folder = source / "deploy" / "constraints"
    for target in [target_named(name) for name in arguments.target or TARGETS]:
        if arguments.update:
            for path in update(source, folder, target, registry):
                print(path)
        pins = read_pins(file_of(folder, target))
        problems += check(pins, target, registry)
        if target.gpu:
            problems += check(read_pins(gpu_file_of(folder, target)), target, registry, source=True)
        print(f"{target.name}: {len(pins)} packages looked up")
    for problem in problems:
        print(problem, file=sys.stderr)
    return _NOT_AS_EXPECTED if problems else 0


def _wheelhouse(arguments: argparse.Namespace) -> int:
    from edge_app.deploy.registry import Registry
    from edge_app.deploy.targets import target_named
    from edge_app.deploy.wheelhouse import make_medium

    medium = make_medium(
        _source(arguments),
        arguments.out.resolve(),
        target_named(arguments.target),
        Registry(),
        bundle=arguments.bundle,
        say=lambda text: print(text, file=sys.stderr),
    )
    print(f"{medium.name} in {medium.folder} ({medium.files} files): sudo {medium.folder.name}/deploy/install.sh")
    return 0


def _sbom(arguments: argparse.Namespace) -> int:
    from importlib.metadata import version

    from edge_app.deploy.components import installed_components
    from edge_app.deploy.licences import refused
    from edge_app.deploy.sbom import Product, licence_table, sbom

    components = installed_components()
    text = licence_table(components) if arguments.licences else sbom(Product(version("msu-triage")), components)
    sys.stdout.write(text)
    problems = refused((one.name, one.licence) for one in components)
    for problem in problems:
        print(problem, file=sys.stderr)
    return _NOT_AS_EXPECTED if problems else 0


def _audit(arguments: argparse.Namespace) -> int:
    from edge_app.deploy.audit import audit
    from edge_app.deploy.constraints import file_of
    from edge_app.deploy.targets import TARGETS

    holes = False
    for target in TARGETS.values():
        found = audit(file_of(_source(arguments) / "deploy" / "constraints", target))
        print(f"{target.name}: " + (f"skipped: {found.skipped}" if found.skipped else f"{found.looked_up} packages"))
        for hole in found.holes:
            print(f"  {hole}")
        holes = holes or bool(found.holes)
        if found.skipped:
            break
    return _NOT_AS_EXPECTED if holes else 0
