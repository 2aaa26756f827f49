"""Every torchvision classifier gets our head, keeps its features, and says where it looked."""

from __future__ import annotations

import pytest
import torch

from edge_app.core.errors import TrainingError
from training.families import FAMILIES, Classifier, architectures
from training.image_model import DEMO_ARCHITECTURE

FEATURES = {"resnet18": 512, "efficientnet_v2_s": 1280, "vit_b_16": 768, "vit_l_16": 1024, "resnet152": 2048}
OTHERS = (
    "alexnet", "vgg11", "squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2",
    "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "convnext_tiny", "swin_t", "maxvit_t",
    DEMO_ARCHITECTURE,
)  # fmt: skip


def shapes_of(architecture: str, labels: str = "softmax") -> tuple[Classifier, tuple[torch.Size, ...]]:
    with torch.device("meta"):  # shapes without numbers: fourteen networks in seconds
        model = Classifier(architecture, labels=labels).eval()
        output = model(torch.zeros(2, 3, 224, 224))
    return model, tuple(part.shape for part in output)


@pytest.mark.parametrize("architecture", [*FAMILIES, *OTHERS])
def test_every_family_gives_features_logits_and_a_map(architecture: str) -> None:
    model, (features, logits, saliency) = shapes_of(architecture)
    assert features == (2, model.features)
    assert model.features == FEATURES.get(architecture, model.features)
    assert logits == (2, 3)
    assert saliency[:2] == (2, 3)
    assert 5 <= saliency[2] == saliency[3] <= 14


def test_every_other_classifier_of_torchvision_is_known_by_name() -> None:
    assert len(architectures()) >= 80
    with pytest.raises(TrainingError, match="no classifier named 'resnet19'"):
        Classifier("resnet19")


@pytest.mark.parametrize(("architecture", "key"), [
    ("vit_b_32", "heads.0.weight"), ("resnet18", "fc.0.weight"), ("swin_v2_t", "head.0.weight"),
    ("efficientnet_v2_s", "classifier.1.weight"),
])  # fmt: skip
def test_heads_have_their_published_names(architecture: str, key: str) -> None:
    with torch.device("meta"):
        assert Classifier(architecture).net.state_dict()[key].shape[0] == 3


@pytest.mark.parametrize(
    "architecture", ["resnet18", "regnet_x_400mf", "swin_v2_t", "densenet121", "squeezenet1_1", DEMO_ARCHITECTURE]
)
def test_the_mean_of_a_class_activation_map_plus_the_bias_is_the_logit(architecture: str) -> None:
    torch.manual_seed(0)
    model = Classifier(architecture).eval()
    with torch.no_grad():
        _, logits, saliency = model(torch.rand(2, 3, 224, 224))
        bias = [m for m in model.net.modules() if isinstance(m, torch.nn.Linear)][-1].bias
    assert saliency.abs().max() > 0
    assert torch.allclose(saliency.mean(dim=(2, 3)) + bias, logits, atol=1e-4)


def test_the_saliency_of_a_vision_transformer_is_its_class_tokens_attention() -> None:
    torch.manual_seed(0)
    model = Classifier("vit_b_32").eval()
    torch.nn.init.normal_(model.net.heads[0].weight, std=0.1)
    block = model.net.encoder.layers[-1]
    caught = {}
    block.self_attention.register_forward_hook(lambda module, inputs, output: caught.update(x=inputs[0], out=output[0]))
    with torch.no_grad():
        saliency = model(torch.rand(1, 3, 224, 224)).saliency
        # All tokens together carry what torch's own attention puts into the class token, but for the biases.
        attend, head = block.self_attention, model.net.heads[0]
        direction = head.weight * model.net.encoder.ln.weight
        whole = (caught["out"][:, 0] - attend.out_proj.bias) @ direction.T
        x = caught["x"]
        _, weights = attend(x, x, x, need_weights=True, average_attn_weights=False)
        value = torch.nn.functional.linear(x, attend.in_proj_weight[1536:], attend.in_proj_bias[1536:])
        own = (weights[0, :, 0, 0, None] * value[0, 0].reshape(12, 64)).reshape(1, 768)
        of_class_token = own @ attend.out_proj.weight.T @ direction.T
    assert torch.allclose(saliency.sum(dim=(2, 3)) + of_class_token, whole, atol=1e-4)


def test_findings_answer_for_themselves_and_still_make_three_logits() -> None:
    torch.manual_seed(0)
    model = Classifier(DEMO_ARCHITECTURE, labels="findings").eval()
    with torch.no_grad():
        _, logits, saliency = model(torch.rand(2, 3, 224, 224))
    assert logits.shape == (2, 3) and saliency.shape[1] == 3
    assert (logits[:, 0] == 0).all() and (logits[:, 1:] != 0).all()


def test_training_spends_nothing_on_maps() -> None:
    model = Classifier(DEMO_ARCHITECTURE).train()
    assert model(torch.rand(2, 3, 224, 224)).saliency.numel() == 0
