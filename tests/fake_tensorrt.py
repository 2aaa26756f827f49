"""A strict stand-in for `tensorrt`, generated from the recorded surface of one version of the real bindings.

It has exactly the classes, members, properties and arguments of that version: any other name is an AttributeError,
any other argument a TypeError, a read-only property cannot be set. What a call does is written in
`tests.fake_tensorrt_behaviour`; a call without a behaviour fails. Its plans are ONNX files with a header, which it
runs with ONNX Runtime on the memory of `tests.fake_pycuda`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from export.engine.api.surface import Surface, load_surface
from tests.fake_pycuda import FakeGpu

Behaviour = Callable[..., Any]


@dataclass
class Script:
    """What the fake does wrong, and what was asked of it."""

    parser_errors: list[str] = field(default_factory=list)
    build_log: list[str] = field(default_factory=list)
    build_fails: bool = False
    strong_build_fails: bool = False
    deserialise_fails: bool = False
    context_fails: bool = False
    execute_fails: bool = False
    shape_fails: bool = False
    cache_refused: bool = False
    cache_damaged: bool = False
    no_gpu: bool = False
    steps: int = 3
    spoil: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    calls: list[str] = field(default_factory=list)


def fake_tensorrt(version: str, gpu: FakeGpu, script: Script | None = None) -> ModuleType:
    """Return a module like ``tensorrt`` of a recorded version."""
    from tests.fake_tensorrt_behaviour import BEHAVIOUR, OPEN_CLASSES

    surface = load_surface(version)
    module = ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    module.fake_gpu, module.fake_script = gpu, script or Script()  # type: ignore[attr-defined]
    for path in sorted(surface.enums, key=lambda name: name.count(".")):
        if "." not in path:
            setattr(module, path, _enumeration(path, surface))
    done: dict[str, type] = {}
    for path in sorted((*surface.classes,), key=lambda name: name.count(".")):
        _make_class(path, surface, module, done, BEHAVIOUR, OPEN_CLASSES)
    for path in surface.enums:
        owner, _, name = path.rpartition(".")
        if owner:
            members = _enumeration(path, surface)
            type.__setattr__(done[owner], name, members)
            for member in members:
                type.__setattr__(done[owner], member.name, member)
    return module


class _BoundEnum(enum.Enum):
    """As pybind11 makes them: equal to their own kind only, but convertible."""

    def __int__(self) -> int:
        return int(self.value)


def _enumeration(path: str, surface: Surface) -> Any:
    return _BoundEnum(path.rpartition(".")[2], {name: number for number, name in enumerate(surface.enums[path])})


def _make_class(
    path: str,
    surface: Surface,
    module: ModuleType,
    done: dict[str, type],
    behaviour: dict[str, Behaviour],
    open_classes: frozenset[str],
) -> type:
    if path in done:
        return done[path]
    described = surface.classes[path]
    bases = tuple(
        _make_class(base, surface, module, done, behaviour, open_classes)
        for base in described["bases"]
        if base in surface.classes
    )
    body: dict[str, Any] = {"__setattr__": _strict_setattr, "__init__": _constructor(path, surface, module, behaviour)}
    for name, what in described["attributes"].items():
        if name == "__init__":
            continue
        if isinstance(what, list):
            body[name] = _method(path, name, surface, module, behaviour)
        else:
            body[name] = _property(path, name, what, module, behaviour)
    cls = type(path.rpartition(".")[2], bases or (object,), body)
    cls._generated = cls if path not in open_classes else None  # type: ignore[attr-defined]
    done[path] = cls
    owner, _, name = path.rpartition(".")
    type.__setattr__(done[owner], name, cls) if owner in done else setattr(module, name, cls)
    return cls


def _strict_setattr(self: Any, name: str, value: Any) -> None:
    derived = "_generated" not in vars(type(self))
    if not derived and not name.startswith("_") and not hasattr(type(self), name):
        raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")
    object.__setattr__(self, name, value)


def _constructor(path: str, surface: Surface, module: ModuleType, behaviour: dict[str, Behaviour]) -> Behaviour:
    def construct(self: Any, *arguments: Any, **named: Any) -> None:
        if "_made" in named:  # the fake itself makes objects that have no constructor
            self._trt = module
            return
        bound = _bind(path, surface, arguments, named)
        self._trt = module
        if path in behaviour:
            behaviour[path](self, *bound)

    return construct


def _method(path: str, name: str, surface: Surface, module: ModuleType, behaviour: dict[str, Behaviour]) -> Behaviour:
    full = f"{path}.{name}"

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        bound = _bind(full, surface, arguments, named)
        module.fake_script.calls.append(full)  # type: ignore[attr-defined]
        if full not in behaviour:
            raise NotImplementedError(f"the fake does not know what {full} does")
        return behaviour[full](self, *bound)

    call.__name__ = name
    return call


def _property(path: str, name: str, access: str, module: ModuleType, behaviour: dict[str, Behaviour]) -> property:
    full = f"{path}.{name}"

    def get(self: Any) -> Any:
        return behaviour[full](self) if full in behaviour else getattr(self, f"_{name}", None)

    def put(self: Any, value: Any) -> None:
        module.fake_script.calls.append(f"{full}=")  # type: ignore[attr-defined]
        object.__setattr__(self, f"_{name}", value)

    return property(get, put if access == "write" else None)


def _bind(full: str, surface: Surface, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """Return the arguments in order, as pybind11 would take them; TypeError where no overload does."""
    for overload in surface.overloads(full) or []:
        names = [argument.name for argument in overload]
        rest = names[len(arguments) :]
        required = [a.name for a in overload[len(arguments) :] if a.required]
        if len(arguments) <= len(names) and set(named) <= set(rest) and set(required) <= set(named):
            return [*arguments, *(named[name] for name in rest if name in named)]
    raise TypeError(f"{full}(): incompatible function arguments: {arguments!r} {named!r}")
