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
    """How much is simulated and computed; the defaults take some 25 minutes on two cores."""

    train: int = 48
    """Studies of each class; those of validation and test likewise."""
    validation: int = 12
    test: int = 24
    image_epochs: int = 10
    patient_epochs: int = 80
    gru_epochs: int = 25
    gru_repeats: int = 3
    """Seeds with which the GRU is trained with and without masks."""
    leak_epochs: int = 10
    leak_repeats: int = 5
    """Random splits that are made with and without the leak."""
    timed_steps: int = 10
    seed: int = 2023
