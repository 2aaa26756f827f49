"""Run the proof: ``python -m training.proof --out DIR``.

Writes ``proof.json`` and ``proof.html``, claim by claim as they are measured. Returns 0 if all hold, 8 if one does not.
A run that was stopped goes on: studies, image network and features that are there are not made again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from edge_app.core.clock import monotonic_s
from edge_app.core.errors import MsuError
from training.data.parallel import Workers
from training.experiment import write_description
from training.proof.claim import Claim, Sizes
from training.proof.confounding import prove_probe
from training.proof.corpus import make_corpus
from training.proof.page import write_page
from training.proof.ready import make_ready
from training.proof.short_studies import prove_masks
from training.proof.split_leak import prove_leak
from training.proof.throughput import prove_throughput
from training.proof.unseen_scanners import prove_unseen

__all__ = ["main", "prove"]

NOT_AS_EXPECTED = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, prove, and print a table."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.processes)
    train, validation, test = options.studies
    sizes = replace(Sizes(), train=train, validation=validation, test=test, image_epochs=options.image_epochs)
    try:
        claims = prove(options.out, sizes, options.processes)
    except MsuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0 if all(claim.ok for claim in claims) else NOT_AS_EXPECTED


def prove(out: Path, sizes: Sizes, processes: int) -> list[Claim]:
    """Measure all claims and write them down."""
    started_s = monotonic_s()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    claims: list[Claim] = []

    def lap(name: str) -> None:
        seconds[name] = round(monotonic_s() - started_s - sum(seconds.values()), 1)
        sys.stderr.write(f"{name}: {seconds[name]:.0f} s\n")

    def note(found: Sequence[Claim], name: str) -> None:
        claims.extend(found)
        lap(name)
        for claim in found:
            sys.stdout.write(f"{'ok    ' if claim.ok else 'FAILED'}  {claim.id}: {claim.claim}\n")
        _write(out, claims, sizes, seconds)

    corpus = make_corpus(work, sizes, Workers(processes=processes))
    lap("studies")
    ready = make_ready(work, corpus, sizes)
    lap("image network and features")
    note(prove_unseen(ready), "patient networks")
    note([prove_masks(ready)], "masks")
    note([prove_leak(ready)], "leak")
    note([prove_probe(ready)], "source probe")
    note([prove_throughput(ready)], "throughput")
    return claims


def _write(out: Path, claims: Sequence[Claim], sizes: Sizes, seconds: dict[str, float]) -> None:
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    content = {
        "synthetic": True,
        "note": "SYNTHETIC: measured on simulated head CT. It says that the machinery works, and nothing of patients.",
        "claims": [asdict(claim) for claim in claims],
        "sizes": asdict(sizes),
        "seconds": {**seconds, "all": round(sum(seconds.values()), 1)},
        "machine": machine,
    }
    write_description(out / "proof.json", content)
    write_page(out / "proof.html", content)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.proof", description=(__doc__ or "").splitlines()[0])
    default = Sizes()
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="default: all cores")
    parser.add_argument(
        "--studies", type=int, nargs=3, default=(default.train, default.validation, default.test),
        metavar=("TRAIN", "VALIDATION", "TEST"), help="of each class (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--image-epochs", type=int, default=default.image_epochs, help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
