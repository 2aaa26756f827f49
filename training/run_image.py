"""Train an image network on prepared slices: the order of things; `training.image_trainer` holds the things."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from edge_app.store.lock import hold_alone
from training.image_trainer import CHECKPOINT, ImageRun, Trainer
from training.stopping import Watch

__all__ = ["CHECKPOINT", "ImageRun", "train_slices"]


def train_slices(run: ImageRun, *, watch: Watch | None = None) -> dict[str, Any]:
    """Train, or go on training, and return the description that stands beside the best weights.

    Parameters
    ----------
    watch
        Told of each epoch, those of an earlier run included.

    Raises
    ------
    LeakageError
        If the prepared splits leak.
    DivergedError
        If a loss is not finite.
    TrainingError
        If the data, the weights or a checkpoint cannot be used, or the disk is full. What the last checkpoint holds
        stays.
    """
    trainer = Trainer(run)
    with hold_alone(run.out / "train.lock") if trainer.fabric.is_global_zero else nullcontext():
        try:
            trainer.begin()
            for line in trainer.log if watch else ():
                watch(int(line["epoch"]) - 1, line["loss"])
            while not trainer.done:
                trainer.epoch()
                trainer.judge()
                if watch:
                    watch(trainer.epochs_done - 1, trainer.log[-1]["loss"])
            return trainer.finish()
        finally:
            trainer.close()
