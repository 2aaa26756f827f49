"""Look up what one version of the TensorRT bindings offers: names, enumeration members, arguments.

The data are the recordings beside this file; see `record`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Argument", "Surface", "load_surface", "parse_signature", "recorded_versions"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a recorded signature; its name is ``arg0`` … where the bindings give none."""

    name: str
    required: bool


@dataclass(frozen=True, slots=True)
class Surface:
    """The public names of one version."""

    version: str
    classes: dict[str, Any]
    enums: dict[str, list[str]]
    functions: dict[str, list[str]]
    values: list[str]

    def attribute(self, cls: str, name: str) -> Any:
        """Return the signatures of a method, or "read" or "write" of a property; None where there is none."""
        described = self.classes.get(cls)
        if described is None:
            return None
        if name in described["attributes"]:
            return described["attributes"][name]
        found = (self.attribute(base, name) for base in described["bases"])
        return next((one for one in found if one is not None), None)

    def has(self, path: str) -> bool:
        """Return whether ``Builder``, ``Builder.create_network``, ``BuilderFlag.TF32`` … is there."""
        if path in self.classes or path in self.enums or path in self.functions or path in self.values:
            return True
        owner, _, name = path.rpartition(".")
        return name in self.enums.get(owner, ()) or self.attribute(owner, name) is not None

    def overloads(self, path: str) -> list[tuple[Argument, ...]] | None:
        """Return the arguments of each overload of a class, method or function; None where it cannot be called."""
        owner, _, name = path.rpartition(".")
        found = self.attribute(path, "__init__") if path in self.classes else self.attribute(owner, name)
        found = self.functions.get(path) if found is None else found
        return [parse_signature(one) for one in found] if isinstance(found, list) else None


def recorded_versions() -> tuple[str, ...]:
    """Return the versions that were recorded, oldest first."""
    found = (path.stem for path in Path(__file__).parent.glob("*.json"))
    return tuple(sorted(found, key=lambda version: tuple(map(int, version.split(".")))))


def load_surface(version: str) -> Surface:
    """Return a recorded version."""
    return Surface(**json.loads(Path(__file__).with_name(f"{version}.json").read_text(encoding="utf-8")))


def parse_signature(signature: str) -> tuple[Argument, ...]:
    """Return the arguments of a signature as the recordings hold it, without ``self``."""
    inside = signature[1 : _closing(signature)]
    parts, depth, start = [], 0, 0
    for position, character in enumerate(inside):
        depth += (character in "([{<") - (character in ")]}>" and inside[position - 1 : position + 1] != "->")
        if character == "," and depth == 0:
            parts.append(inside[start:position])
            start = position + 1
    parts.append(inside[start:])
    stripped = [part.strip() for part in parts if part.strip() not in ("", "self", "*", "/")]
    return tuple(Argument(re.split(r"[:=]", part, maxsplit=1)[0].strip(), "=" not in part) for part in stripped)


def _closing(signature: str) -> int:
    depth = 0
    for position, character in enumerate(signature):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position
    return len(signature)
