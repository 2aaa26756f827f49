"""Commands that run something: the processes, the demo, a scanner, an analysis, a look at this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from edge_app.commands import NOT_AS_EXPECTED
from edge_app.commands.named import open_ledger, settings_of
from edge_app.core.errors import ConfigError

__all__ = [
    "analyse",
    "certs",
    "deliver",
    "demo",
    "doctor",
    "receive",
    "screen",
    "selftest",
    "send",
    "serve",
    "simulate",
    "watch",
    "work",
]


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from edge_app.processes.demo import run_demo

    return 0 if run_demo(arguments.out, bundle=arguments.bundle, headless=arguments.headless) else NOT_AS_EXPECTED


def serve(arguments: argparse.Namespace) -> int:
    """Run all processes under one supervisor."""
    from edge_app.processes import lifecycle, serve

    settings = settings_of(arguments)
    serve.run(
        settings,
        stop=lifecycle.stop_event(),
        ready=lifecycle.print_ready,
        headless=arguments.headless,
        screenshots=arguments.screenshots,
    )
    return 0


def receive(arguments: argparse.Namespace) -> int:
    """Run the DICOM receiver."""
    from edge_app.processes import lifecycle, receive
    from edge_app.processes.start import started

    settings = settings_of(arguments)
    with started("receive", settings, supervised=arguments.supervised) as process:

        def ready(aet: str, host: str, port: int) -> None:
            process.notifier.ready()
            lifecycle.print_ready(aet, host, port)

        receive.run(settings, stop=process.stop, ready=ready, alive=process.notifier.alive)
    return 0


def work(arguments: argparse.Namespace) -> int:
    """Run the worker."""
    from edge_app.processes import work

    return _run("work", work.run, arguments)


def screen(arguments: argparse.Namespace) -> int:
    """Run the triage screen."""
    from edge_app.processes import lifecycle, screen
    from edge_app.processes.notify import Notifier
    from edge_app.processes.start import started

    lifecycle.choose_display(headless=arguments.headless)
    try:
        settings = settings_of(arguments)
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


def deliver(arguments: argparse.Namespace) -> int:
    """Run the delivery."""
    from edge_app.processes import deliver

    return _run("deliver", deliver.run, arguments)


def watch(arguments: argparse.Namespace) -> int:
    """Run the watch."""
    from edge_app.processes import watch

    return _run("watch", watch.run, arguments)


def _run(name: str, run: Callable[..., None], arguments: argparse.Namespace) -> int:
    from edge_app.processes.start import started

    settings = settings_of(arguments)
    with started(name, settings, supervised=arguments.supervised) as process:
        run(settings, stop=process.stop, ready=process.notifier.ready, alive=process.notifier.alive)
    return 0


def selftest(arguments: argparse.Namespace) -> int:
    """Ask the running watch for a self-test."""
    from edge_app.processes.ask_self_test import ask_self_test

    with open_ledger(settings_of(arguments).data, "selftest") as ledger:
        passed, said = ask_self_test(ledger, timeout_s=arguments.timeout)
    print(said)
    return 0 if passed else NOT_AS_EXPECTED


def send(arguments: argparse.Namespace) -> int:
    """Push files to a peer."""
    from edge_app.console import send_with_progress

    send_with_progress(arguments.paths, arguments.to, calling_aet=arguments.calling_aet, interval_s=arguments.interval)
    return 0


def analyse(arguments: argparse.Namespace) -> int:
    """Analyse files offline."""
    from edge_app.console import print_studies
    from edge_app.core.logs import setup_logging
    from edge_app.inference.installed import with_installed_bundle
    from edge_app.worker.models import load_models
    from edge_app.worker.offline import analyse_paths

    setup_logging()
    arguments.data = Path()
    known = settings_of(arguments)
    settings = with_installed_bundle(known) if arguments.config else known.analysis
    with load_models(settings) as models:
        results = analyse_paths(arguments.paths, models, settings)
    print_studies([result.to_json() for result in results], as_json=arguments.json)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """Look whether this machine is fit for duty."""
    from edge_app.console import print_findings
    from edge_app.processes.doctor import examine

    arguments.data = arguments.data or Path()
    findings = examine(settings_of(arguments))
    print_findings(findings, as_json=arguments.json)
    return 0 if all(finding.ok for finding in findings) else NOT_AS_EXPECTED


def certs(arguments: argparse.Namespace) -> int:
    """Make a test authority and key pairs."""
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


def simulate(arguments: argparse.Namespace) -> int:
    """Write a synthetic study."""
    from edge_app.simulator import make_study, write_study

    paths = write_study(make_study(arguments.seed, arguments.label), arguments.out)
    print(f"{len(paths)} images in {arguments.out}")
    return 0
