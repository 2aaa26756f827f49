"""Which precision is kept: the fastest engine that the gate lets pass, INT8 only where it is worth its risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_app.inference.passport import PRECISIONS, Precision, Rung

__all__ = ["INT8_GAIN", "Tried", "choose", "rungs_for", "to_rungs"]

INT8_GAIN = 0.10
"""INT8 must take at least this share less time than FP16 (an engineering default)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one rung."""

    precision: Precision
    outcome: Literal["passed", "gate refused", "did not build", "not tried"]
    detail: str = ""
    p50_ms: float | None = None


def rungs_for(wanted: Precision | Literal["auto"], available: Sequence[Precision]) -> tuple[Precision, ...]:
    """Return the precisions to try, in order; FP32 stands last and is tried only when nothing above it passed."""
    if wanted != "auto":
        return (wanted,)
    return tuple(precision for precision in PRECISIONS if precision in available)


def choose(tried: Sequence[Tried]) -> Precision | None:
    """Return the precision to keep, or None if none passed the gate."""
    passed = {one.precision: one.p50_ms for one in tried if one.outcome == "passed" and one.p50_ms is not None}
    if "int8" in passed and "fp16" in passed and passed["int8"] > (1 - INT8_GAIN) * passed["fp16"]:
        del passed["int8"]
    return min(passed.items(), key=lambda item: item[1])[0] if passed else None


def to_rungs(tried: Sequence[Tried], chosen: Precision | None) -> tuple[Rung, ...]:
    """Return the ladder as the passport keeps it."""
    return tuple(
        Rung(
            precision=one.precision,
            outcome="chosen" if one.precision == chosen else "slower" if one.outcome == "passed" else one.outcome,
            detail=one.detail,
            p50_ms=one.p50_ms,
        )
        for one in tried
    )
