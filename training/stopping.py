"""Early stopping that keeps the best weights themselves.

The published code kept `best_model = model`, a reference that goes on training; here a copy of the state is kept.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edge_app.core.errors import TrainingError

__all__ = ["BestWeights", "DivergedError", "Watch"]

Watch = Callable[[int, float], None]
"""Told (epoch from 0 on, validation loss) after each epoch; a search prunes by raising from it."""


class DivergedError(TrainingError):
    """A loss is not finite: more rounds will not mend it; another learning rate may."""

    code = "E-702"


class BestWeights:
    """Remember the weights with the lowest loss, and say when waiting for better ones is enough.

    Parameters
    ----------
    patience
        Rounds without improvement after which `exhausted` is true.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_loss = math.inf
        self.rounds_since_best = 0
        self._state: dict[str, torch.Tensor] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether `patience` rounds have passed without improvement."""
        return self.rounds_since_best >= self.patience

    def update(self, model: nn.Module, loss: float) -> bool:
        """Judge one round and return whether it is the best so far.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        if not math.isfinite(loss):
            raise DivergedError(
                f"the validation loss is {loss}", remedy="Lower the learning rate, or look at the data."
            )
        if loss < self.best_loss:
            self.best_loss, self.rounds_since_best = loss, 0
            self._state = copy.deepcopy(model.state_dict())
            return True
        self.rounds_since_best += 1
        return False

    def content(self) -> dict[str, Any]:
        """Return everything remembered, for a checkpoint."""
        return {"loss": self.best_loss, "rounds": self.rounds_since_best, "state": self._state}

    def recall(self, content: dict[str, Any]) -> None:
        """Take up what `content` returned."""
        self.best_loss, self.rounds_since_best = content["loss"], content["rounds"]
        self._state = content["state"]

    def restore(self, model: nn.Module) -> None:
        """Put the best weights into the model; without a round so far it stays as it is."""
        if self._state is not None:
            model.load_state_dict(self._state)
