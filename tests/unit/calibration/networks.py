"""Networks whose answers can be followed by hand, and the bundle around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import ImageModel, Manifest
from edge_app.inference.onnx_backend import OnnxBackend
from export.gate import GateReport, GoldenScores, judge, score_patients, score_slices
from export.rounded import open_faithful
from tests.bundles import patient_network, write_tiny_bundle
from tests.engines import golden_set
from training.families import Classifier

BRIGHT = 0.75
"""Smoothed values above it are seen; noise between 0 and 1 never reaches it."""


def detector(features: int = 4) -> bytes:
    """Return a network of two convolutions that sees bright regions, class k in channel k; slices without are class 0.

    Calibrated on noise, the range of what the second convolution makes is never learnt.
    """
    smooth = np.zeros((features, 3, 7, 7), np.float32)
    smooth[range(3), range(3)] = 1 / 49
    detect = np.zeros((features, features, 1, 1), np.float32)
    detect[range(features), range(features)] = 40.0
    spread = np.zeros((features, features, 1, 1), np.float32)
    spread[range(features), range(features)] = 1.0
    nodes = [
        helper.make_node("Conv", ["image", "smooth"], ["smoothed"], pads=[3, 3, 3, 3], strides=[4, 4]),
        helper.make_node("Relu", ["smoothed"], ["light"]),
        helper.make_node("Conv", ["light", "detect", "threshold"], ["detected"]),
        helper.make_node("Relu", ["detected"], ["bright"]),
        helper.make_node("Conv", ["bright", "spread"], ["again"]),
        helper.make_node("Add", ["again", "bright"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "head", "lean"], ["logits"]),
        helper.make_node("AveragePool", ["image"], ["saliency"], kernel_shape=[32, 32], strides=[32, 32]),
    ]
    constants = {
        "smooth": smooth,
        "detect": detect,
        "spread": spread,
        "threshold": np.full(features, -40.0 * BRIGHT, np.float32),
        "head": 0.5 * np.eye(features, 3, dtype=np.float32),
        "lean": np.array([1.0, 0.0, 0.0], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("N", 3, 224, 224))],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ("N", features)),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", 3)),
            helper.make_tensor_value_info("saliency", TensorProto.FLOAT, ("N", 3, 7, 7)),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def detector_bundle(folder: Path) -> Bundle:
    """Write the detector with a patient network that suspects haemorrhage where little is seen."""
    patient = patient_network(features=4, bias=(0.0, 3.0, 0.0))
    write_tiny_bundle(folder, image=detector(), patient=patient, features=4)
    return load_bundle(folder)


def teach(model: Classifier, images: np.ndarray) -> None:
    """Set the head so that image k is class k, far from any doubt."""
    with torch.no_grad():
        features = model(torch.from_numpy(images)).features
        head = [m for m in model.net.modules() if isinstance(m, torch.nn.Linear)][-1]
        head.weight.copy_((torch.linalg.pinv(features) @ (8.0 * torch.eye(3))).T)
        head.bias.zero_()


def gate(manifest: Manifest, exact: bytes, candidate: bytes) -> GateReport:
    """Judge an image network on the golden set of the tests, as a bundle's maker does."""
    golden = golden_set()
    features = manifest.image.features
    with OnnxBackend(patient_network(features=features)) as patient:

        def answers(content: bytes) -> GoldenScores:
            with open_faithful(content) as image:
                return score_patients(golden, score_slices(golden, image, manifest), patient, manifest)

        return judge(answers(exact), lambda: answers(candidate))


def manifest_with(folder: Path, features: int) -> Manifest:
    """Return a manifest of an image network with so many features."""
    manifest = load_bundle(write_tiny_bundle(folder)).manifest
    return manifest.model_copy(update={"image": ImageModel(architecture="test", features=features)})
