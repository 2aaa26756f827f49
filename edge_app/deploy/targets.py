"""The machines a release is made for, and which files of a registry run on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from packaging.tags import Tag, compatible_tags, cpython_tags

from edge_app.core.errors import ConfigError

__all__ = ["TARGETS", "Target", "target_named"]

_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
"""Minor number of the oldest glibc that wheels were ever built for; 2.x in all."""

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names that older wheels have in place of manylinux_2_x."""


@dataclass(frozen=True)
class Target:
    """A platform: what its Python and C library can load."""

    name: str
    what: str
    python: tuple[int, int]
    glibc: tuple[int, int]
    machine: str
    extra: tuple[str, ...] = ()
    """Requirements beyond pyproject.toml, each with its reason in `TARGETS`."""
    gpu: tuple[str, ...] = field(default=())
    """What only the GPU needs; compiled on the device where there are no wheels."""

    @property
    def python_text(self) -> str:
        """Return the Python version as in ``3.10``."""
        return ".".join(map(str, self.python))

    @cached_property
    def tags(self) -> dict[Tag, int]:
        """Return the wheel tags that run here, the best one first."""
        return {tag: rank for rank, tag in enumerate(dict.fromkeys(self._tags()))}

    def _tags(self) -> Iterator[Tag]:
        platforms = list(self._platforms())
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        yield from cpython_tags(self.python, abis=[interpreter], platforms=platforms)
        yield from compatible_tags(self.python, interpreter=interpreter, platforms=platforms)

    def _platforms(self) -> Iterator[str]:
        for minor in range(self.glibc[1], _OLDEST_GLIBC[self.machine] - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


# pycuda is built on the device without a network, so what builds it is there before it.
_BUILDS = ("setuptools",)
_PYCUDA = ("pycuda>=2025.1.2",)

TARGETS = {
    target.name: target
    for target in (
        Target(
            "jetpack6",
            "JetPack 6.1, 6.2 (Orin): Ubuntu 22.04",
            (3, 10),
            (2, 35),
            "aarch64",
            # Its TensorRT bindings were made for NumPy 1.
            extra=("numpy<2", *_BUILDS),
            gpu=_PYCUDA,
        ),
        Target(
            "jetpack7", "JetPack 7 (Thor, Orin): Ubuntu 24.04", (3, 12), (2, 39), "aarch64", extra=_BUILDS, gpu=_PYCUDA
        ),
        Target("debian12", "bench unit, Debian 12", (3, 11), (2, 36), "x86_64"),
        Target("debian13", "bench unit, Debian 13", (3, 13), (2, 41), "x86_64"),
        Target("ubuntu22", "bench unit, Ubuntu 22.04", (3, 10), (2, 35), "x86_64"),
        Target("ubuntu24", "bench unit, Ubuntu 24.04", (3, 12), (2, 39), "x86_64"),
    )
}


def target_named(name: str) -> Target:
    """Return a target.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in TARGETS:
        raise ConfigError(f"there is no target '{name}'", remedy=f"Choose one of {', '.join(TARGETS)}.")
    return TARGETS[name]
