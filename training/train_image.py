"""Train the image-level network; read from top to bottom.

Three classes of slices, drawn in equal shares whatever their numbers, teach two findings, each for itself. Where lesion
masks are known, they teach the finding's own map: scaled and shifted it shall say of each cell whether it is lesion.
What the screen shows as the heat map is thereby taught to lie on the lesion, and stays what the answer is made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES, FINDINGS
from training.augment import augment_slices
from training.image_model import ImageModel
from training.shards import StudySet
from training.stopping import BestWeights
from training.targets import loss_sum, map_loss_sum

__all__ = ["ImageRecipe", "balanced_batches", "train_image"]


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """Hyperparameters of the image-level training."""

    seed: int = 2023
    epochs: int = 12
    slices_per_epoch: int = 9216
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 0.08
    """Share of all steps in which the learning rate rises."""
    label_smoothing: float = 0.02
    class_shares: tuple[float, float, float] = (0.34, 0.33, 0.33)
    """How often each class is drawn; takes the place of class weights."""
    mask_weight: float = 1.0
    """Weight of the loss of the lesion masks; 0 where there are none."""
    averaging: float = 0.98
    """Decay of the running average of the weights, which is what is judged and kept."""
    patience: int = 5
    validation_slices: int = 3000
    bfloat16: bool = False
    """Mixed precision, where the CPU has it in hardware."""


def train_image(
    model: ImageModel, train: StudySet, validation: StudySet, widths_hu: tuple[float, ...], recipe: ImageRecipe
) -> list[dict[str, float]]:
    """Train `model` in place, leave it with the best weights in evaluation mode, and return a log line per epoch.

    Raises
    ------
    TrainingError
        If a class has no slices, or the loss is not finite.
    """
    torch.manual_seed(recipe.seed)
    model.to(memory_format=torch.channels_last)
    where = _Where()
    parameters = [*model.parameters(), *where.parameters()]
    decayed = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]  # norms and biases are not decayed
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    steps = recipe.epochs * (recipe.slices_per_epoch // recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step / steps, recipe.warm_up))
    noise = torch.Generator().manual_seed(recipe.seed)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True)
    best = BestWeights(recipe.patience)
    log = []

    for epoch in range(recipe.epochs):
        model.train()
        batches = balanced_batches(train, recipe, seed=recipe.seed + epoch)
        losses = []
        bar = tqdm(
            batches, desc=f"image epoch {epoch + 1}/{recipe.epochs}", total=recipe.slices_per_epoch // recipe.batch
        )
        for slices in bar:
            present = torch.from_numpy(findings_present(train.labels[slices]))
            taught = torch.ones_like(present)
            images, masks = load_batch(train, slices)
            images, masks = augment_slices(images, masks, widths_hu, noise)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                feature_map = model.feature_map(images.to(memory_format=torch.channels_last))
            feature_map = feature_map.float()
            raw = model.read(feature_map).logits[:, 1:]
            loss = loss_sum(raw, present, taught, smoothing=recipe.label_smoothing)
            if recipe.mask_weight > 0:
                said, known = where(model.saliency(feature_map)), torch.ones(len(slices))
                loss = loss + recipe.mask_weight * map_loss_sum(said, masks[:, 0], present, taught, known)
            loss = loss / len(slices)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} in epoch {epoch + 1}", remedy="Lower the learning rate."
                )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 2.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
        loss, accuracy = validate_image(average.module, validation, recipe)
        best.update(average.module, loss)
        log.append({"epoch": epoch + 1, "train_loss": float(np.mean(losses)), "loss": loss, "accuracy": accuracy})
        tqdm.write(f"image epoch {epoch + 1}: validation loss {loss:.4f}, balanced slice accuracy {accuracy:.4f}")
        if best.exhausted:
            break

    best.restore(model)
    model.eval()
    return log


def balanced_batches(data: StudySet, recipe: ImageRecipe, *, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield slice numbers (batch,) of one epoch, each class in its share.

    A slice with some lesion, but too little for a label, is in none.

    Raises
    ------
    TrainingError
        If a class has no slices at all.
    """
    rng = np.random.default_rng(seed)
    pools = []
    for index, name in enumerate(CLASSES):
        members = np.flatnonzero((data.labels == index) & ((index > 0) | (data.lesion_area_mm2 == 0)))
        if not len(members):
            raise TrainingError(f"no {name} slices to train on", remedy="Every class needs studies.")
        wanted = round(recipe.slices_per_epoch * recipe.class_shares[index])
        rounds = [rng.permutation(members) for _ in range(math.ceil(wanted / len(members)))]
        pools.append(np.concatenate(rounds)[:wanted])
    order = rng.permutation(np.concatenate(pools))
    for first in range(0, len(order) - recipe.batch + 1, recipe.batch):
        yield np.sort(order[first : first + recipe.batch])


def load_batch(data: StudySet, slices: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 3, 224, 224) and masks (N, 1, 28, 28), float32 in [0, 1]."""
    images = torch.from_numpy(data.inputs(slices)).float().div_(255.0)
    masks = torch.from_numpy(data.masks(slices)).float().div_(255.0)
    return images, masks[:, None]


def findings_present(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (N, 2), 1 where a finding is in the slice or study, for classes (N,)."""
    return np.asarray(labels[:, None] == np.arange(1, len(CLASSES)), np.float32)


class _Where(nn.Module):
    """What a cell's share in the logit says of the cell itself: a scale and an offset for each finding."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(len(FINDINGS), 1, 1))
        self.offset = nn.Parameter(torch.full((len(FINDINGS), 1, 1), -2.0))

    def forward(self, saliency: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 2, h, w) of each cell being lesion."""
        return saliency * self.log_scale.exp() + self.offset


@torch.no_grad()
def validate_image(model: ImageModel, data: StudySet, recipe: ImageRecipe) -> tuple[float, float]:
    """Return cross-entropy of both findings and accuracy on validation slices, each class counting the same.

    Right is a slice of which the likelier finding is said, or neither.
    """
    model.eval()
    rng = np.random.default_rng(recipe.seed)
    chosen = np.sort(rng.permutation(len(data))[: recipe.validation_slices])
    logits = []
    for first in range(0, len(chosen), 2 * recipe.batch):
        images, _ = load_batch(data, chosen[first : first + 2 * recipe.batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            feature_map = model.feature_map(images.to(memory_format=torch.channels_last))
        logits.append(model.read(feature_map.float()).logits)
    scores = torch.cat(logits)
    labels = torch.from_numpy(data.labels[chosen])
    target = torch.from_numpy(findings_present(data.labels[chosen]))
    losses = nn.functional.binary_cross_entropy_with_logits(scores[:, 1:], target, reduction="none").sum(dim=1)
    right = (scores.argmax(dim=1) == labels).float()
    present = [labels == index for index in range(len(CLASSES)) if bool((labels == index).any())]
    return (
        float(torch.stack([losses[of].mean() for of in present]).mean()),
        float(torch.stack([right[of].mean() for of in present]).mean()),
    )


def _pace(progress: float, warm_up: float) -> float:
    """Return the learning rate's factor: a linear rise, then half a cosine down to a hundredth."""
    if progress < warm_up:
        return (progress + 1e-3) / warm_up
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))
