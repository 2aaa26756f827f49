"""Run the proof: ``python -m calibration.proof --out DIR [--only CLAIM …]``.

Writes ``proof.json`` and ``proof.html`` in the form of the training proof, claim by claim as they are measured. Returns
0 if all hold, 8 if one does not. Everything is SYNTHETIC and made here; nothing is downloaded. A run that was stopped
goes on: claims, exports and taught networks that are there are not made again, if sizes, code and machine are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from tqdm import tqdm

from calibration.proof.export_one import PATIENTS
from calibration.proof.int8 import PLAIN, Int8Sizes, prove_int8
from calibration.proof.kept import Kept
from calibration.proof.networks import unit_slices
from edge_app.cli import NOT_AS_EXPECTED
from edge_app.core.clock import monotonic_s
from edge_app.core.errors import MsuError
from training.commit import producer_commit
from training.experiment import write_description
from training.families import FAMILIES
from training.proof.claim import Claim
from training.proof.page import write_page
from training.shards import StudySet
from training.synthetic import make_split

__all__ = ["CLAIMS", "main"]

CLAIMS = ("export", "resnet152-int8", "vit-l-16-int8")
"""In this order: the longest comes last."""

MOST_SECONDS, MOST_MEMORY, LEAST_SPEEDUP = 120.0, 3.0, 3.0
COMPARED = 3
"""Slices on which an export is compared."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, prove, and print a line for each claim."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    proof = _Proof(options)
    try:
        for name in CLAIMS:
            if name in options.only:
                proof.note(name)
        proof.kept.forget()
    except MsuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0 if all(claim.ok for claim in proof.claims) else NOT_AS_EXPECTED


class _Proof:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.work = options, options.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.claims: list[Claim] = []
        self.seconds: dict[str, float] = {}
        self.loads: dict[str, float] = {}
        self.sizes = {
            "studies_per_class": list(options.studies),
            "calibration_slices": options.slices,
            "runs": options.runs,
            "epochs": options.epochs,
            "threads": self._threads(),
            "families": list(options.families),
        }
        self.machine = _machine()
        self.kept = Kept(self.work / "kept.json", {"sizes": self.sizes, "machine": self.machine})

    def note(self, name: str) -> None:
        """Measure one claim and write down all that are known."""
        prove: dict[str, Callable[[], Claim]] = {
            "export": self._export,
            "vit-l-16-int8": self._vit,
            "resnet152-int8": self._resnet,
        }

        def measure() -> dict[str, Any]:
            load, started_s = round(os.getloadavg()[0], 1), monotonic_s()
            claim = prove[name]()
            seconds = round(monotonic_s() - started_s, 1)
            failed = {"error": claim.measured["error"]} if "error" in claim.measured else {}
            return {"claim": asdict(claim), "seconds": seconds, "load_before": load, **failed}

        known = self.kept.once(f"claim {name}", measure)
        claim = Claim(**known["claim"])
        self.seconds[name] = known["seconds"]
        self.loads[name] = known["load_before"]
        self.claims.append(claim)
        sys.stdout.write(f"{'ok    ' if claim.ok else 'FAILED'}  {claim.id}: {claim.claim}\n")
        sys.stdout.flush()
        content = {
            "synthetic": True,
            "note": "SYNTHETIC: measured on simulated head CT. It says that the machinery works, nothing of patients.",
            "claims": [asdict(claim) for claim in self.claims],
            "sizes": {**self.sizes, "only": list(self.options.only)},
            "seconds": {**self.seconds, "all": round(sum(self.seconds.values()), 1)},
            "machine": {**self.machine, "load_before": self.loads},
        }
        write_description(self.options.out / "proof.json", content)
        write_page(self.options.out / "proof.html", content, title="Proof of export and calibration")

    def _export(self) -> Claim:
        slices = self.work / "slices.npy"
        data = self._studies("validation", self.options.studies[1])
        np.save(slices, unit_slices(data, np.linspace(0, len(data) - 1, COMPARED).round().astype(np.int64)))
        measured: dict[str, Any] = {}
        for family in tqdm([*self.options.families, *PATIENTS], desc="export", unit="network"):
            measured[family] = self.kept.once(f"export {family}", partial(self._export_one, family, slices))
        held = [
            "error" not in one and one["flips"] == 0 and (family in PATIENTS or _cheap(one))
            for family, one in measured.items()
        ]
        return Claim(
            id="export",
            claim="Every image family is exported and compared with torch in 2 minutes and 3 times its size of memory.",
            measured={
                **measured,
                "memory": "above what exporting a network of 5 MB takes; the weights in torch are counted",
            },
            goal=f"image families: at most {MOST_SECONDS:.0f} s, {MOST_MEMORY:.0f} × the file's size, no flip",
            ok=all(held),
        )

    def _export_one(self, family: str, slices: Path) -> dict[str, Any]:
        target = self.work / f"export-{family}.onnx"
        command = [sys.executable, "-m", "calibration.proof.export_one", family, str(slices), str(target)]
        threads = {"OMP_NUM_THREADS": str(self.options.threads)} if self.options.threads else {}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
        target.unlink(missing_ok=True)
        if done.returncode:
            last = (done.stderr.strip() or "no word").splitlines()[-1]
            sys.stderr.write(f"{family}: {last}\n")
            return {"error": last}
        measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return measured

    def _vit(self) -> Claim:
        measured = self._int8("vit_l_16")
        return Claim(
            id="vit-l-16-int8",
            claim="ViT-L/16 in INT8 is at least 3 times as fast as in FP32, and no golden patient's class changes.",
            measured=measured,
            goal=f"≥ {LEAST_SPEEDUP} × {self._where()}, no patient of another class or no longer haemorrhage",
            ok="error" not in measured
            and measured["latency"][PLAIN]["times_faster"] >= LEAST_SPEEDUP
            and measured["patient_flips"] == 0
            and measured["gate"]["left_hemorrhage"] == 0
            and measured["golden"]["hemorrhage_by_fp32"] > 0
            and measured["vnni"],
        )

    def _resnet(self) -> Claim:
        measured = self._int8("resnet152")
        return Claim(
            id="resnet152-int8",
            claim="ResNet-152 in INT8 is not slower than in FP32.",
            measured=measured,
            goal=f"≥ 1 × {self._where()}",
            ok="error" not in measured and measured["latency"][PLAIN]["times_faster"] >= 1.0 and measured["vnni"],
        )

    def _int8(self, architecture: str) -> dict[str, Any]:
        train, validation = (
            self._studies(side, count)
            for side, count in zip(("train", "validation"), self.options.studies, strict=True)
        )
        sizes = Int8Sizes(
            calibration_slices=self.options.slices,
            runs=self.options.runs,
            epochs=self.options.epochs,
            threads=self._threads(),
            say=_say,
            once=self.kept.once,
        )
        try:
            measured = prove_int8(architecture, train, validation, self.work, sizes)
        except MsuError as error:  # fails this claim, not the ones after it
            _say(str(error))
            measured = {"error": str(error)}
        return {**measured, "vnni": _has_vnni()}

    def _studies(self, side: Any, per_class: int) -> StudySet:
        return make_split(side, per_class, self.work, processes=self.options.processes)

    def _where(self) -> str:
        return f"by ONNX Runtime's plain settings on {self._threads()} threads of a CPU with VNNI"

    def _threads(self) -> int:
        return int(self.options.threads or min(2, os.cpu_count() or 1))


def _cheap(one: dict[str, Any]) -> bool:
    return bool(one["seconds"] <= MOST_SECONDS and one["memory_over_size"] <= MOST_MEMORY)


def _has_vnni() -> bool:
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _machine() -> dict[str, Any]:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    return {
        "cpu": next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), ""),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "commit": producer_commit(),
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.proof", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=CLAIMS, default=CLAIMS, metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES, metavar="NAME", help="to export")
    parser.add_argument(
        "--studies",
        type=int,
        nargs=2,
        default=(32, 12),
        metavar=("TRAIN", "GOLDEN"),
        help="made of each class, of which those with the largest lesions are taken (default 32 12)",
    )
    parser.add_argument("--slices", type=int, default=128, metavar="N", help="to calibrate on (default 128)")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="calls that are timed (default 20)")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="of training, where there is a GPU")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of latency (default 2)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="that simulate studies")
    return parser


if __name__ == "__main__":
    sys.exit(main())
