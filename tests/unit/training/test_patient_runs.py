"""Features are computed once; patient networks train as published and as ours; published weights are taken up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_app.cli import main
from edge_app.core.errors import ConfigError, TrainingError
from training.data.prepared import open_prepared
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.feature_cache import FeatureCache, open_cache, study_features
from training.features import FeatureSet
from training.image_model import DEMO_ARCHITECTURE
from training.patient_transformer import PatientTransformer
from training.published import BiGRUModel, CNNTransformer, PublishedPatient
from training.published_weights import import_image, import_patient
from training.run_patient import PUBLISHED, build_patient, load_patient, train_studies


@pytest.fixture(scope="session")
def image_folder(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    torch.manual_seed(0)
    save_image_network(folder, Classifier(DEMO_ARCHITECTURE), {"profile": "msu1"})
    return folder


def test_features_are_computed_once_for_the_same_pixels_and_weights(prepared: Path, image_folder: Path) -> None:
    data = open_prepared(prepared)["validation"]
    model, _ = load_image_network(image_folder)
    first, again = FeatureCache(image_folder, model), FeatureCache(image_folder, model)
    rows = study_features(first, data)
    same = study_features(again, data)
    assert (first.computed, again.computed) == (sum(len(part) for part in rows.features), 0)
    for part, other in zip(rows.features, same.features, strict=True):
        assert np.array_equal(part, other)
    with torch.no_grad():
        output = model(torch.from_numpy(data.inputs(np.arange(2))).float() / 255.0)
    wanted = torch.cat([output.features, output.logits], dim=1).numpy()
    slices = np.flatnonzero(data.seen)[:2]
    assert np.array_equal(slices, [0, 1])
    assert np.allclose(rows.features[0][:2], wanted, atol=1e-5)
    nn.init.zeros_(model.net.fc[0].weight)
    assert FeatureCache(image_folder, model).path != first.path


@pytest.mark.parametrize("epochs", [0, -1])
def test_training_for_no_epoch_is_refused_not_replaced_by_the_recipes(epochs: int) -> None:
    nothing = FeatureSet((), ())
    with pytest.raises(ConfigError, match=f"epochs = {epochs}"):
        train_studies("gru", "ours", nothing, nothing, epochs=epochs)


def test_slices_of_another_preprocessing_than_the_networks_are_refused(prepared: Path, tmp_path: Path) -> None:
    for facts, named in (
        ({"profile": "seed2023"}, "trained on profile seed2023"),
        ({"profile": "msu1", "profile_sha256": "0" * 64}, "another version of profile msu1"),
    ):
        save_image_network(tmp_path, Classifier(DEMO_ARCHITECTURE), facts)
        with pytest.raises(TrainingError, match=named):
            open_cache(tmp_path, prepared)


@pytest.mark.parametrize(("arch", "recipe"), [(a, r) for a in ("gru", "transformer") for r in ("ours", "seed2023")])
def test_every_patient_network_trains_and_is_read_again(
    prepared: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arch: str, recipe: str
) -> None:
    words = f"train patient --data {prepared} --image {image_folder} --out {tmp_path} --device cpu --epochs 2"
    assert main([*words.split(), "--arch", arch, "--recipe", recipe]) == 0
    # Every study of this AISD has an infarct: nothing tells ischaemia from AISD.
    assert ("no no-ischemic" in capsys.readouterr().err) == (recipe == "ours")
    model, description = load_patient(tmp_path)
    assert description["recipe"] == recipe and description["labels"] == "softmax" and not model.training
    assert (description["distance_threshold"] is None) == (recipe == "seed2023")


def test_published_hyperparameters_are_the_papers() -> None:
    gru = build_patient("gru", "seed2023", 2051)
    assert (gru.net.gru.hidden_size, gru.net.gru.num_layers, gru.net.gru.bidirectional) == (150, 2, True)
    assert (PUBLISHED["gru"].learning_rate, PUBLISHED["gru"].batch, PUBLISHED["gru"].patience) == (1e-4, 4, 5)
    assert (PUBLISHED["transformer"].batch, PUBLISHED["transformer"].patience) == (8, 20)
    with torch.device("meta"):
        layer = build_patient("transformer", "seed2023", 2051).net.transformer_encoder.layers
    assert len(layer) == 1 and layer[0].self_attn.embed_dim == 2048 and layer[0].dropout.p == 0.05
    with pytest.raises(ConfigError, match="heads"):
        build_patient("transformer", "seed2023", 20, heads=3)


def test_the_published_gru_reads_padding_and_ours_does_not() -> None:
    torch.manual_seed(0)
    x, places, mask = torch.randn(1, 10, 19), torch.arange(10.0)[None] * 5, torch.ones(1, 10)
    padded = [nn.functional.pad(part, pad) for part, pad in ((x, (0, 0, 0, 30)), (places, (0, 30)), (mask, (0, 30)))]
    published = PublishedPatient(BiGRUModel(19), 19).eval()
    with torch.no_grad():
        steps = published.net.gru(nn.functional.pad(x, (0, 0, 0, 70)))[0]
        assert torch.allclose(published(x, places, mask).logits, published.net.fc(steps[:, -1]), atol=1e-6)
        for ours in (build_patient("gru", "ours", 19), PatientTransformer(19)):
            ours.eval()
            assert torch.allclose(ours(x, places, mask).logits, ours(*padded).logits, atol=1e-5)


@pytest.mark.parametrize(("architecture", "head"), [
    ("resnet18", "fc.0"), ("resnet18", "fc"), ("squeezenet1_1", "classifier.3"), ("vit_b_32", "heads.0"),
])  # fmt: skip
def test_published_image_weights_are_taken_up(tmp_path: Path, architecture: str, head: str) -> None:
    torch.manual_seed(1)
    original = Classifier(architecture).eval()
    state = {name.replace("fc.0.", f"{head}.") if head == "fc" else name: value
             for name, value in original.net.state_dict().items()}  # fmt: skip
    assert f"{head}.weight" in state
    torch.save(state, tmp_path / f"{architecture}.ckpt")
    assert main(["train", "import", "image", str(tmp_path / f"{architecture}.ckpt"), "--out", str(tmp_path)]) == 0
    model, description = load_image_network(tmp_path)
    assert description["profile"] == "seed2023" and "NON-COMMERCIAL" in description["licences"]["rsna"]
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(model(image).logits, original(image).logits)


@pytest.mark.parametrize("names", [("gru.", "fc."), ("rnn.", "linear."), ("module.gru.", "module.classifier.")])
def test_a_published_gru_is_taken_up_whatever_its_attributes_are_called(tmp_path: Path, names: tuple[str, str]) -> None:
    original = BiGRUModel(19, hidden=7)
    state = {k.replace("gru.", names[0]).replace("fc.", names[1]): v for k, v in original.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "gru.pt")
    import_patient(tmp_path / "gru.pt", "gru", tmp_path)
    model, description = load_patient(tmp_path)
    assert description["sizes"] == {"hidden": 7, "layers": 2}
    assert all(torch.equal(value, model.net.state_dict()[name]) for name, value in original.state_dict().items())


def test_a_published_transformer_is_taken_up(tmp_path: Path) -> None:
    original = CNNTransformer(16, heads=4, feed_forward=32).eval()
    torch.save({**original.state_dict(), "pos_encoder.pe": torch.zeros(80, 16)}, tmp_path / "t.pt")
    import_patient(tmp_path / "t.pt", "transformer", tmp_path, heads=4)
    model, _ = load_patient(tmp_path)
    x = torch.randn(2, 80, 19)
    with torch.no_grad():
        assert torch.allclose(model(x, torch.zeros(2, 80), torch.ones(2, 80)).logits, original(x[..., :16]), atol=1e-6)


def test_a_pickled_model_is_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "whole.pt")
    assert main(["train", "import", "gru", str(tmp_path / "whole.pt"), "--out", str(tmp_path / "o")]) == 9
    error = capsys.readouterr().err
    assert "any code" in error and "state_dict(), 'state.pt'" in error


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    with pytest.raises(TrainingError, match="no published gru"):
        import_patient(tmp_path / "other.pt", "gru", tmp_path)
    with pytest.raises(TrainingError, match="not the weights of squeezenet1_1"):
        import_image(tmp_path / "other.pt", "squeezenet1_1", tmp_path)
