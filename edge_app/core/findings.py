"""What was found when somebody looked whether this machine is fit for duty: `msu doctor`, the watch, the screen.

Each way of being unfit has a stable code. The screen's words for it are in `edge_app.ui.strings`, the runbook says what
to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["UNFIT", "Finding"]

UNFIT: dict[str, str] = {
    "F-01": "self-test failed",
    "F-02": "self-test has not passed yet",
    "F-03": "model bundle damaged or missing",
    "F-04": "TensorRT engine damaged",
    "F-05": "disk full",
    "F-06": "clock wrong",
    "F-07": "key or certificate missing",
    "F-08": "a process is dead",
    "F-09": "too hot, slowed down",
    "F-10": "disk failing",
    "F-11": "memory low",
    "F-12": "model answers drift",
}
"""Code and short English words of every reason not to be fit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `code` is one of `UNFIT` where the thing has one; `found` names what was seen, `remedy` what to do about it.
    """

    check: str
    ok: bool
    found: str
    remedy: str = ""
    code: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Finding:
        """Read what `to_json` wrote."""
        return cls(
            str(body["check"]), bool(body["ok"]), str(body["found"]), str(body["remedy"]), str(body.get("code", ""))
        )
