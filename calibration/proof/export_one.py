"""Export one family and say what it cost, as JSON: ``python -m calibration.proof.export_one FAMILY SLICES OUT``.

A process of its own, because memory is what is measured. What the libraries need is counted out by exporting a small
network (5 MB) first; the weights in torch and everything that export and comparison need on top is counted.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edge_app.core.clock import monotonic_s
from export.facts import network_facts
from export.onnx_export import ExportCheck, export_image_model, export_patient_model
from training.families import Classifier, head_of
from training.image_model import DEMO_ARCHITECTURE
from training.run_patient import build_patient

PROFILE = "msu1"
PATIENTS = {
    "patient-gru": ("gru", "ours"),
    "patient-transformer": ("transformer", "ours"),
    "patient-gru-published": ("gru", "seed2023"),
    "patient-transformer-published": ("transformer", "seed2023"),
}


def main(family: str, slices: Path, out: Path) -> None:
    """Export and print."""
    images = np.load(slices)
    with tempfile.TemporaryDirectory() as folder:
        export_image_model(Classifier(DEMO_ARCHITECTURE), images[:1], Path(folder) / "small.onnx")
    gc.collect()
    before_mib = _memory_mib("VmRSS")
    torch.manual_seed(2023)
    started_s = monotonic_s()
    check = _patient(family, out) if family in PATIENTS else _image(family, images, out)
    seconds = monotonic_s() - started_s
    size_mib = check.path.stat().st_size / 2**20
    used_mib = _memory_mib("VmHWM") - before_mib
    body = {
        "seconds": round(seconds, 1),
        "file_mib": round(size_mib, 1),
        "memory_mib": round(used_mib, 1),
        "memory_over_size": round(used_mib / size_mib, 2),
        "max_difference": check.max_difference,
        "decisions": check.decisions,
        "flips": check.flips,
    }
    sys.stdout.write(json.dumps(body) + "\n")


def _image(family: str, images: np.ndarray, out: Path) -> ExportCheck:
    model = Classifier(family).eval()
    for module in head_of(model.net)[1].modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.05)  # ViT's is zero, which would compare nothing
    facts = network_facts(PROFILE, commit="none: random weights", synthetic=True, labels="softmax", architecture=family)
    return export_image_model(model, images, out, facts, last_use=True)


def _patient(family: str, out: Path) -> ExportCheck:
    arch, recipe = PATIENTS[family]
    features = 2048 + 3  # of ResNet-152
    return export_patient_model(build_patient(arch, recipe, features).eval(), features, out)


def _memory_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
