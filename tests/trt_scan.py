"""Find every use of TensorRT in a source file, and what of it one version of the bindings does not offer.

Follows ``trt.X.Y``, methods and properties of variables that hold TensorRT objects (by their names, `HOLDS`, and by
what recorded calls return), arguments by number and name, assignments to properties, and derived classes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from export.engine.api.surface import Surface

HOLDS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "parser_error": "ParserError",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_runtime": "Runtime",
    "_engine": "ICudaEngine",
    "_context": "IExecutionContext",
}
"""What a variable or attribute of this name holds, in the files that are scanned."""

Use = tuple[int, str, str]
"""Line, path such as ``Builder.create_network``, and what is wrong with it ("" if nothing)."""


def find_uses(source: str, surface: Surface) -> list[Use]:
    """Return every use of TensorRT with its problem, if any."""
    return list(_Scan(surface).uses(ast.parse(source)))


class _Scan:
    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def uses(self, tree: ast.AST) -> Iterator[Use]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (path := self._path(node.func)):
                yield node.lineno, path, self._call_problem(node, path)
            elif isinstance(node, ast.Attribute) and (path := self._path(node)):
                yield node.lineno, path, self._attribute_problem(node, path)
            elif isinstance(node, ast.ClassDef):
                yield from self._derived(node)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                yield from self._assigned(node)

    def _path(self, node: ast.AST) -> str:
        """Return what an expression names in TensorRT, or "" if nothing."""
        if not isinstance(node, ast.Attribute):
            return ""
        owner = node.value
        if _is_module(owner):
            return node.attr if not node.attr.startswith("__") else ""
        if isinstance(owner, ast.Attribute) and (above := self._path(owner)):
            return f"{above}.{node.attr}" if self._is_type(above) else ""
        if cls := self._holds(owner):
            return f"{cls}.{node.attr}"
        return ""

    def _is_type(self, path: str) -> bool:
        # A name that is not there must be reported once, where it is used, not for what hangs on it.
        return path in self._surface.classes or path in self._surface.enums

    def _holds(self, node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return HOLDS.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            return HOLDS.get(node.attr, "")
        return self._returned(node) if isinstance(node, ast.Call) else ""

    def _returned(self, call: ast.Call) -> str:
        path = self._path(call.func)
        if path in self._surface.classes:
            return path
        owner, _, name = path.rpartition(".")
        found = self._surface.attribute(owner, name)
        gives = re.search(r"-> ([\w.]+)$", found[0]) if isinstance(found, list) and found else None
        return gives.group(1) if gives and gives.group(1) in self._surface.classes else ""

    def _attribute_problem(self, node: ast.Attribute, path: str) -> str:
        if not self._surface.has(path):
            return "not there"
        owner, _, name = path.rpartition(".")
        written = isinstance(node.ctx, ast.Store)
        return "read-only" if written and self._surface.attribute(owner, name) != "write" else ""

    def _call_problem(self, call: ast.Call, path: str) -> str:
        overloads = self._surface.overloads(path)
        if overloads is None:
            return "not there" if not self._surface.has(path) else "cannot be called"
        if path.endswith(".__init__"):
            return ""
        given, named = len(call.args), {keyword.arg for keyword in call.keywords}
        for overload in overloads:
            names = [argument.name for argument in overload]
            required = {argument.name for argument in overload[given:] if argument.required}
            if given <= len(names) and named <= set(names[given:]) and required <= named:
                return ""
        return f"takes other arguments than {given} and {sorted(map(str, named))}"

    def _derived(self, node: ast.ClassDef) -> Iterator[Use]:
        for base in node.bases:
            path = self._path(base)
            if not path:
                continue
            methods = {m.name: len(m.args.args) - 1 for m in node.body if isinstance(m, ast.FunctionDef)}
            described = self._surface.classes.get(path, {"attributes": {}})["attributes"]
            for name, signatures in described.items():
                if name == "__init__" or not isinstance(signatures, list):
                    continue
                wanted = len((self._surface.overloads(f"{path}.{name}") or [()])[0])
                problem = "" if methods.get(name) == wanted else f"not overridden with {wanted} arguments"
                yield node.lineno, f"{path}.{name}", problem

    def _assigned(self, node: ast.Assign) -> Iterator[Use]:
        target, given = node.targets[0], self._returned(node.value) if isinstance(node.value, ast.Call) else ""
        held = self._holds(target)
        if given and held and given != held:
            yield node.lineno, given, f"held as a {held}"


def _is_module(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "trt"
    return isinstance(node, ast.Attribute) and node.attr == "_trt"
