"""Buffers, streams and contexts with the real driver, without TensorRT: a copy on the device stands for a network."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from edge_app.inference.tensorrt_slots import Slot, Streams

SHAPE = (4, 3, 224, 224)
BYTES = int(np.prod(SHAPE)) * 4


def pass_through(cuda: Any, slot: Slot, streams: Streams, batch: np.ndarray) -> None:
    slot.upload({"in": batch}, streams)
    cuda.memcpy_dtod_async(slot.address("out"), slot.address("in"), batch.nbytes, streams.compute)
    slot.download({"out": batch.size}, streams)


def test_two_slots_in_turn_give_every_part_back_in_order(cuda: Any, context: Any) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.random((size, *SHAPE[1:]), np.float32) for size in (4, 4, 1, 3, 2)]
    with ExitStack() as resources:
        streams = Streams(cuda)
        slots = [Slot(cuda, {"in": (SHAPE, "float32"), "out": (SHAPE, "float32")}, resources) for _ in range(2)]
        for number, part in enumerate(parts):
            if number >= 2:
                before = parts[number - 2]
                np.testing.assert_array_equal(slots[number % 2].take({"out": before.shape})["out"], before)
            pass_through(cuda, slots[number % 2], streams, part)
        streams.synchronise()


def test_answers_are_copies_that_a_later_call_does_not_change(cuda: Any, context: Any) -> None:
    with ExitStack() as resources:
        streams = Streams(cuda)
        slot = Slot(cuda, {"in": (SHAPE, "float32"), "out": (SHAPE, "float32")}, resources)
        pass_through(cuda, slot, streams, np.ones(SHAPE, np.float32))
        first = slot.take({"out": SHAPE})["out"]
        pass_through(cuda, slot, streams, np.zeros(SHAPE, np.float32))
        slot.take({"out": SHAPE})
        assert first.min() == 1.0 and first.flags.owndata


def test_memory_is_given_back_when_the_resources_close(cuda: Any, context: Any) -> None:
    large = (64, 3, 224, 224)
    free_before, _ = cuda.mem_get_info()
    with ExitStack() as resources:
        Slot(cuda, {"in": (large, "float32"), "out": (large, "float32")}, resources)
        free_meanwhile, _ = cuda.mem_get_info()
    free_after, _ = cuda.mem_get_info()
    assert free_meanwhile < free_before
    assert free_before - free_after < 16 * BYTES


def test_the_primary_context_can_be_taken_and_given_back_many_times(cuda: Any) -> None:
    for _ in range(5):
        primary = cuda.Device(0).retain_primary_context()
        primary.push()
        allocation = cuda.mem_alloc(1 << 20)
        allocation.free()
        cuda.Context.pop()
        primary.detach()
