"""A strict stand-in for `pycuda.driver`: no GPU, but its rules.

Nothing that was queued happens before somebody waits for it, so a missing wait shows as wrong numbers. Every call
needs a current context, asynchronous copies need page-locked memory, and what was allocated must be freed, once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class Error(Exception):
    pass


class LogicError(Error):
    pass


class MemoryError(Error):  # pycuda's own name
    pass


class LaunchError(Error):
    pass


class FakeGpu:
    """The state behind the fake driver; tests look into it and make it fail."""

    def __init__(self) -> None:
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: set[int] = set()
        self.streams: dict[int, Any] = {}
        self.retained = 0
        self.calls: list[str] = []
        self.fail: dict[str, Error] = {}
        self._stacks = threading.local()
        self._next = 0x1000

    @property
    def stack(self) -> list[Any]:
        if not hasattr(self._stacks, "list"):
            self._stacks.list = []
        return self._stacks.list

    def enter(self, call: str) -> None:
        """Note a driver call; it needs a current context, and fails where a test wants it to."""
        self.calls.append(call)
        if not self.stack:
            raise LogicError(f"{call} failed: invalid device context")
        if call in self.fail:
            raise self.fail.pop(call)

    def address(self) -> int:
        self._next += 0x100000
        return self._next

    @property
    def clean(self) -> bool:
        """Whether nothing was left behind."""
        return not self.memory and not self.pinned and self.retained == 0 and not self.stack


class PagelockedHostAllocation:
    def __init__(self, gpu: FakeGpu, count: int, dtype: np.dtype) -> None:
        self._gpu, self._array = gpu, np.full(count, 77, dtype)
        gpu.pinned.add(id(self))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._array.__array_interface__

    def free(self) -> None:
        self._gpu.enter("host_free")
        self._gpu.pinned.remove(id(self))


def _is_pinned(gpu: FakeGpu, array: Any) -> bool:
    while array is not None:
        if isinstance(array, PagelockedHostAllocation):
            return id(array) in gpu.pinned
        array = getattr(array, "base", None)
    return False


def fake_pycuda(gpu: FakeGpu) -> dict[str, ModuleType]:
    """Return the modules ``pycuda`` and ``pycuda.driver``, to be put into `sys.modules`."""

    class Context:
        def push(self) -> None:
            gpu.stack.append(self)

        @staticmethod
        def pop() -> None:
            if not gpu.stack:
                raise LogicError("cuCtxPopCurrent failed: invalid device context")
            gpu.stack.pop()

        def detach(self) -> None:
            gpu.retained -= 1

    class Device:
        def __init__(self, number: int) -> None:
            if number != 0:
                raise LogicError("cuDeviceGet failed: invalid device ordinal")

        def retain_primary_context(self) -> Context:
            gpu.retained += 1
            return Context()

    class Stream:
        def __init__(self) -> None:
            gpu.enter("Stream")
            self.handle = gpu.address()
            self.ops: list[Callable[[], None]] = []
            self.done = 0
            gpu.streams[self.handle] = self

        def run_to(self, count: int) -> None:
            while self.done < count:
                self.done += 1
                self.ops[self.done - 1]()

        def synchronize(self) -> None:
            gpu.enter("Stream.synchronize")
            self.run_to(len(self.ops))

        def wait_for_event(self, event: Event) -> None:
            gpu.enter("Stream.wait_for_event")
            stream, count = event.at
            self.ops.append(lambda: stream.run_to(count))

    class Event:
        def __init__(self, flags: int = 0) -> None:
            gpu.enter("Event")
            self.at: tuple[Any, int] = (None, 0)

        def record(self, stream: Stream) -> None:
            gpu.enter("Event.record")
            self.at = (stream, len(stream.ops))

        def synchronize(self) -> None:
            gpu.enter("Event.synchronize")
            self.at[0].run_to(self.at[1])

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self._address = gpu.address()
            gpu.memory[self._address] = np.full(size, 0xAB, np.uint8)

        def __int__(self) -> int:
            return self._address

        def free(self) -> None:
            gpu.enter("mem_free")
            del gpu.memory[self._address]

    def mem_alloc(bytes: int) -> DeviceAllocation:
        gpu.enter("mem_alloc")
        return DeviceAllocation(bytes)

    def pagelocked_empty(shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
        gpu.enter("pagelocked_empty")
        return np.asarray(PagelockedHostAllocation(gpu, shape, np.dtype(dtype)))

    def memcpy_htod_async(dest: DeviceAllocation, src: np.ndarray, stream: Stream) -> None:
        gpu.enter("memcpy_htod_async")
        assert _is_pinned(gpu, src) and src.flags.c_contiguous
        stream.ops.append(lambda: _poke(gpu, int(dest), src))

    def memcpy_dtoh_async(dest: np.ndarray, src: DeviceAllocation, stream: Stream) -> None:
        gpu.enter("memcpy_dtoh_async")
        assert _is_pinned(gpu, dest) and dest.flags.c_contiguous

        def copy() -> None:
            dest[...] = gpu.memory[int(src)][: dest.nbytes].view(dest.dtype)

        stream.ops.append(copy)

    driver = ModuleType("pycuda.driver")
    names = (Error, LogicError, MemoryError, LaunchError, Context, Device, Stream, Event, DeviceAllocation)
    functions = (mem_alloc, pagelocked_empty, memcpy_htod_async, memcpy_dtoh_async)
    for one in (*names, *functions):
        setattr(driver, one.__name__, one)
    driver.init = lambda flags=0: gpu.calls.append("init")  # type: ignore[attr-defined]
    driver.event_flags = SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1, DISABLE_TIMING=2)  # type: ignore[attr-defined]
    package = ModuleType("pycuda")
    package.driver = driver  # type: ignore[attr-defined]
    return {"pycuda": package, "pycuda.driver": driver}


def _poke(gpu: FakeGpu, address: int, source: np.ndarray) -> None:
    raw = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
    gpu.memory[address][: raw.size] = raw
