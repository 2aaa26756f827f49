"""The arguments of `msu train evaluate`, and what it calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_app.core.errors import ConfigError

__all__ = ["add_evaluate_arguments", "run_evaluate"]


def add_evaluate_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `msu train evaluate` besides --data and --image."""
    command.add_argument("--patient", type=Path, required=True, metavar="DIR", help="from `msu train patient|import`")
    command.add_argument("--out", type=Path, metavar="DIR", help="for report and JSON; default the patient's folder")
    command.add_argument(
        "--side", choices=("test", "validation"), default="test", help="validation leaves the test split closed"
    )
    command.add_argument(
        "--open-again", default="", metavar="REASON", help="open the test split for other weights; goes on record"
    )
    for name, default, text in (
        ("target-sensitivity", 0.98, "of t_lo, on validation"),
        ("target-specificity", 0.98, "of t_hi, on validation"),
        ("max-abstention", 0.05, "most validation studies between t_lo and t_hi"),
    ):
        command.add_argument(f"--{name}", type=float, default=default, metavar="SHARE", help=f"{text} ({default})")
    command.add_argument("--cases", type=int, default=12, metavar="N", help="worst cases shown (12)")
    command.add_argument("--name", default="", help="of the bundle to be made; default from the architectures")
    command.add_argument("--version", default="0.1.0", help="of the bundle to be made")


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Judge an experiment and say where the report is."""
    from training.run_evaluate import BUNDLE, EVALUATION, REPORT, EvaluateRun, evaluate_experiment

    for name in ("target_sensitivity", "target_specificity", "max_abstention"):
        if not 0.0 < getattr(arguments, name) < 1.0:
            raise ConfigError(
                f"--{name.replace('_', '-')} {getattr(arguments, name)}", remedy="Give a share between 0 and 1."
            )
    out: Path = arguments.out or arguments.patient
    evaluation = evaluate_experiment(
        EvaluateRun(
            data=arguments.data,
            image=arguments.image,
            patient=arguments.patient,
            out=out,
            side=arguments.side,
            device=arguments.device,
            open_again=arguments.open_again,
            target_sensitivity=arguments.target_sensitivity,
            target_specificity=arguments.target_specificity,
            max_abstention=arguments.max_abstention,
            cases=max(0, arguments.cases),
            name=arguments.name,
            version=arguments.version,
        )
    )
    for line in evaluation["headline"]:
        sys.stdout.write(f"! {line}\n")
    judged = evaluation[arguments.side]
    for what, rate in (
        ("accuracy, decision rule", judged["decision_accuracy"]),
        ("haemorrhage, sensitivity", judged["per_class"]["hemorrhage"]["sensitivity"]),
        ("haemorrhage, specificity", judged["per_class"]["hemorrhage"]["specificity"]),
        ("INDETERMINATE", judged["abstention"]),
    ):
        if rate["value"] is not None:
            low, high = rate["ci95"]
            sys.stdout.write(f"{what:<26}{rate['value']:.3f} ({low:.3f}-{high:.3f}, n = {rate['n']})\n")
    sys.stdout.write(f"{out / REPORT}, {EVALUATION}, {BUNDLE} (for `msu bundle make --description`)\n")
    return 0
