"""Networks survive their way to ONNX, and those that would not are refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edge_app.core.errors import ExportError
from export.onnx_export import LENGTHS, OPSET, TOLERANCE, export_image_model, export_patient_model
from training.image_model import ImageModel
from training.patient_model import PatientModel


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    return np.random.default_rng(1).random((3, 3, 224, 224), dtype=np.float32)


def test_the_image_network_answers_as_torch_does(slices: np.ndarray) -> None:
    check = export_image_model(ImageModel(shrink=2), slices)
    network = onnx.load_from_string(check.content)
    assert check.max_difference <= TOLERANCE
    assert [(o.domain, o.version) for o in network.opset_import] == [("", OPSET)]
    assert not [tensor.name for tensor in network.graph.initializer if tensor.data_location]


def test_the_patient_network_answers_as_torch_does_at_every_length() -> None:
    torch.manual_seed(0)
    check = export_patient_model(PatientModel(19, width=16, hidden=8), 19)
    assert check.calls == 2 * len(LENGTHS)
    assert check.max_difference <= TOLERANCE


def test_the_exported_patient_network_ignores_padding() -> None:
    torch.manual_seed(0)
    session = onnxruntime.InferenceSession(
        export_patient_model(PatientModel(19, width=16, hidden=8), 19).content, providers=["CPUExecutionProvider"]
    )
    features = np.random.default_rng(0).standard_normal((1, 9, 19), dtype=np.float32)
    height = np.arange(9, dtype=np.float32)[None] * 5
    alone = session.run(None, {"features": features, "position_mm": height, "mask": np.ones((1, 9), np.float32)})
    padded = session.run(
        None,
        {
            "features": np.pad(features, ((0, 0), (0, 71), (0, 0)), constant_values=7.0),
            "position_mm": np.pad(height, ((0, 0), (0, 71))),
            "mask": np.pad(np.ones((1, 9), np.float32), ((0, 0), (0, 71))),
        },
    )
    assert np.allclose(alone[0], padded[0], atol=1e-6)
    assert np.allclose(alone[1], padded[1][:, :9], atol=1e-6)
    assert np.allclose(alone[2], padded[2], atol=1e-6)


class _BakesItsLength(nn.Module):
    def forward(
        self, features: torch.Tensor, position_mm: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        rows = int(features.shape[1])
        logits = features[:, :, :3].sum(dim=1) / rows
        return logits, mask / rows, position_mm.sum(dim=1)


def test_a_network_that_bakes_the_length_of_its_example_is_refused() -> None:
    with pytest.raises(ExportError, match=r"differ|fixed size"):
        export_patient_model(_BakesItsLength(), 19)
