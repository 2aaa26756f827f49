"""Any torchvision classifier with a feature map becomes an image network with a class activation map."""

from __future__ import annotations

import pytest
import torch

from edge_app.core.errors import TrainingError
from training.image_model import DEMO_ARCHITECTURE, FINE_ARCHITECTURE, ImageModel

ARCHITECTURES = (
    DEMO_ARCHITECTURE,
    FINE_ARCHITECTURE,
    "resnet18",
    "shufflenet_v2_x0_5",
    "mobilenet_v3_small",
    "squeezenet1_1",
    "swin_t",
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_mean_of_the_activation_map_is_the_logit_without_bias(architecture: str) -> None:
    model = ImageModel(architecture).eval()
    with torch.no_grad():
        output = model(torch.rand(2, 3, 224, 224))
    assert output.features.shape == (2, model.features)
    assert output.logits.shape == (2, 3)
    assert output.saliency.shape[:2] == (2, 3)
    assert torch.allclose(output.saliency[:, 1:].mean(dim=(2, 3)) + model.head.bias, output.logits[:, 1:], atol=1e-4)
    assert not output.logits[:, 0].any() and not output.saliency[:, 0].any()


def test_the_demo_network_shows_where_it_looked_at_14_by_14() -> None:
    with torch.no_grad():
        assert ImageModel(shrink=2).eval()(torch.rand(1, 3, 224, 224)).saliency.shape == (1, 3, 14, 14)


def test_an_unknown_classifier_is_refused_by_name() -> None:
    with pytest.raises(TrainingError, match="resnet19"):
        ImageModel("resnet19")


def test_a_classifier_without_a_feature_map_is_refused() -> None:
    with pytest.raises(TrainingError, match="no feature map"):
        ImageModel("vit_b_16")
