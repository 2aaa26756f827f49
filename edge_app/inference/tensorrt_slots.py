"""Memory and order of one call on the GPU: page-locked and device buffers, allocated once, two slots in turn.

While the network computes on one slot, the next part of the batch is copied up into the other and the last answers
are copied down: three streams, tied together by events. Takes pycuda's driver as an argument; whoever calls holds the
context.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from edge_app.inference.backend import Array

__all__ = ["Slot", "Streams"]


class Streams:
    """Up, compute and down, each in its own order."""

    def __init__(self, cuda: Any) -> None:
        self.up, self.compute, self.down = cuda.Stream(), cuda.Stream(), cuda.Stream()

    def synchronise(self) -> None:
        """Wait until nothing is under way, so that buffers may be reused or freed."""
        for stream in (self.up, self.compute, self.down):
            stream.synchronize()


class Slot:
    """Buffers for one part of a batch, in both memories.

    Parameters
    ----------
    cuda
        `pycuda.driver`.
    tensors
        Largest shape and NumPy dtype of every input and output.
    resources
        Frees the buffers when it is closed, under the same context.
    """

    def __init__(self, cuda: Any, tensors: Mapping[str, tuple[tuple[int, ...], str]], resources: ExitStack) -> None:
        self._cuda = cuda
        self._host: dict[str, Array] = {}
        self._device: dict[str, Any] = {}
        self._uploaded, self._computed, self._done = (cuda.Event(cuda.event_flags.DISABLE_TIMING) for _ in range(3))
        for name, (shape, dtype) in tensors.items():
            host = cuda.pagelocked_empty(int(np.prod(shape)), np.dtype(dtype))
            resources.callback(host.base.free)
            self._host[name] = host
            self._device[name] = device = cuda.mem_alloc(host.nbytes)
            resources.callback(device.free)

    def address(self, name: str) -> int:
        """Return the device address of a tensor."""
        return int(self._device[name])

    def upload(self, inputs: Mapping[str, Array], streams: Streams) -> None:
        """Copy a part of the batch towards the device; compute then waits for it."""
        for name, array in inputs.items():
            staged = self._host[name][: array.size]
            staged.reshape(array.shape)[...] = array
            self._cuda.memcpy_htod_async(self._device[name], staged, streams.up)
        self._uploaded.record(streams.up)
        streams.compute.wait_for_event(self._uploaded)

    def download(self, sizes: Mapping[str, int], streams: Streams) -> None:
        """Copy the answers back once they are computed."""
        self._computed.record(streams.compute)
        streams.down.wait_for_event(self._computed)
        for name, size in sizes.items():
            self._cuda.memcpy_dtoh_async(self._host[name][:size], self._device[name], streams.down)
        self._done.record(streams.down)

    def take(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Wait for the answers and return copies of them; the slot is free again."""
        self._done.synchronize()
        return {
            name: np.array(self._host[name][: int(np.prod(shape))].reshape(shape)) for name, shape in shapes.items()
        }
