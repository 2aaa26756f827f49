"""Let a random vision transformer's class token look for lesions, by ridge regression and without a step of descent.

What tells patches with a lesion from others is found in what enters the last block, from the lesion masks that the
simulator knows. A few heads of the last attention then look for it: their keys are that measure, their query is the
same for all slices, and the class token receives what it is where they look, about the largest in the slice. All else
stays random, and the network's form is torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer
from tqdm import tqdm

from edge_app.core.types import FloatArray

__all__ = ["read_lesions"]

RIDGE = 0.03
"""Of the tokens' mean square: directions of small variance would carry more of INT8's error than of the lesion."""

SHARPNESS = (0.7, 1.5)
"""Of the two heads for each kind of lesion: attention is the exponential of this times the measure's deviations."""

GAIN = 0.12
"""What one deviation moves the class token, as a share of its length."""

BATCH = 16


@torch.no_grad()
def read_lesions(
    net: VisionTransformer,
    slices: NDArray[np.int64],
    load: Callable[[NDArray[np.int64]], FloatArray],
    masks: NDArray[np.float32],
) -> FloatArray:
    """Set the last attention of `net`, and return the features (N, F) of all slices.

    Parameters
    ----------
    net
        In evaluation mode; its last block is changed.
    slices
        Numbers (N,), which `load` turns into images (n, 3, 224, 224).
    masks
        (N, kinds, h, w) share of each kind of lesion; h and w are multiples of the patches'.
    """
    tokens = torch.cat(
        [
            _before_last(net, torch.from_numpy(load(slices[first : first + BATCH])))
            for first in tqdm(range(0, len(slices), BATCH), desc="tokens", unit="batch")
        ]
    )
    block = net.encoder.layers[-1]
    side = net.image_size // net.patch_size
    shares = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks), side).flatten(2).transpose(1, 2)
    _set_attention(block, tokens, nn.functional.pad(shares, (0, 0, 1, 0)))  # the class token holds no lesion
    rows = [net.encoder.ln(block(tokens[first : first + BATCH])[:, :1])[:, 0] for first in range(0, len(tokens), BATCH)]
    return np.asarray(torch.cat(rows).numpy(), np.float32)


def _before_last(net: VisionTransformer, images: torch.Tensor) -> torch.Tensor:
    """Return the tokens (n, 1 + patches, width) that enter the last block."""
    x = net._process_input(images)
    x = torch.cat([net.class_token.expand(len(x), -1, -1), x], dim=1) + net.encoder.pos_embedding
    for block in net.encoder.layers[:-1]:
        x = block(x)
    return x


def _set_attention(block: EncoderBlock, tokens: torch.Tensor, shares: torch.Tensor) -> None:
    width, attention = tokens.shape[2], block.self_attention
    size = width // attention.num_heads
    length = float(tokens[:, 0].norm(dim=1).mean())
    weights, biases = _measure(block.ln_1, tokens, shares)
    head = 0
    for kind in range(shares.shape[2]):
        for sharpness in SHARPNESS:
            first = head * size
            query, key, value = (slice(part * width + first, part * width + first + size) for part in range(3))
            attention.in_proj_weight[query] = 0.0
            attention.in_proj_bias[query] = 0.0
            attention.in_proj_bias[query.start] = sharpness * size**0.5
            for part in (key, value):
                attention.in_proj_weight[part.start], attention.in_proj_bias[part.start] = weights[kind], biases[kind]
            direction = torch.randn(width)
            attention.out_proj.weight[:, first] = direction * (GAIN * length / direction.norm())
            head += 1


def _measure(norm: nn.LayerNorm, tokens: torch.Tensor, shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (kinds, width) and (kinds,): linear in normed tokens, with mean 0 and deviation 1, highest in lesions."""
    width, kinds = tokens.shape[2], shares.shape[2]
    gram, product = torch.zeros(width, width, dtype=torch.float64), torch.zeros(width, kinds, dtype=torch.float64)
    total, count, middle = torch.zeros(width, dtype=torch.float64), 0, shares.mean(dim=(0, 1))
    for first in range(0, len(tokens), BATCH):
        x = norm(tokens[first : first + BATCH]).flatten(0, 1)
        gram += (x.T @ x).double()
        total += x.sum(dim=0).double()
        product += (x.T @ (shares[first : first + BATCH].flatten(0, 1) - middle)).double()
        count += len(x)
    mean = total / count
    spread = gram / count - torch.outer(mean, mean)
    ridge = RIDGE * spread.trace() / width * torch.eye(width, dtype=torch.float64)
    weights = torch.linalg.solve(spread + ridge, product / count)
    weights /= (weights * (spread @ weights)).sum(dim=0).sqrt().clamp(min=1e-12)
    return weights.T.float(), -(mean @ weights).float()
