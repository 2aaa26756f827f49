"""The command `msu calibrate`. The result goes to stdout, progress to stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from edge_app.cli import NOT_AS_EXPECTED
from edge_app.core.errors import ConfigError

__all__ = ["calibrate"]


def calibrate(argv: Sequence[str]) -> int:
    """Run `msu calibrate`.

    Raises
    ------
    MsuError
        If bundle, data or slices are refused, or nothing keeps the accuracy budget.
    """
    arguments = _parser().parse_args(argv)
    if arguments.precision == "fp16" and (arguments.target == "cpu" or arguments.calibrator != "auto"):
        raise ConfigError(
            "--target cpu and --calibrator are of INT8; CPUs have no kernels for FP16",
            remedy="Leave them out, or give --precision int8.",
        )
    from calibration import run

    done = run.calibrate(
        run.CalibrateOptions(
            bundle=arguments.bundle,
            data=arguments.data,
            out=arguments.out,
            precision=arguments.precision,
            target=arguments.target,
            calibrator=arguments.calibrator,
            slices=arguments.slices,
            judged_per_class=arguments.judge,
            golden=arguments.golden,
            seed=arguments.seed,
            threads=arguments.threads,
            say=lambda text: _say(sys.stderr, text),
        )
    )
    if arguments.json:
        _say(sys.stdout, json.dumps(done.record, indent=1))
    elif done.network is not None:
        speeds = {name: speed["p50_ms"] for name, speed in done.record["latency"].items()}
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in speeds.items())
        _say(sys.stdout, f"{done.network}: {done.network.stat().st_size / 1e6:.1f} MB, gate passed, one slice {times}")
    else:
        _say(sys.stdout, f"refused by the accuracy gate: {'; '.join(done.gate.failures)}")
    return 0 if done.network is not None else NOT_AS_EXPECTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="msu calibrate",
        description="A bundle's FP32 image network to FP16 or INT8, judged by the accuracy gate, with a report.",
    )
    parser.add_argument("--bundle", type=Path, help="model bundle (default: the SYNTHETIC one in the package)")
    parser.add_argument("--precision", choices=("fp16", "int8"), required=True)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="slices from `msu data preprocess`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for network, record and report")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="a golden set in place of the bundle's own")
    parser.add_argument(
        "--target", choices=("tensorrt", "cpu"), default="tensorrt",
        help="int8: by TensorRT's rules with FP16 for the rest (default), or as ONNX Runtime wants it on CPUs",
    )  # fmt: skip
    parser.add_argument("--calibrator", choices=("auto", "minmax", "entropy", "percentile"), default="auto")
    parser.add_argument("--slices", type=int, default=512, metavar="N", help="to calibrate on (default 512)")
    parser.add_argument("--judge", type=int, default=4, metavar="N", help="patients a class set apart (default 4)")
    parser.add_argument("--seed", type=int, default=2023)
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="default: all cores")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    return parser


def _say(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
