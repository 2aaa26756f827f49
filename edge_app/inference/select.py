"""Which backend runs a network.

Only ONNX Runtime on the CPU so far. A backend is never changed in silence: the one chosen is named in every result
(`StudyResult.backend`).
"""

from __future__ import annotations

from edge_app.inference.backend import Backend
from edge_app.inference.onnx_backend import OnnxBackend

__all__ = ["open_network"]


def open_network(model: bytes, *, threads: int = 0) -> Backend:
    """Open an ONNX network on the best backend this machine has.

    Raises
    ------
    BackendError
        If no backend can load it.
    """
    return OnnxBackend(model, threads=threads)
