"""The demo's image-level network: a convolutional trunk with a head that also says where it looked.

The last feature map is averaged into the features, and one linear layer turns them into the logits of both findings,
each answered for itself. Because the head is linear, its weights applied to the map itself give the class activation
map (Zhou et al., CVPR 2016): the mean of a finding's map plus the bias *is* that finding's logit, so the map needs no
gradient and exports like any other output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torchvision.models import densenet, get_model, list_models, resnet

from edge_app.core.errors import TrainingError
from edge_app.core.types import FINDINGS

__all__ = ["COARSE_ARCHITECTURE", "DEMO_ARCHITECTURE", "FINE_ARCHITECTURE", "ImageModel", "ImageOutput"]

DEMO_ARCHITECTURE = "resnet10_s16"
"""torchvision's ResNet with one basic block a stage, cut after the third: 1.2 million parameters, stride 16.

Dense 3×3 convolutions train three times faster on a CPU than depth-wise ones of the same size, and stride 16 keeps
the class activation map twice as fine as the usual 32.
"""


COARSE_ARCHITECTURE = f"{DEMO_ARCHITECTURE}_2mm"
"""The same behind an average over 2 × 2 pixels: a quarter of the cost. For tests and proofs on CPUs."""


FINE_ARCHITECTURE = "resnet10_s8"
"""The same with its third stage laid over the second one's map, as in a feature pyramid (Lin et al., CVPR 2017).

The map that the head reads, and so the class activation map, is twice as fine for a tenth more computing; a third
stage of stride 8 would cost three quarters more.
"""


class ImageOutput(NamedTuple):
    """`features` (N, F), `logits` (N, 3) and `saliency` (N, 3, h, w), one class activation map per class."""

    features: torch.Tensor
    logits: torch.Tensor
    saliency: torch.Tensor


class ImageModel(nn.Module):
    """Slices to features, logits and class activation maps.

    Parameters
    ----------
    architecture
        Any torchvision classifier that ends in a feature map (ResNet, ResNeXt, EfficientNet, MobileNet, ShuffleNet,
        DenseNet …), `DEMO_ARCHITECTURE` or `FINE_ARCHITECTURE`.
    shrink
        Side of the blocks averaged before the first layer; 2 turns 1 mm pixels into 2 mm, which quarters the cost and
        halves the noise.
    dropout
        Share of features dropped before the head in training.

    Raises
    ------
    TrainingError
        If torchvision has no such classifier, or it has no feature map to take a class activation map from.
    """

    def __init__(self, architecture: str = FINE_ARCHITECTURE, *, shrink: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        self.architecture = architecture
        self.shrink = nn.AvgPool2d(shrink) if shrink > 1 else nn.Identity()
        self.trunk = _trunk(architecture)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(_width(self.trunk), len(FINDINGS))

    @property
    def features(self) -> int:
        """F, the number of features of a slice."""
        return self.head.in_features

    def feature_map(self, image: torch.Tensor) -> torch.Tensor:
        """Return the last feature map (N, F, h, w) of slices (N, 3, H, W) in [0, 1]."""
        return self.trunk(self.shrink(image))

    def forward(self, image: torch.Tensor) -> ImageOutput:
        """Return features, logits and saliency of slices (N, 3, 224, 224) in [0, 1]; class "negative" has zeros."""
        return self.read(self.feature_map(image))

    def read(self, feature_map: torch.Tensor) -> ImageOutput:
        """Return features, logits and saliency of a feature map (N, F, h, w)."""
        features = feature_map.mean(dim=(2, 3))
        logits, saliency = self.head(self.dropout(features)), self.saliency(feature_map)
        return ImageOutput(features, nn.functional.pad(logits, (1, 0)), nn.functional.pad(saliency, (0, 0, 0, 0, 1, 0)))

    def saliency(self, feature_map: torch.Tensor) -> torch.Tensor:
        """Return (N, 2, h, w), the class activation map of each finding."""
        return nn.functional.conv2d(feature_map, self.head.weight[:, :, None, None])


class _FineTrunk(nn.Module):
    """Three stages of a ResNet, the third brought to the second's size and added to it."""

    def __init__(self) -> None:
        super().__init__()
        net = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1])
        self.second = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
        self.third = net.layer3
        self.across = nn.Conv2d(128, 256, 1, bias=False)
        self.up = nn.ConvTranspose2d(256, 256, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(256)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (N, 256, H / 8, W / 8)."""
        second = self.second(image)
        return torch.relu(self.norm(self.across(second) + self.up(self.third(second))))


def _demo_trunk() -> nn.Module:
    net = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1])
    return nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)


def _children_before(name: str) -> Callable[[nn.Module], nn.Module]:
    """Return a cutter that keeps the children that torchvision runs before `name`, in their order."""

    def cut(net: nn.Module) -> nn.Module:
        kept: list[nn.Module] = []
        for child, module in net.named_children():
            if child == name:
                break
            kept.append(module)
        return nn.Sequential(*kept)

    return cut


def _trunk(architecture: str) -> nn.Module:
    """Return the part of a torchvision classifier up to its last feature map, randomly initialised."""
    if architecture == DEMO_ARCHITECTURE:
        return _demo_trunk()
    if architecture == FINE_ARCHITECTURE:
        return _FineTrunk()
    if architecture not in list_models(module=None):
        raise TrainingError(
            f"torchvision has no classifier named '{architecture}'",
            remedy="torchvision.models.list_models() prints the names.",
        )
    net = get_model(architecture, weights=None)
    if isinstance(net, densenet.DenseNet):
        return nn.Sequential(net.features, nn.ReLU())  # DenseNet's forward has this ReLU outside its modules
    for attribute, cut in (
        ("avgpool", _children_before("avgpool")),  # ResNet, ResNeXt, RegNet, EfficientNet, MobileNetV3, Swin
        ("fc", _children_before("fc")),  # ShuffleNetV2 averages in its forward
        ("classifier", _children_before("classifier")),  # MobileNetV2, MNASNet, SqueezeNet
    ):
        if hasattr(net, attribute):
            return cut(net)
    raise TrainingError(
        f"classifier '{architecture}' has no feature map, so no class activation map",
        remedy="Take a convolutional classifier or Swin; plain vision transformers need another saliency.",
    )


def _width(trunk: nn.Module) -> int:
    """Return the number of channels of a trunk's feature map.

    Raises
    ------
    TrainingError
        If the trunk's output is not a feature map.
    """
    training = trunk.training
    with torch.no_grad():
        shape = tuple(trunk.eval()(torch.zeros(1, 3, 224, 224)).shape)
    trunk.train(training)
    if len(shape) != 4:
        raise TrainingError(
            f"the classifier's last map has shape {shape}, not (N, F, h, w)",
            remedy="Take a convolutional classifier or Swin; plain vision transformers need another saliency.",
        )
    return int(shape[1])
