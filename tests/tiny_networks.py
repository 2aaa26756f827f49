"""torchvision's own classifiers, shrunk: the same layers as the big ones, in a fraction of a second."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from torchvision.models.vision_transformer import VisionTransformer

from training import families
from training.families import Classifier, head_of


def tiny_vit() -> nn.Module:
    return VisionTransformer(image_size=224, patch_size=32, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64)


def tiny_swin() -> nn.Module:
    return SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[2], num_heads=[2], window_size=[8, 8],
        block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2,
    )  # fmt: skip


def tiny_classifier(monkeypatch: pytest.MonkeyPatch, name: str, seed: int = 0) -> Classifier:
    """Return a classifier of a family of which torchvision has none so small, with a head that is not zero."""
    torch.manual_seed(seed)
    made = {"vit_b_32": tiny_vit, "swin_v2_t": tiny_swin}[name]
    monkeypatch.setattr(families, "get_model", lambda *_, **__: made())
    model = Classifier(name).eval()
    for module in head_of(model.net)[1].modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.2)
    return model
