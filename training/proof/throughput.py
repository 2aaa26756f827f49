"""Claim: loading slices is never the bottleneck: an epoch takes hardly longer than its computation alone.

The same steps are trained four times: from disk, from memory, from memory, from disk. What the order does to the
temperature of a processor, or a neighbour to its cores, meets both alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import torch

from edge_app.core.clock import monotonic_s
from training.data.preprocess import shard_names
from training.image_trainer import Trainer
from training.proof.claim import Claim
from training.proof.corpus import Corpus
from training.proof.ready import Ready, image_run
from training.slice_batches import Step

__all__ = ["prove_throughput"]

GOAL = 1.15
GPU_ARCHITECTURE = "resnet152"
"""The design's own; a GPU would not even notice the network that CPUs train."""


def prove_throughput(ready: Ready) -> Claim:
    """Time the steps of `msu train image`."""
    run = image_run(ready.corpus, ready.folder / "timed", ready.sizes)
    steps = ready.sizes.timed_steps
    if torch.cuda.is_available():
        steps *= 3
        run = replace(run, architecture=GPU_ARCHITECTURE, recipe=replace(run.recipe, batch=32))
    _forget_pages(ready.corpus)
    trainer = Trainer(run)
    try:
        trainer.begin()
        steps = min(steps, len(trainer.plan()))
        at_hand = list(islice(trainer.load("train", trainer.plan()), steps))
        _time(trainer, at_hand[:3])  # the first steps choose kernels and fill memory pools
        _forget_pages(ready.corpus)
        disk, memory = [], []
        for from_disk in (True, False, False, True):
            source: Iterable[Step] = _loaded(trainer, steps) if from_disk else at_hand
            (disk if from_disk else memory).append(_time(trainer, source))
    finally:
        trainer.close()
    ratio = sum(disk) / sum(memory)
    return Claim(
        id="throughput",
        claim="Loading is never the bottleneck of image training.",
        measured={
            "ratio": round(ratio, 4),
            "epoch_s": [round(seconds, 2) for seconds in disk],
            "compute_s": [round(seconds, 2) for seconds in memory],
            "steps": steps,
            "batch": run.recipe.batch,
            "slices_per_s": round(steps * run.recipe.batch * len(disk) / sum(disk), 1),
            "architecture": run.architecture,
            "device": str(trainer.fabric.device),
        },
        goal=f"an epoch takes at most {GOAL} times the pure computation of the same steps",
        ok=ratio <= GOAL,
    )


def _loaded(trainer: Trainer, steps: int) -> Iterator[Step]:
    return trainer.load("train", trainer.plan()[:steps])


def _time(trainer: Trainer, steps: Iterable[Step]) -> float:
    trainer.step, trainer.loss_so_far = 0, 0.0
    started_s = monotonic_s()
    trainer.epoch(steps)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return monotonic_s() - started_s


def _forget_pages(corpus: Corpus) -> None:
    """Ask the kernel to drop the shards from its cache, so that they are read from the disk."""
    number = 0
    while (path := shard_names(corpus.prepared, number)[0]).exists():
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
        number += 1
