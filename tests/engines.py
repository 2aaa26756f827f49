"""Bundles, golden sets and a machine for the tests of engines, over the fake TensorRT and the fake GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.device import CudaDevice, Fingerprint
from edge_app.inference.passport import GOLDEN_FILE
from export.engine.machine import Machine
from export.golden import GoldenSet
from tests.bundles import image_network, write_tiny_bundle

SCALE = 5.0
"""Makes the tiny image network sure of its answers."""

CUDA = CudaDevice(gpu="Orin", compute_capability="8.7", sm_count=8, memory_mib=7620, cuda="12.6")


def machine(version: str = "10.3.0", **changes: object) -> Machine:
    """Return an Orin Nano with JetPack 6.2."""
    known = {
        "gpu": CUDA.gpu,
        "compute_capability": CUDA.compute_capability,
        "sm_count": CUDA.sm_count,
        "memory_mib": 7680,
        "tensorrt": version,
        "cuda": CUDA.cuda,
        "driver": "540.4.0",
        "l4t": "36.4.3",
        "jetpack": "6.1/6.2",
        "module": "NVIDIA Jetson Orin Nano Developer Kit",
    }
    return Machine(Fingerprint.model_validate({**known, **changes}), available_mib=6000, power_mode="0003")


def golden_set(slices: int = 2) -> GoldenSet:
    """Return one patient per class, whom the tiny network tells apart."""
    images = np.zeros((3 * slices, 3, 224, 224), np.float32)
    for patient in range(3):
        images[patient * slices : (patient + 1) * slices, patient] = 1.0
    return GoldenSet(
        images,
        np.repeat(np.arange(3), slices),
        np.tile(np.arange(slices, dtype=np.float64) * 5, 3),
        np.arange(3),
    )


def engine_bundle(
    folder: Path,
    *,
    fp16: bytes | None = None,
    int8: bytes | None = None,
    golden: bytes | None = None,
    with_golden: bool = True,
) -> Bundle:
    """Write a tiny bundle with the networks given and a golden set, and load it."""
    extra = {
        name: content
        for name, content in {
            "image.fp16.onnx": fp16,
            "image.int8.onnx": int8,
            "calibration.json": b'{"method": "entropy"}\n' if int8 else None,
            GOLDEN_FILE: (golden or golden_set().to_bytes()) if with_golden else None,
        }.items()
        if content is not None
    }
    write_tiny_bundle(folder, patient_bias=(0.0, 0.0, 0.0), image=image_network(scale=SCALE), extra=extra)
    return load_bundle(folder)
