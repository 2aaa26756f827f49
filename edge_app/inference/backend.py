"""What an inference backend is: named arrays in, named arrays out, checked before every call.

A backend runs one network. ONNX Runtime is the embedded default (`onnx_backend`); the same contract suite
(`tests/contracts`) runs over every backend and over the fake one of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import BackendError

__all__ = ["Array", "Backend", "TensorSpec", "check_arrays", "check_network"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network.

    `shape` holds a number for a fixed dimension and a name for a free one; dimensions of one name are equal within
    one call. An unnamed free dimension has a name of its own.
    """

    name: str
    dtype: str
    """NumPy's name of the element type, e.g. ``float32``."""
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.shape))})"


class Backend(Protocol):
    """One network, ready to run. Use as a context manager; not shared between threads."""

    @property
    def name(self) -> str:
        """Return what the result and the screen name, e.g. ``onnxruntime-cpu 1.22.0``."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Return the network's inputs."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Return the network's outputs."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once.

        Returns
        -------
        dict of arrays
            Copies that the caller owns: a later call never changes them.

        Raises
        ------
        BackendError
            If names, dtypes or shapes differ from the network's, naming what differs, or if the run fails.
        """

    def __enter__(self) -> Backend: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_arrays(specs: Iterable[TensorSpec], arrays: Mapping[str, Array]) -> None:
    """Check the arrays of one call against the network's description.

    Raises
    ------
    BackendError
        Naming the first array that is missing, unknown, or of another dtype or shape.
    """
    expected = {spec.name: spec for spec in specs}
    if set(arrays) != set(expected):
        raise _refusal(f"inputs {sorted(arrays)} are not the network's {sorted(expected)}")
    free: dict[str, int] = {}
    for name, spec in expected.items():
        array = arrays[name]
        if array.dtype != np.dtype(spec.dtype):
            raise _refusal(f"input '{name}' is {array.dtype}, the network takes {spec.dtype}")
        if array.ndim != len(spec.shape):
            raise _refusal(f"input '{name}' has shape {array.shape}, the network takes {spec}")
        for size, wanted in zip(array.shape, spec.shape, strict=True):
            fits = size == wanted if isinstance(wanted, int) else size == free.setdefault(wanted, size) and size > 0
            if not fits:
                raise _refusal(f"input '{name}' has shape {array.shape}, the network takes {spec}")


def check_network(backend: Backend, wanted: Mapping[str, tuple[int | None, ...]], where: str) -> None:
    """Check that a network has the inputs and outputs that the manifest describes.

    Parameters
    ----------
    backend
        The opened network.
    wanted
        Shape by name, inputs and outputs together; None where the dimension must be free or may be anything.
    where
        What the message names, e.g. the file.

    Raises
    ------
    BackendError
        Naming the input or output that is missing, superfluous or of another shape.
    """
    found = {spec.name: spec for spec in (*backend.inputs, *backend.outputs)}
    if set(found) != set(wanted):
        raise _refusal(f"{where}: inputs and outputs {sorted(found)} are not {sorted(wanted)}")
    for name, shape in wanted.items():
        spec = found[name]
        # An exporter that cannot tell an output's size leaves it free; only a different number is a contradiction.
        fits = len(spec.shape) == len(shape) and all(
            want is None or not isinstance(have, int) or have == want
            for have, want in zip(spec.shape, shape, strict=True)
        )
        if spec.dtype != "float32" or not fits:
            raise _refusal(f"{where}: {spec} where float32 {tuple('any' if d is None else d for d in shape)} is needed")


def _refusal(message: str) -> BackendError:
    return BackendError(message, remedy="The model does not fit this program: make the bundle again with its exporter.")
