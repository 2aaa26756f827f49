"""Print the whole public surface of the TensorRT bindings that can be imported, as one JSON object.

Run by `export.engine.api.record` in a process of its own, with one version's bindings on its path. Names come from
`dir`, argument names from the signatures that pybind11 writes into ``__doc__``; nothing is called, so the libraries
behind the bindings may be empty.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from typing import Any

__all__ = ["describe", "signatures"]


def signatures(name: str, doc: str | None) -> list[str]:
    """Return the signatures in a docstring as ``(self, flags: int = 0) -> INetworkDefinition``, one per overload."""
    found = re.findall(rf"^(?:\d+\. )?{re.escape(name)}(\(.*\)(?: -> .*)?)$", doc or "", re.MULTILINE)
    plain = [re.sub(r"(self): [^,)]+", r"\1", one) for one in found]
    plain = [re.sub(r"(?:tensorrt_bindings\.|tensorrt\.)+", "", one) for one in plain]
    # The line above a set of overloads; it says nothing.
    return [one for one in plain if not one.startswith("(*args, **kwargs)")] or (["(*args, **kwargs)"] if found else [])


def describe(module: Any) -> dict[str, Any]:
    """Return the public classes, enumerations, functions and plain values of a module."""
    surface: dict[str, Any] = {"classes": {}, "enums": {}, "functions": {}, "values": []}
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if name.startswith("_") or type(value).__name__ == "module":
            continue
        if isinstance(value, type):
            _describe_class(name, value, surface)
        elif callable(value):
            surface["functions"][name] = signatures(name, value.__doc__)
        else:
            surface["values"].append(name)
    return surface


def _describe_class(name: str, cls: type, surface: dict[str, Any]) -> None:
    members: dict[str, Any] = getattr(cls, "__members__", {})
    if members:
        surface["enums"][name] = sorted(members)
        return
    attributes: dict[str, Any] = {}
    bases = [base.__name__ for base in cls.__bases__ if base.__name__ not in ("pybind11_object", "object")]
    for attribute, value in sorted(vars(cls).items()):
        if isinstance(value, type):
            _describe_class(f"{name}.{attribute}", value, surface)
        elif attribute == "__init__":
            attributes[attribute] = signatures(attribute, value.__doc__)
        elif attribute.startswith("_"):
            continue
        elif isinstance(value, property):
            attributes[attribute] = "read" if value.fset is None else "write"
        elif callable(value) or isinstance(value, staticmethod):
            attributes[attribute] = signatures(attribute, getattr(cls, attribute).__doc__)
        else:
            attributes[attribute] = "read"
    surface["classes"][name] = {"bases": bases, "attributes": attributes}


if __name__ == "__main__":
    bindings = importlib.import_module("tensorrt_bindings")
    json.dump({"version": bindings.__version__, **describe(bindings)}, sys.stdout, sort_keys=True)
