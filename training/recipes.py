"""Hyperparameters of `msu train image`: as published, and ours."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_app.core.errors import ConfigError

__all__ = ["SLICE_RECIPES", "SliceRecipe", "slice_recipe"]


@dataclass(frozen=True, slots=True)
class SliceRecipe:
    """How an image network is trained; the defaults are the published ones (``seed2023``)."""

    name: str = "seed2023"
    seed: int = 2023
    optimiser: str = "adam"
    learning_rate: float = 1e-6
    weight_decay: float = 1e-7
    batch: int = 32
    """Slices of a step over all devices together: more devices give the same result sooner."""
    epochs: int = 500
    patience: int = 10
    """Epochs without a better validation loss; the published number is not known."""
    warm_up: float = 0.0
    """Share of all steps in which the learning rate rises."""
    cosine: bool = False
    """Whether it falls along half a cosine afterwards."""
    label_smoothing: float = 0.0
    class_weights: bool = False
    """Whether rare classes count for more, so that all count the same."""
    augment: bool = False
    normalise: bool = False
    """Whether inputs get ImageNet's mean and deviation."""
    dropout: float = 0.0
    map_weight: float = 0.0
    """Weight of the loss that teaches where the lesion is, on slices whose mask is known; 0 for none."""
    mixed_precision: bool = False
    """bfloat16 where the device has it in hardware."""


SLICE_RECIPES = {
    "seed2023": SliceRecipe(),
    "modern": SliceRecipe(
        name="modern",
        optimiser="adamw",
        learning_rate=3e-4,
        weight_decay=0.05,
        batch=64,
        epochs=30,
        patience=6,
        warm_up=0.05,
        cosine=True,
        label_smoothing=0.05,
        class_weights=True,
        augment=True,
        normalise=True,
        dropout=0.2,
        mixed_precision=True,
    ),
}


def slice_recipe(name: str, **changes: float | int | None) -> SliceRecipe:
    """Return a recipe by name, with the changes that are not None.

    Raises
    ------
    ConfigError
        If there is no such recipe, or a change makes no sense.
    """
    if name not in SLICE_RECIPES:
        raise ConfigError(f"there is no recipe {name!r}", remedy=f"Recipes are {', '.join(SLICE_RECIPES)}.")
    for key, value in changes.items():
        if value is not None and value <= 0 and key not in ("weight_decay", "map_weight"):
            raise ConfigError(f"{key} = {value}", remedy="Give a positive number.")
    return replace(SLICE_RECIPES[name], **{key: value for key, value in changes.items() if value is not None})
