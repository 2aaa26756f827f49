"""`msu bundle …`: what is in a bundle, whose signature it bears, and which one runs on this vehicle.

``make``, ``sign`` and ``key`` belong to the workshop (`export.bundle_cli`); all else runs on the vehicle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_app.core.clock import monotonic_s
from edge_app.core.config import Settings, load_settings
from edge_app.core.errors import BundleError, ConfigError
from edge_app.core.types import ModelIdentity

__all__ = ["bundle"]

_WORKSHOP = ("make", "sign", "key")
_POLL_S = 0.2

NOT_TAKEN_UP = 8
"""Exit code (README): done, but the bundle does not run (yet)."""


def bundle(argv: Sequence[str]) -> int:
    """Run one `msu bundle` command.

    Raises
    ------
    MsuError
        If a bundle, key or setting does not allow it.
    """
    if argv and argv[0] in _WORKSHOP:
        # By name: the vehicle does not import the workshop.
        try:
            run_workshop: Callable[[Sequence[str]], int] = import_module("export.bundle_cli").bundle
            return run_workshop(argv)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"`msu bundle {argv[0]}` needs {error.name}, which the vehicle does not have",
                remedy="On a workshop machine, in the project's folder: pip install .[export]",
            ) from error
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msu bundle", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    inspect = command("inspect", _inspect, "print what the manifest says, and the signature")
    verify = command("verify", _verify, "check signature and hashes, open both networks, compare the golden answers")
    for sub in (inspect, verify):
        sub.add_argument("path", type=Path, nargs="?", help="folder or zip (default: the one in the package)")
    verify.add_argument("--config", type=Path, metavar="FILE", help="settings with the keys that are trusted")
    verify.add_argument("--unsigned", action="store_true", help="in the workshop: whoever signed it, if anybody")

    install = command("install", _install, "check a bundle, copy it into the store, run it from the next case on")
    install.add_argument("path", type=Path, help="folder or zip")
    install.add_argument("--without-engines", action="store_true", help="do not build TensorRT engines first")
    rollback = command("rollback", _rollback, "go back to the bundle that ran before, from the next case on")
    listing = command("list", _list, "what is installed, what runs, and what was refused")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    for sub in (install, rollback, listing):
        where = sub.add_mutually_exclusive_group(required=True)
        where.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
        where.add_argument("--data", type=Path, metavar="DIR", help="the store's folder, with default settings")
    for sub in (install, rollback):
        sub.add_argument("--wait", type=float, default=0.0, metavar="S", help="until it runs, at most so many seconds")
    for name in _WORKSHOP:
        commands.add_parser(name, help=f"in the workshop; see `msu bundle {name} --help`", add_help=False)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    from edge_app.inference.bundle import inspect_bundle, load_bundle

    sys.stdout.write(json.dumps(inspect_bundle(load_bundle(arguments.path)), indent=2) + "\n")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from edge_app.inference.bundle import load_bundle
    from edge_app.inference.installed import trusted_keys
    from edge_app.worker.golden_check import check_golden_answers
    from edge_app.worker.models import open_models

    settings = load_settings(arguments.config) if arguments.config else Settings()
    found = load_bundle(arguments.path, None if arguments.unsigned else trusted_keys(settings.analysis))
    with open_models(found, threads=settings.analysis.threads) as models:
        golden = check_golden_answers(found, models)
    signed = f"signed by {found.signer.name}" if found.signer else "signature not checked"
    sys.stdout.write(f"OK {_words(found.identity)} {found.sha256}, {signed}, {golden}\n")
    return 0


def _install(arguments: argparse.Namespace) -> int:
    from edge_app.inference.bundle import load_bundle
    from edge_app.inference.installed import BundleStore, trusted_keys
    from edge_app.worker.changeover import try_bundle

    settings = _settings(arguments)
    store, keys = BundleStore.of(settings), trusted_keys(settings.analysis)
    name = store.add(load_bundle(arguments.path, keys), keys)
    if store.has("current") and store.name("current") == name and not store.has("next"):
        sys.stdout.write(f"{name} runs already\n")
        return 0
    if not arguments.without_engines:
        _build_engines(store.root / name, settings)
    models, found = try_bundle(store.root / name, settings)
    models.close()
    sys.stdout.write(f"{name}: {found}\n")
    return _ask_for(store, name, arguments.wait)


def _rollback(arguments: argparse.Namespace) -> int:
    from edge_app.inference.installed import BundleStore

    store = BundleStore.of(_settings(arguments))
    return _ask_for(store, store.path("previous").name, arguments.wait)


def _ask_for(store: Any, name: str, wait_s: float) -> int:
    """Leave it to the worker, which knows whether a study is under way, and wait if told to."""
    store.ask_for(name)
    deadline_s, pause = monotonic_s() + wait_s, threading.Event()
    while store.has("next") or store.has("trial"):
        if monotonic_s() >= deadline_s:
            sys.stdout.write(f"{name} is taken up between cases, or when the worker starts\n")
            return NOT_TAKEN_UP if wait_s else 0
        pause.wait(_POLL_S)
    if store.name("current") == name:
        sys.stdout.write(f"{name} runs\n")
        return 0
    refusal = store.refusal or {"why": "another one was asked for meanwhile"}
    sys.stdout.write(f"{name} was refused: {refusal['why']}\n")
    return NOT_TAKEN_UP


def _list(arguments: argparse.Namespace) -> int:
    from edge_app.inference.installed import BundleStore

    settings = _settings(arguments, fixed=True)
    store = BundleStore.of(settings)
    body: dict[str, Any] = {link: store.name(link) for link in ("current", "previous", "next", "trial")}
    body |= {"refused": store.refusal, "fixed": settings.analysis.bundle}
    if arguments.json:
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
        return 0
    if settings.analysis.bundle:
        sys.stdout.write(f"the settings name {settings.analysis.bundle}: it runs, whatever is installed\n")
    for key in ("current", "previous", "next"):
        sys.stdout.write(f"{key:9} {body[key] or '-'}\n")
    if refusal := body["refused"]:
        sys.stdout.write(f"refused   {refusal['name']} at {refusal['at_utc']}: {refusal['why']}\n")
    return 0


def _settings(arguments: argparse.Namespace, *, fixed: bool = False) -> Settings:
    settings = load_settings(arguments.config) if arguments.config else Settings(data=arguments.data.resolve())
    if settings.analysis.bundle and not fixed:
        raise ConfigError(
            f"the settings name a bundle: key 'analysis.bundle' = {settings.analysis.bundle!r}",
            remedy="Leave it empty to run what is installed; a bundle of a release changes with the release.",
        )
    return settings


def _build_engines(folder: Path, settings: Settings) -> None:
    """Build the engines of a bundle that does not run yet, in a process of its own; nothing without TensorRT."""
    from edge_app.inference.tensorrt_backend import tensorrt_version

    if tensorrt_version() is None:
        return
    where = ["--engines", settings.analysis.engines] if settings.analysis.engines else []
    command = [sys.executable, "-m", "edge_app", "engine", "build", "--bundle", str(folder), *where]
    if subprocess.run(command, check=False).returncode:
        raise BundleError(
            f"not all engines of {folder.name} could be built; what ran before goes on",
            remedy="See above; --without-engines installs it all the same, for the CPU.",
        )


def _words(identity: ModelIdentity) -> str:
    return f"{identity.name} {identity.version}{' SYNTHETIC' if identity.synthetic else ''}"
