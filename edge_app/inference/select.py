"""Which backend runs a network: a TensorRT engine whose passport fits this machine and bundle, else ONNX Runtime.

A backend is never changed in silence: the one chosen is named in every result (`StudyResult.backend`), and why an
engine was not used stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.core.errors import BackendError
from edge_app.inference.backend import Backend
from edge_app.inference.bundle import Bundle
from edge_app.inference.device import Fingerprint, read_fingerprint
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import (
    Network,
    Passport,
    check_passport,
    engines_folder,
    onnx_file,
    passport_path,
    read_passport,
    read_plan,
    specs_of,
)
from edge_app.inference.tensorrt_backend import TensorRtBackend, tensorrt_version

__all__ = ["Choice", "open_bundle_network", "open_network"]


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """An opened network."""

    backend: Backend
    fallback: str = ""
    """Why no TensorRT engine runs; empty where one does, and on a machine without TensorRT and engines."""


def open_network(model: bytes, *, threads: int = 0) -> Backend:
    """Open an ONNX network with ONNX Runtime.

    Raises
    ------
    BackendError
        If it cannot load it.
    """
    return OnnxBackend(model, threads=threads)


def open_bundle_network(
    bundle: Bundle,
    network: Network,
    *,
    threads: int = 0,
    engines: Path | None = None,
    fingerprint: Callable[[str], Fingerprint] = read_fingerprint,
) -> Choice:
    """Open a bundle's network on the best backend that is proven on this machine.

    Parameters
    ----------
    network
        Which of the two.
    threads
        Threads of the CPU backend.
    engines
        Folder of the TensorRT engines; None for the one beside the bundle.
    fingerprint
        Reads what this machine is, given TensorRT's version.

    Raises
    ------
    BackendError
        If not even ONNX Runtime can load it.
    """
    folder = engines_folder(bundle.path, bundle.sha256, engines)
    try:
        opened = _open_engine(folder, network, bundle, fingerprint)
        if opened is not None:
            return Choice(opened)
        reason = ""
    except BackendError as error:
        reason = error.message
    return Choice(OnnxBackend(bundle.read(onnx_file(network, "fp32")), threads=threads), reason)


def _open_engine(
    folder: Path, network: Network, bundle: Bundle, fingerprint: Callable[[str], Fingerprint]
) -> Backend | None:
    """Return the engine, or None where neither TensorRT nor an engine is there."""
    version = tensorrt_version()
    path = passport_path(folder, network)
    if version is None:
        if not path.exists():
            return None
        raise _not_used("TensorRT or pycuda is not installed")
    if not path.exists():
        raise _not_used(f"no {network} engine was built for this bundle")
    here = fingerprint(version)
    passport, plan = _read_checked(path, network, bundle, here)
    backend = TensorRtBackend(plan, specs_of(passport.inputs), specs_of(passport.outputs), label=passport.precision)
    del plan
    try:
        _warm_up(backend, passport)
    except BackendError:
        backend.__exit__(None, None, None)
        raise
    return backend


def _read_checked(path: Path, network: Network, bundle: Bundle, here: Fingerprint) -> tuple[Passport, bytes]:
    """Return a passport that fits, and its plan; a new engine may be put in their place between the two."""
    passport = read_passport(path)
    while True:
        if problems := check_passport(passport, network, bundle, here):
            raise _not_used("; ".join(problems))
        try:
            return passport, read_plan(path.parent, passport)
        except BackendError:
            newer = read_passport(path)
            if newer == passport:
                raise
            passport = newer


def _warm_up(backend: Backend, passport: Passport) -> None:
    """Run once, so that an engine that cannot run is known now, and the first slice does not wait for the GPU."""
    backend.run({spec.name: np.ones(passport.profile[spec.name].best, np.dtype(spec.dtype)) for spec in backend.inputs})


def _not_used(why: str) -> BackendError:
    return BackendError(why, remedy="Build the engines on this device: `msu engine build`.")
