"""The commands of `msu export`: networks to ONNX, and golden sets. Results to stdout, progress to stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.onnx_export import ExportCheck

__all__ = ["export"]


def export(argv: Sequence[str]) -> int:
    """Run one `msu export` command.

    Raises
    ------
    MsuError
        If weights or data cannot be used, or what was exported is not what torch computes.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="msu export", description="Networks to ONNX, compared with torch on prepared slices; golden sets."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="slices from `msu data preprocess`")
        sub.add_argument("--out", type=Path, required=True, metavar="FILE")
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    image = command("image", _image, "an image network of any family")
    image.add_argument("--image", type=Path, required=True, metavar="DIR", help="from `msu train image` or `import`")
    image.add_argument("--slices", type=int, default=24, metavar="N", help="slices compared (default 24)")

    patient = command("patient", _patient, "a patient network, GRU or Transformer")
    patient.add_argument("--patient", type=Path, required=True, metavar="DIR", help="from `msu train patient`")
    patient.add_argument("--image", type=Path, required=True, metavar="DIR", help="network whose features it reads")

    golden = command("golden", _golden, "a golden set: patients that every change of precision is judged on")
    golden.add_argument("--per-class", type=int, default=4, metavar="N", help="patients of each class (default 4)")
    golden.add_argument("--seed", type=int, default=2023)
    return parser


def _image(arguments: argparse.Namespace) -> int:
    from export.run_export import export_image

    return _say(export_image(arguments.image, arguments.data, arguments.out, slices=arguments.slices), arguments)


def _patient(arguments: argparse.Namespace) -> int:
    from export.run_export import export_patient

    return _say(export_patient(arguments.patient, arguments.image, arguments.data, arguments.out), arguments)


def _golden(arguments: argparse.Namespace) -> int:
    from export.golden_make import SIDE, make_golden
    from training.data.atomic import replacing
    from training.data.prepared import open_prepared

    golden = make_golden(open_prepared(arguments.data)[SIDE], per_class=arguments.per_class, seed=arguments.seed)
    with replacing(arguments.out) as file:
        file.write(golden.to_bytes())
    if arguments.json:
        known = {"path": str(arguments.out), "patients": golden.patients, "slices": len(golden.images)}
        sys.stdout.write(json.dumps(known) + "\n")
    else:
        sys.stdout.write(f"{arguments.out}: {golden.patients} patients, {len(golden.images)} slices\n")
    return 0


def _say(check: ExportCheck, arguments: argparse.Namespace) -> int:
    if arguments.json:
        sys.stdout.write(json.dumps({**asdict(check), "path": str(check.path)}) + "\n")
    else:
        size = check.path.stat().st_size / 1e6
        sys.stdout.write(
            f"{check.path}: {size:.1f} MB, {check.decisions} decisions compared with torch, {check.flips} flips, "
            f"largest difference {check.max_difference:.1e}\n"
        )
    return 0
