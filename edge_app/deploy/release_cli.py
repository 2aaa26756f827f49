"""`msu release …`: one signed file with everything, made in the workshop and installed on the vehicle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from edge_app.core.config import Settings, load_settings

__all__ = ["release"]


def release(argv: Sequence[str]) -> int:
    """Run one `msu release` command.

    Raises
    ------
    MsuError
        If the release, a key or the vehicle does not allow it.
    """
    if argv and argv[0] == "make":
        # By name: the vehicle does not import the workshop.
        make: Callable[[Sequence[str]], int] = import_module("export.release_make").main
        return make(argv[1:])
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msu release", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("make", help="pack and sign a medium of `msu deploy wheelhouse` (workshop)", add_help=False)

    verify = commands.add_parser("verify", help="check signature and every hash; nothing is unpacked")
    verify.set_defaults(run=_verify)
    verify.add_argument("--json", action="store_true", help="print the manifest")
    install = commands.add_parser(
        "install",
        help="check, install beside what runs, build engines, switch between cases, test, go back if that fails",
    )
    install.set_defaults(run=_install)
    for sub in (verify, install):
        sub.add_argument("source", type=Path, help="the release, or a folder (stick) whose newest *.msu is meant")
        sub.add_argument(
            "--config",
            type=Path,
            required=sub is install,
            metavar="FILE",
            help="settings with the keys that are trusted",
        )
    install.add_argument("--check", default="", metavar="COMMAND", help="in place of the self-test")
    install.add_argument("--wait", type=float, default=6 * 3600.0, metavar="S", help="for a case to end (default 6 h)")
    install.add_argument(
        "--without-engines", action="store_true", help="do not build TensorRT engines before the switch"
    )
    install.add_argument("--older", action="store_true", help="take a release that is older than the one that runs")
    install.add_argument("--no-kiosk", action="store_true", help="for install.sh: a bench unit without a panel")
    install.add_argument("--no-packages", action="store_true", help="for install.sh: the Debian packages are there")
    return parser


def _verify(arguments: argparse.Namespace) -> int:
    from edge_app.deploy.release import load_release
    from edge_app.deploy.update import find_release
    from edge_app.inference.installed import trusted_keys

    settings = load_settings(arguments.config) if arguments.config else Settings()
    found = load_release(find_release(arguments.source), trusted_keys(settings.analysis))
    manifest = found.manifest
    if arguments.json:
        sys.stdout.write(json.dumps(manifest.model_dump(mode="json", exclude={"files"}), indent=2) + "\n")
        return 0
    bundle = f"bundle {manifest.bundle.name} {manifest.bundle.version}" if manifest.bundle else "demo bundle"
    sys.stdout.write(f"OK {manifest.name} for {manifest.target}, {bundle}, signed by {found.signer.name}\n")
    return 0


def _install(arguments: argparse.Namespace) -> int:
    from edge_app.deploy.update import UpdateOptions, install_release

    flags = [f for f, on in (("--no-kiosk", arguments.no_kiosk), ("--no-packages", arguments.no_packages)) if on]
    options = UpdateOptions(
        install=flags,
        check=arguments.check,
        config=arguments.config.resolve(),
        wait_s=arguments.wait,
        engines=not arguments.without_engines,
        older=arguments.older,
        say=_say,
    )
    name = install_release(arguments.source, load_settings(arguments.config), options)
    sys.stdout.write(f"{name} runs\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"release: {text}\n")
    sys.stdout.flush()  # the installer writes to the same place
