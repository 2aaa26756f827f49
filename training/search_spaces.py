"""What `msu train search` draws from: the published search spaces, and ours.

A parameter is a range (log-uniform unless said otherwise) or a choice. Its name decides what it changes: the
architecture, a hyperparameter of the recipe, or a size of the network. Where all are choices, the search is a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from optuna.trial import Trial

from edge_app.core.errors import ConfigError
from training.recipes import SliceRecipe
from training.run_patient import PublishedRecipe
from training.train_patient import PatientRecipe

__all__ = ["KINDS", "SEARCHED_ARCHITECTURES", "SPACES", "Choice", "Drawn", "Range", "draw", "grid_size", "space_of"]

KINDS = ("image", "gru", "transformer")

SEARCHED_ARCHITECTURES = ("resnet152", "vit_l_16", "efficientnet_v2_l", "swin_v2_b", "resnext101_32x8d")
"""The five of the published search."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two limits."""

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    values: tuple[str | int | float, ...]


Space = Mapping[str, Range | Choice]

_WIDTHS, _DROPOUT, _DECAY = Choice((64, 128, 256)), Range(0.05, 0.5, log=False), Range(1e-4, 0.1)

SPACES: dict[tuple[str, str], Space] = {
    ("image", "seed2023"): {
        "architecture": Choice(SEARCHED_ARCHITECTURES),
        "learning_rate": Range(1e-6, 1e-3),
        "weight_decay": Range(1e-9, 1e-6),
    },
    ("image", "modern"): {
        "architecture": Choice(SEARCHED_ARCHITECTURES),
        "learning_rate": Range(1e-5, 3e-3),
        "weight_decay": Range(1e-4, 0.3),
        "label_smoothing": Range(0.0, 0.15, log=False),
        "dropout": Range(0.0, 0.5, log=False),
    },
    ("gru", "seed2023"): {
        "learning_rate": Range(1e-6, 1e-3),
        "weight_decay": Range(1e-9, 1e-6),
        "hidden": Choice((50, 100, 150, 200, 250)),
        "layers": Choice((1, 2, 3)),
    },
    ("transformer", "seed2023"): {
        "heads": Choice((2, 4, 8)),
        "feed_forward": Choice((128, 256, 512, 1024, 2048)),
        "learning_rate": Choice((1e-4, 1e-3, 1e-2, 1e-1)),
        "weight_decay": Choice((1e-9, 1e-8, 1e-7, 1e-6)),
    },
    ("gru", "ours"): {
        "learning_rate": Range(1e-4, 1e-2),
        "weight_decay": _DECAY,
        "feature_noise": Range(0.0, 0.4, log=False),
        "width": _WIDTHS,
        "hidden": Choice((32, 64, 128)),
        "dropout": _DROPOUT,
    },
    ("transformer", "ours"): {
        "learning_rate": Range(1e-4, 3e-3),
        "weight_decay": _DECAY,
        "feature_noise": Range(0.0, 0.4, log=False),
        "width": _WIDTHS,
        "heads": Choice((2, 4, 8)),
        "layers": Choice((1, 2, 3)),
        "dropout": _DROPOUT,
    },
}
"""By kind and recipe. Of the published GRU only the outcome is known (150, 2 layers, 1e-4): its ranges are the image
network's, with sizes around what was found."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a trial tries, by where it belongs."""

    architecture: str
    changes: dict[str, Any]
    """Of the recipe's hyperparameters."""
    sizes: dict[str, Any]
    """Of the network, by its own names."""


def space_of(kind: str, recipe: str, architectures: Sequence[str] = ()) -> Space:
    """Return a search space.

    Parameters
    ----------
    architectures
        Image networks to choose from in place of the published five.

    Raises
    ------
    ConfigError
        If there is none for this kind and recipe.
    """
    if (kind, recipe) not in SPACES:
        known = ", ".join(sorted(r for k, r in SPACES if k == kind)) or "none"
        raise ConfigError(f"there is no search space for {kind} {recipe}", remedy=f"Recipes of {kind}: {known}.")
    space = dict(SPACES[kind, recipe])
    if architectures and "architecture" in space:
        space["architecture"] = Choice(tuple(architectures))
    return space


def grid_size(space: Space) -> int:
    """Return how many combinations there are, 0 if the space has a range."""
    choices = [parameter for parameter in space.values() if isinstance(parameter, Choice)]
    return math.prod(len(choice.values) for choice in choices) if len(choices) == len(space) else 0


def draw(trial: Trial, kind: str, recipe: str, space: Space) -> Drawn:
    """Let the trial suggest a value for each parameter."""
    values: dict[str, Any] = {}
    for name, parameter in space.items():
        if isinstance(parameter, Choice):
            values[name] = trial.suggest_categorical(name, parameter.values)
        else:
            values[name] = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    return sort_out(values, kind, recipe)


def sort_out(values: Mapping[str, Any], kind: str, recipe: str) -> Drawn:
    """Return a trial's values by where they belong."""
    kept = SliceRecipe if kind == "image" else PatientRecipe if recipe == "ours" else PublishedRecipe
    hyperparameters = {field.name for field in fields(kept)}
    return Drawn(
        architecture=str(values.get("architecture", kind)),
        changes={name: value for name, value in values.items() if name in hyperparameters},
        sizes={name: value for name, value in values.items() if name not in hyperparameters | {"architecture"}},
    )
