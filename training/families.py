"""Any torchvision classifier by name, with our head, its penultimate features, and a map of where it looked.

The network keeps torchvision's names and the published heads (``fc.0``, ``heads.0``, ``head.0``, ``classifier.1``), so
that published state dicts and ImageNet weights load as they are. Where it looked comes without gradients, so that it
exports like any other output:

- a pooled map with a linear head (ResNet, ResNeXt, EfficientNet, Swin, DenseNet …): the class activation map (Zhou et
  al., CVPR 2016), whose mean plus the bias is the logit;
- a deeper head (VGG, MobileNetV3, ConvNeXt, MaxViT): what the head says of each place as if the whole map looked so;
- ViT: what each patch adds to the class's logit through the class token's last attention.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision.models as torchvision_models
from torch import nn
from torchvision.models import (
    convnext,
    densenet,
    get_model,
    list_models,
    maxvit,
    resnet,
    squeezenet,
    vision_transformer,
)

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES, FINDINGS
from training.image_model import COARSE_ARCHITECTURE, DEMO_ARCHITECTURE, ImageOutput

__all__ = ["FAMILIES", "Classifier", "architectures", "bare_network", "head_of"]

FAMILIES = (
    "resnet18", "resnet50", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "efficientnet_v2_s",
    "efficientnet_v2_m", "efficientnet_v2_l", "vit_b_16", "vit_b_32", "vit_l_16", "swin_v2_t", "swin_v2_s", "swin_v2_b",
)  # fmt: skip
"""The fourteen of the published design."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What ImageNet weights were trained with."""

_DEEPER_HEADS = (convnext.ConvNeXt, maxvit.MaxVit)
"""Their pooled map has as many channels as the head has inputs, but layers between that are not linear."""


class Classifier(nn.Module):
    """A torchvision classifier of slices.

    Parameters
    ----------
    architecture
        One of `architectures()`.
    labels
        ``softmax``: one answer out of `CLASSES`; ``findings``: each of `FINDINGS` for itself. Either way `logits` are
        three, those of findings with 0 for the negative class.
    normalise
        Whether inputs in [0, 1] are brought to ImageNet's mean and deviation first. The published design does not.
    dropout
        Share of features dropped before a new head in training.
    maps
        Whether a second head, which is never saved, says in training where the lesion is: in `saliency`.

    Raises
    ------
    TrainingError
        If torchvision has no such classifier.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        architecture: str,
        *,
        labels: str = "softmax",
        normalise: bool = False,
        dropout: float = 0.0,
        maps: bool = False,
    ) -> None:
        super().__init__()
        self.architecture, self.labels, self.normalise = architecture, labels, normalise
        self.net = bare_network(architecture)
        self.features = _replace_head(self.net, len(CLASSES) if labels == "softmax" else len(FINDINGS))
        self.drop = nn.Dropout(dropout)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)
        self._seen: dict[str, torch.Tensor] = {}
        _last_linear(self.net).register_forward_pre_hook(self._catch_features)
        self._map_name = _map_module(architecture)
        module = self.net.get_submodule(self._map_name)
        if isinstance(self.net, vision_transformer.VisionTransformer):
            module.register_forward_pre_hook(self._catch_tokens)
        else:
            module.register_forward_hook(self._catch_map)
        self.where: nn.Conv2d | None = None
        if maps:
            linear = [module for module in head_of(self.net)[1].modules() if isinstance(module, nn.Linear)]
            if len(linear) > 1 or isinstance(self.net, (vision_transformer.VisionTransformer, *_DEEPER_HEADS)):
                raise TrainingError(
                    f"{architecture} has no map that could learn from lesion masks", remedy="Give --map-weight 0."
                )
            self.where = nn.Conv2d(self.features, _last_linear(self.net).out_features, 1)

    def forward(self, image: torch.Tensor) -> ImageOutput:
        """Return features, logits and, outside of training, saliency of slices (N, 3, 224, 224) in [0, 1]."""
        features, raw = self.scores(image)
        if self.training:
            nowhere = raw.new_zeros(len(raw), raw.shape[1], 0, 0)
            return ImageOutput(features, raw, self.where(self._seen["map"]) if self.where else nowhere)
        saliency = self._saliency()
        if self.labels == "findings":
            raw, saliency = nn.functional.pad(raw, (1, 0)), nn.functional.pad(saliency, (0, 0, 0, 0, 1, 0))
        return ImageOutput(features, raw, saliency)

    def scores(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (N, F) and the head's own logits, (N, 3) or (N, 2) for findings."""
        if self.normalise:
            image = (image - self.mean) / self.std
        raw = self.net(image)
        return self._seen["features"], raw

    def _catch_features(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        self._seen["features"] = inputs[0]
        return (self.drop(inputs[0]), *inputs[1:])

    def _catch_tokens(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._seen["map"] = inputs[0]

    def _catch_map(self, _: nn.Module, __: Any, output: torch.Tensor) -> None:
        self._seen["map"] = output

    def _saliency(self) -> torch.Tensor:
        found, head = self._seen["map"], _last_linear(self.net)
        if isinstance(self.net, vision_transformer.VisionTransformer):
            return _attention_saliency(self.net, found, head)
        if isinstance(self.net, densenet.DenseNet):
            found = torch.relu(found)  # DenseNet's forward has this ReLU outside its modules
        if found.shape[1] == head.in_features and not isinstance(self.net, _DEEPER_HEADS):
            return nn.functional.conv2d(found, head.weight[:, :, None, None])
        n, channels, height, width = found.shape
        places = found.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
        if isinstance(self.net, maxvit.MaxVit):
            said = self.net.classifier(places)
        else:
            pooled = self.net.avgpool(places)
            said = self.net.classifier(pooled if isinstance(self.net, convnext.ConvNeXt) else pooled.flatten(1))
        return said.reshape(n, height, width, -1).permute(0, 3, 1, 2)


def architectures() -> list[str]:
    """Return the names `Classifier` knows."""
    return [DEMO_ARCHITECTURE, COARSE_ARCHITECTURE, *list_models(module=torchvision_models)]


def bare_network(architecture: str, weights: str | None = None) -> nn.Module:
    """Return torchvision's network with its own head of 1000 classes.

    Raises
    ------
    TrainingError
        If torchvision has no such classifier.
    """
    if architecture in (DEMO_ARCHITECTURE, COARSE_ARCHITECTURE):
        net = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1])
        net.layer4, net.fc = nn.Identity(), nn.Linear(256, 1000)
        if architecture == COARSE_ARCHITECTURE:
            net.conv1 = nn.Sequential(nn.AvgPool2d(2), net.conv1)
        return net
    if architecture not in architectures():
        raise TrainingError(
            f"torchvision has no classifier named '{architecture}'",
            remedy=f"The design's own are {', '.join(FAMILIES)}; torchvision.models.list_models() prints all.",
        )
    quiet = {"init_weights": True} if architecture in ("googlenet", "inception_v3") and weights is None else {}
    net = get_model(architecture, weights=weights, **quiet)
    if architecture in ("googlenet", "inception_v3"):  # the auxiliary heads only help training from nothing
        net.aux_logits = False
        for name in ("aux1", "aux2", "AuxLogits"):
            if hasattr(net, name):
                setattr(net, name, None)
    return net


def head_of(net: nn.Module) -> tuple[str, nn.Module]:
    """Return the name and module of a network's last stage, which `Classifier` replaces."""
    for name in ("fc", "heads", "head", "classifier"):
        if hasattr(net, name):
            return name, getattr(net, name)
    raise TrainingError(f"{type(net).__name__} has no head we know", remedy="Take another torchvision classifier.")


def _replace_head(net: nn.Module, outputs: int) -> int:
    """Give `net` a new last layer under its published name; return the number of features it reads."""
    name, head = head_of(net)
    if isinstance(net, squeezenet.SqueezeNet):  # a convolution, then a ReLU that would cut off negative logits
        pool = nn.AdaptiveAvgPool2d(1)
        net.classifier = nn.Sequential(nn.Identity(), pool, nn.Flatten(), nn.Linear(512, outputs))
        return 512
    old = _last_linear(net)
    new = nn.Linear(old.in_features, outputs)
    if name == "classifier" and isinstance(head, nn.Sequential):
        head[len(head) - 1] = new
    else:
        setattr(net, name, nn.Sequential(new))
    return old.in_features


def _last_linear(net: nn.Module) -> nn.Linear:
    _, head = head_of(net)
    found = [module for module in head.modules() if isinstance(module, nn.Linear)]
    return found[-1]


def _map_module(architecture: str) -> str:
    """Return the name of the module that makes the last map (for ViT: that attends last), found without computing."""
    if architecture.startswith("regnet"):  # its widths are computed by tensors, which meta tensors cannot
        return "trunk_output"
    with torch.device("meta"):
        net = bare_network(architecture).eval()
        if isinstance(net, vision_transformer.VisionTransformer):
            return f"encoder.layers.encoder_layer_{len(net.encoder.layers) - 1}"
        _replace_head(net, 1)
        last = ""

        def watch(name: str) -> Any:
            def note(_: nn.Module, __: Any, output: object) -> None:
                nonlocal last
                if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[-1] > 1:
                    last = name

            return note

        head = head_of(net)[0]
        for name, module in net.named_modules():
            if name and name != "avgpool" and name.split(".")[0] != head:
                module.register_forward_hook(watch(name))
        net(torch.zeros(1, 3, 224, 224))
    return last


def _attention_saliency(
    net: vision_transformer.VisionTransformer, tokens: torch.Tensor, head: nn.Linear
) -> torch.Tensor:
    """Return (N, classes, h, w): patches' direct share in each logit through the class token's last attention."""
    block = net.encoder.layers[-1]
    x, attend = block.ln_1(tokens), block.self_attention
    n, length, width = x.shape
    parts = nn.functional.linear(x, attend.in_proj_weight, attend.in_proj_bias)
    query, key, value = parts.reshape(n, length, 3, attend.num_heads, -1).unbind(dim=2)
    weight = torch.softmax((query[:, :1] * key).sum(dim=3) / query.shape[3] ** 0.5, dim=1)
    carried = (weight[..., None] * value).reshape(n, length, width)
    direction = (head.weight * net.encoder.ln.weight) @ attend.out_proj.weight
    side = net.image_size // net.patch_size
    return nn.functional.linear(carried[:, 1:], direction).permute(0, 2, 1).reshape(n, -1, side, side)
