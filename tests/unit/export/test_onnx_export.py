"""Networks survive their way to ONNX, and those that would not are refused."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edge_app.core.errors import ExportError
from edge_app.inference.bundle import demo_bundle_path
from export import onnx_export, onnx_file
from export.memory import free
from export.onnx_export import LENGTHS, OPSET, TOLERANCE, ExportCheck, export_image_model, export_patient_model
from export.onnx_file import facts_of, join_weights, read_graph, split_weights
from tests.tiny_networks import tiny_classifier
from training.families import Classifier
from training.image_model import DEMO_ARCHITECTURE, ImageModel
from training.patient_model import PatientModel
from training.run_patient import build_patient


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    return np.random.default_rng(1).random((3, 3, 224, 224), dtype=np.float32)


@pytest.fixture(scope="module")
def demo(slices: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> ExportCheck:
    path = tmp_path_factory.mktemp("demo") / "image.onnx"
    return export_image_model(ImageModel(shrink=2), slices, path, {"classes": "a,b,c"})


def operations(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_the_demo_network_answers_as_torch_does(demo: ExportCheck) -> None:
    network = read_graph(demo.path)
    assert demo.max_difference <= TOLERANCE and demo.flips == 0
    assert [(o.domain, o.version) for o in network.opset_import] == [("", OPSET)]
    assert facts_of(network) == {"classes": "a,b,c"}
    assert not [tensor.name for tensor in network.graph.initializer if tensor.data_location]
    assert "BatchNormalization" not in operations(network)
    assert [path.name for path in demo.path.parent.iterdir()] == ["image.onnx"]


def test_no_network_carries_the_paths_of_the_machine_that_exported_it(demo: ExportCheck) -> None:
    for path in (demo.path, *demo_bundle_path().glob("*.onnx")):
        content = path.read_bytes()
        assert not [word for word in (b"stack_trace", b"site-packages", b".py") if word in content], path.name


def test_a_classifier_is_exported_with_its_map(slices: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Classifier(DEMO_ARCHITECTURE, labels="findings", normalise=True)
    check = export_image_model(model, slices, tmp_path / "image.onnx")
    assert set(check.differences) == {"features", "logits", "saliency"} and check.decisions == 5


def test_nothing_keeps_the_weights_of_a_network_that_nobody_uses_again(slices: np.ndarray, tmp_path: Path) -> None:
    model = ImageModel(shrink=2)
    weights = [weakref.ref(weight) for weight in model.parameters()]
    check = export_image_model(model, slices, tmp_path / "image.onnx", last_use=True)
    free()
    assert check.flips == 0 and not any(weight() is not None for weight in weights)
    assert all(weight.is_meta for weight in model.parameters())


@pytest.mark.parametrize("family", ["vit_b_32", "swin_v2_t"])
def test_transformers_keep_layer_normalisation_whole(
    slices: np.ndarray, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_classifier(monkeypatch, family)
    network = read_graph(export_image_model(model, slices, tmp_path / "image.onnx").path)
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert sum(node.op_type == "LayerNormalization" for node in network.graph.node) >= len(norms) > 0
    assert not operations(network) & {"ScatterND", "GatherND", "Pow", "Sigmoid"}  # Swin's tables were computed


def test_attention_is_exported_without_turning_what_it_reads_and_makes(
    slices: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_classifier(monkeypatch, "vit_b_32")
    network = read_graph(export_image_model(model, slices, tmp_path / "image.onnx").path)
    turned = sum(node.op_type == "Transpose" for node in network.graph.node)
    blocks = len(model.net.encoder.layers)
    assert turned == 3 * blocks + 2  # one for all three, keys, answer; patches and map
    assert not any("forward" in vars(module) for module in model.modules()), "the model was changed"


class _TakesItsNormApart(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(224)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = image - image.mean(dim=3, keepdim=True)
        x = x / (x.pow(2).mean(dim=3, keepdim=True) + self.norm.eps).sqrt()
        return x.mean(dim=(2, 3)), x.mean(dim=(2, 3)), x[:, :, :7, :7]


def test_a_layer_normalisation_that_was_taken_apart_is_refused(slices: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="1 of 1 LayerNormalizations were taken apart"):
        export_image_model(_TakesItsNormApart(), slices, tmp_path / "image.onnx")


class _AnswersByWeather(nn.Module):
    """Says one thing while it is traced, and another when it is asked."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean = image.mean(dim=(2, 3))
        turned = mean if torch.compiler.is_exporting() else mean.flip(dims=(1,))
        return mean, turned, image[:, :, :7, :7]


def test_a_difference_beyond_tolerance_fails_the_export_and_leaves_no_file(slices: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differ by .* in 'logits'.* and in \d of 5 decisions"):
        export_image_model(_AnswersByWeather(), slices, tmp_path / "image.onnx")
    assert not list(tmp_path.iterdir())


class _LostOutsideOfTheExport(nn.Module):
    """Says NaN where torch is asked: no difference to NaN is larger than any tolerance."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean = image.mean(dim=(2, 3))
        lost = mean if torch.compiler.is_exporting() else mean * float("nan")
        return lost, mean, image[:, :, :7, :7]


def test_a_network_that_is_nan_in_torch_alone_fails_the_export(slices: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'features' is not finite in torch"):
        export_image_model(_LostOutsideOfTheExport(), slices, tmp_path / "image.onnx")


@pytest.mark.parametrize(("arch", "recipe", "sizes"), [
    ("gru", "ours", {"width": 16, "hidden": 8}), ("transformer", "ours", {"width": 16}),
    ("gru", "seed2023", {"hidden": 8}), ("transformer", "seed2023", {"heads": 2, "feed_forward": 16}),
])  # fmt: skip
def test_every_patient_network_answers_as_torch_does_at_every_length(
    tmp_path: Path, arch: str, recipe: str, sizes: dict[str, int]
) -> None:
    torch.manual_seed(0)
    real = [(np.random.default_rng(3).random((33, 19), dtype=np.float32), np.arange(33, dtype=np.float32) * 5)]
    model = build_patient(arch, recipe, 19, **sizes).eval()
    check = export_patient_model(model, 19, tmp_path / "patient.onnx", studies=real)
    assert check.calls == 2 * len(LENGTHS) + 1 and check.decisions == 4 * len(LENGTHS) + 1
    assert check.max_difference <= TOLERANCE


def test_the_exported_patient_network_ignores_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    check = export_patient_model(PatientModel(19, width=16, hidden=8), 19, tmp_path / "patient.onnx")
    session = onnxruntime.InferenceSession(check.path, providers=["CPUExecutionProvider"])
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


def test_a_network_that_bakes_the_length_of_its_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differ|fixed size"):
        export_patient_model(_BakesItsLength(), 19, tmp_path / "patient.onnx")


def test_another_opset_than_asked_for_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: np.ndarray
) -> None:
    monkeypatch.setattr(onnx_export, "OPSET", 21)
    infer = onnx.shape_inference.infer_shapes

    def stays_behind(model: onnx.ModelProto, **options: bool) -> onnx.ModelProto:
        model.opset_import[0].version = 18
        return infer(model, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", stays_behind)
    with pytest.raises(ExportError, match="wrote opsets"):
        export_image_model(_AnswersByWeather(), slices, tmp_path / "image.onnx")


def test_a_network_can_be_split_from_its_weights_and_joined_again(
    demo: ExportCheck, tmp_path: Path, slices: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = demo.path
    light = split_weights(read_graph(whole), tmp_path / "split", "image.onnx")
    assert light.stat().st_size < whole.stat().st_size / 10
    join_weights(onnx.load(light, load_external_data=False), light.parent, tmp_path / "again.onnx")
    one, other = (
        onnxruntime.InferenceSession(p).run(None, {"image": slices}) for p in (whole, tmp_path / "again.onnx")
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 1000)
    with pytest.raises(ExportError, match=r"one ONNX file holds at most"):
        join_weights(onnx.load(light, load_external_data=False), light.parent, tmp_path / "again.onnx")


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"no protobuf"):
        (tmp_path / "broken.onnx").write_bytes(content)
        with pytest.raises(ExportError, match=r"broken\.onnx"):
            read_graph(tmp_path / "broken.onnx")
