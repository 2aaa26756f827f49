"""What may be said about a model: its card, and what its scores meant in validation. No Qt.

The worker leaves this in the store once per bundle; the screen never opens a bundle.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.logs import get_logger
from edge_app.triage.performance import rate

__all__ = ["LEAST_SCANS", "ModelFacts", "Validation", "read_model_facts"]

LEAST_SCANS = 20
"""Fewer validation scans than this say nothing about a score."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Validation:
    """Of `n` validation scans with a haemorrhage score in [lo, hi), `positives` had a haemorrhage."""

    lo: float
    hi: float
    n: int
    positives: int

    @property
    def of_hundred(self) -> int:
        """Return how many of 100 such scans had a haemorrhage."""
        return round(100 * self.positives / self.n)

    @property
    def fewer_than(self) -> int | None:
        """Return the upper end of the 95 % interval in 100 scans where none had one: 0 of 64 is not "about 0"."""
        high = rate(self.positives, self.n).high
        return math.ceil(100 * high) if self.of_hundred == 0 and high is not None else None

    @property
    def more_than(self) -> int | None:
        """Return the lower end of the 95 % interval in 100 scans where all had one."""
        low = rate(self.positives, self.n).low
        return math.floor(100 * low) if self.of_hundred == 100 and low is not None else None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as the About panel shows it; `thresholds` are (t_lo, t_hi) by finding.

    `heat_maps` is whether they passed their release gate: else none is shown (R38).
    """

    card: str
    thresholds: dict[str, tuple[float, float]]
    reliability: tuple[Validation, ...]
    heat_maps: bool = False

    def like(self, probability: float) -> Validation | None:
        """Return the validation scans that scored alike; None where there were too few to say anything (R26)."""
        for scans in self.reliability:
            if scans.lo <= probability < scans.hi or probability == scans.hi == 1.0:
                return scans if scans.n >= LEAST_SCANS else None
        return None


def read_model_facts(path: Path) -> ModelFacts | None:
    """Read what the worker left; None when it is not there (yet) or damaged: then nothing is said."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return ModelFacts(
            card=str(body["card"]),
            thresholds={name: (float(low), float(high)) for name, (low, high) in body["thresholds"].items()},
            reliability=tuple(
                Validation(float(row["lo"]), float(row["hi"]), int(row["n"]), int(row["positives"]))
                for row in body["reliability"]
            ),
            heat_maps=body.get("heat_maps") is True,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("what was left about a model cannot be read: %s", type(error).__name__)
        return None
