"""How long to wait before the next try: longer after each failure, never the same for two vehicles."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff"]

JITTER = 0.25
"""Share of a pause that is left to chance, so that vehicles cut off together do not all come back together."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first_s` to `longest_s`, each shortened by up to a quarter at random.

    `chance` returns a number in [0, 1).
    """

    first_s: float
    longest_s: float
    chance: Callable[[], float] = random.random

    def pause_s(self, failures: int) -> float:
        """Return the pause after a number of failures in a row (at least one)."""
        # Beyond 2**30 the cap has long been reached; without the limit a week of failures overflows a float.
        pause_s = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return pause_s * (1.0 - JITTER * self.chance())
