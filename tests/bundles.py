"""Tiny model bundles for tests: real manifests, and ONNX networks small enough to follow by hand.

The image network's features are the mean of each input channel, its logits a fixed linear map of them; the patient
network averages the slice logits and adds `patient_bias`, so that a test can choose the verdict.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from edge_app.core.types import CLASSES
from edge_app.inference.manifest import (
    IMAGE_FILE,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    PATIENT_FILE,
    Calibration,
    ImageModel,
    Manifest,
    OperatingPoint,
    PatientModel,
    Preprocessing,
)
from edge_app.inference.signature import DEVELOPMENT_KEY, SIGNATURE_FILE
from edge_app.preprocessing import get_profile, profile_hash
from export.signing import sign

FEATURES = 3
"""F of the tiny image network."""

VERDICT_BIAS = {"negative": (8.0, 0.0, 0.0), "hemorrhage": (0.0, 8.0, 0.0), "ischemic": (0.0, 0.0, 8.0)}
"""Patient biases that make the verdict certain, whatever the images show."""


def image_network(features: int = FEATURES, scale: float = 1.0) -> bytes:
    """Return an image network: channel means → features → logits; saliency is the input averaged to 7×7."""
    spread = np.zeros((3, features), np.float32)
    spread[:, :3] = np.eye(3, dtype=np.float32)
    head = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0], [0.5, 0.5, 1.0]], np.float32) * scale
    head = np.concatenate([head, np.zeros((features - 3, 3), np.float32)])
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "spread"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["logits"]),
        helper.make_node("AveragePool", ["image"], ["saliency"], kernel_shape=[32, 32], strides=[32, 32]),
    ]
    return _network(
        nodes,
        inputs={"image": ("N", 3, 224, 224)},
        outputs={"features": ("N", features), "logits": ("N", 3), "saliency": ("N", 3, 7, 7)},
        constants={"spread": spread, "head": head},
    )


def patient_network(
    features: int = FEATURES, bias: Sequence[float] = (0.0, 0.0, 0.0), distance: float = 0.5, per_mm: float = 0.0
) -> bytes:
    """Return a patient network: the masked mean of the slice logits plus `bias`, even attention, a fixed distance.

    `per_mm` times the mean height is added to the distance, so that a test can see that positions arrive.
    """
    nodes = [
        helper.make_node("ReduceSum", ["mask", "axis_t"], ["count"], keepdims=1),
        helper.make_node("Div", ["mask", "count"], ["attention"]),
        helper.make_node("Unsqueeze", ["attention", "axis_t"], ["row"]),
        helper.make_node("MatMul", ["row", "features"], ["mean_row"]),
        helper.make_node("Squeeze", ["mean_row", "axis_t"], ["mean"]),
        helper.make_node("MatMul", ["mean", "pick"], ["slice_logits"]),
        helper.make_node("Add", ["slice_logits", "bias"], ["logits"]),
        helper.make_node("Mul", ["position_mm", "attention"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "axis_t"], ["height"], keepdims=0),
        helper.make_node("Mul", ["height", "per_mm"], ["height_part"]),
        helper.make_node("Add", ["height_part", "base"], ["distance"]),
    ]
    pick = np.concatenate([np.zeros((features, 3), np.float32), np.eye(3, dtype=np.float32)])
    return _network(
        nodes,
        inputs={"features": ("B", "T", features + 3), "position_mm": ("B", "T"), "mask": ("B", "T")},
        outputs={"logits": ("B", 3), "attention": ("B", "T"), "distance": ("B",)},
        constants={
            "axis_t": np.array([1], np.int64),
            "pick": pick,
            "bias": np.array(bias, np.float32),
            "per_mm": np.array(per_mm, np.float32),
            "base": np.array(distance, np.float32),
        },
    )


def write_tiny_bundle(
    folder: Path,
    *,
    patient_bias: Sequence[float] = VERDICT_BIAS["negative"],
    distance: float = 0.5,
    profile: str = "msu1",
    profile_sha256: str | None = None,
    max_slices: int = 80,
    image: bytes | None = None,
    patient: bytes | None = None,
    synthetic: bool = True,
    extra: Mapping[str, bytes] | None = None,
    features: int = FEATURES,
    evaluation: Mapping[str, object] | None = None,
    version: str = "0.0.1",
    key: Ed25519PrivateKey | None = DEVELOPMENT_KEY,
) -> Path:
    """Write a whole, valid bundle to `folder`, signed, and return it; the arguments make it say or lack something."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        IMAGE_FILE: image or image_network(),
        PATIENT_FILE: patient or patient_network(bias=patient_bias, distance=distance),
        MODEL_CARD_FILE: b"# Tiny test model (SYNTHETIC)\n",
        **(extra or {}),
    }
    manifest = Manifest(
        schema_version=1,
        name="tiny",
        version=version,
        created_utc="2026-01-01T00:00:00.000000Z",
        producer_commit="0" * 40,
        synthetic=synthetic,
        classes=CLASSES,
        preprocessing=Preprocessing(profile=profile, sha256=profile_sha256 or profile_hash(get_profile(profile))),
        image=ImageModel(architecture="channel-means", features=features),
        patient=PatientModel(architecture="mean", max_slices=max_slices, distance_threshold=1.0),
        operating_points={
            "hemorrhage": OperatingPoint(t_lo=0.3, t_hi=0.6),
            "ischemic": OperatingPoint(t_lo=0.4, t_hi=0.7),
        },
        calibration=Calibration(temperature=1.0),
        training={"sources": "none"},
        evaluation=dict(evaluation or {"n": 0}),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())
    if key is not None:
        (folder / SIGNATURE_FILE).write_bytes(sign("bundle", manifest.to_bytes(), key).to_bytes())
    return folder


def zip_bundle(folder: Path, archive: Path, *, top: str = "") -> Path:
    """Pack a bundle's folder into a zip, optionally inside a top folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.iterdir()):
            target.write(path, top + path.name)
    return archive


def _network(
    nodes: list[onnx.NodeProto],
    *,
    inputs: dict[str, tuple[int | str, ...]],
    outputs: dict[str, tuple[int | str, ...]],
    constants: dict[str, np.ndarray],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
