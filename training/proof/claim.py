"""One claim, what was measured, and whether that is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Claim", "Sizes"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One entry of ``proof.json``."""

    id: str
    claim: str
    measured: dict[str, Any]
    goal: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is simulated and computed; the defaults are meant for half an hour on two cores."""

    train: int = 72
    """Studies of each class; those of validation and test likewise."""
    validation: int = 16
    test: int = 24
    image_epochs: int = 9
    patient_epochs: int = 60
    """All of them: the learning rate falls to the end, and the best of them is kept."""
    gru_epochs: int = 15
    gru_repeats: int = 3
    """Seeds with which the GRU is trained with and without masks."""
    leak_epochs: int = 10
    leak_studies: int = 144
    leak_repeats: int = 5
    """Random splits that are made with and without the leak."""
    timed_steps: int = 10
    seed: int = 2023
