"""An image network in training, on one device or many.

A step is a fixed number of slices, shared out among the devices; each divides its losses by the weight of the whole
step, so that the sum of all gradients is that of one device. Chance is seeded for each step. The checkpoint holds all
else, and a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from edge_app.core.errors import TrainingError
from training.data.files import SYNTHETIC
from training.data.prepared import open_prepared
from training.experiment import prepared_facts, profile_of, save_image_network
from training.families import Classifier
from training.recipes import SliceRecipe
from training.slice_batches import Augmentation, Step, load_ahead, plan_steps, to_unit
from training.stopping import BestWeights, DivergedError
from training.targets import loss_sum, make_targets, map_loss_sum, right_sum
from training.weights import read_tensors, start_weights, write_tensors

__all__ = ["CHECKPOINT", "ImageRun", "Trainer"]

CHECKPOINT = "checkpoint.pt"
MAX_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class ImageRun:
    """What to train, on what, and where to."""

    data: Path
    out: Path
    architecture: str
    recipe: SliceRecipe
    labels: str = "softmax"
    weights: str = "auto"
    devices: int = 1
    nodes: int = 1
    accelerator: str = "auto"
    checkpoint_steps: int = 500
    """Steps after which the checkpoint is renewed, besides the end of each epoch."""


class Trainer:
    """A run's data, network and progress; `train_slices` shows the order of its steps.

    Attributes
    ----------
    epochs_done, step
        Where the run is: epochs judged, and steps taken in the next one.
    log
        A line for each epoch.
    """

    def __init__(self, run: ImageRun) -> None:
        self.run, self.recipe = run, run.recipe
        self.fabric = _fabric(run)
        self.fabric.launch()
        run.out.mkdir(parents=True, exist_ok=True)
        self.sets, self.facts = open_prepared(run.data), prepared_facts(run.data)
        recipe = run.recipe
        self.targets = {
            side: make_targets(self.sets[side], run.labels, balanced=recipe.class_weights)
            for side in ("train", "validation")
        }
        torch.manual_seed(recipe.seed)
        self.model = Classifier(
            run.architecture,
            labels=run.labels,
            normalise=recipe.normalise,
            dropout=recipe.dropout,
            maps=recipe.map_weight > 0,
        )
        self.identity = {
            "architecture": run.architecture,
            "labels": run.labels,
            "recipe": asdict(recipe),
            "data": self.facts["content_sha256"],
            "profile": self.facts["preparation"]["profile"],
            "weights": run.weights,
        }
        widths = tuple(window.width_hu for window in profile_of(self.facts).windows)
        self.augment = Augmentation(widths, recipe.seed, self.fabric.device) if recipe.augment else None
        self.best = BestWeights(recipe.patience)
        self.log: list[dict[str, float]] = []
        self.epochs_done, self.step, self.loss_so_far = 0, 0, 0.0
        self.steps = len(plan_steps(self.targets["train"].usable(), recipe.batch, seed=0, epoch=0))
        self.started_from = ""
        self.board: SummaryWriter | None = None

    @property
    def done(self) -> bool:
        """Whether the epochs, or the patience, are used up."""
        return self.epochs_done >= self.recipe.epochs or self.best.exhausted

    def begin(self) -> None:
        """Set up model, optimiser and schedule, and take up a checkpoint if there is one."""
        recipe, steps = self.recipe, self.steps
        kept = self._read_checkpoint()
        self.started_from = kept["started_from"] if kept else start_weights(self.model, self.run.weights)
        if not kept and self.fabric.is_global_zero:
            sys.stderr.write(f"{self.run.architecture}: weights {self.started_from}\n")
        if self.fabric.world_size > 1 and self.fabric.device.type == "cuda":
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        total = max(1, steps * recipe.epochs)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: _pace(step / total, recipe))
        if kept:
            self.model.load_state_dict(kept["model"])
        self.wrapped, self.wrapped_optimiser = self.fabric.setup(self.model, self.optimiser)
        if kept:
            self.optimiser.load_state_dict(kept["optimiser"])
            self.schedule.load_state_dict(kept["schedule"])
            self.best.recall(kept["best"])
            self.log, self.epochs_done = kept["log"], kept["epochs_done"]
            self.step, self.loss_so_far = kept["step"], kept["loss_so_far"]
        if self.fabric.is_global_zero:
            purge = self.epochs_done * steps + self.step
            self.board = SummaryWriter(str(self.run.out / "tensorboard"), purge_step=purge)

    def load(self, side: str, plan: list[NDArray[np.int64]]) -> Iterator[Step]:
        """Yield this device's part of each step of a plan, loaded ahead."""
        fabric = self.fabric
        return load_ahead(
            self.sets[side],
            self.targets[side],
            plan,
            rank=fabric.global_rank,
            devices=fabric.world_size,
            pin=fabric.device.type == "cuda",
        )

    def plan(self) -> list[NDArray[np.int64]]:
        """Return the slices of each step of the next epoch."""
        usable = self.targets["train"].usable()
        return plan_steps(usable, self.recipe.batch, seed=self.recipe.seed, epoch=self.epochs_done)

    def epoch(self, steps: Iterable[Step] | None = None) -> None:
        """Take the steps of an epoch that have not been taken yet.

        Parameters
        ----------
        steps
            Those steps, where they are at hand already; None loads them.
        """
        fabric, recipe, epoch = self.fabric, self.recipe, self.epochs_done
        plan = self.plan()
        remaining = self.load("train", plan[self.step :]) if steps is None else steps
        self.model.train()
        bar = tqdm(
            remaining,
            desc=f"image epoch {epoch + 1}/{recipe.epochs}",
            initial=self.step,
            total=len(plan),
            disable=not fabric.is_global_zero,
        )
        unread: list[torch.Tensor] = []
        for step in bar:
            chance = np.random.SeedSequence([recipe.seed, epoch, self.step, fabric.global_rank])
            torch.manual_seed(int(chance.generate_state(1)[0]))
            unread.append(self._learn(step, epoch))
            self.step += 1
            if self.step % self.run.checkpoint_steps == 0 or self.step == len(plan) or len(unread) == 20:
                # Reading a loss waits for the device; twenty at once wait once.
                self._account(unread, epoch)
                unread.clear()
                bar.set_postfix(loss=f"{self.loss_so_far / self.step:.4f}")
            if self.step % self.run.checkpoint_steps == 0 and self.step < len(plan):
                self._write_checkpoint()

    def judge(self) -> None:
        """Measure the validation split, keep the weights if they are the best, and renew the checkpoint."""
        fabric = self.fabric
        self.model.eval()
        usable = self.targets["validation"].usable()
        batch = 2 * self.recipe.batch
        plan = [usable[i : i + batch] for i in range(0, len(usable), batch)]
        sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
        with torch.no_grad(), fabric.autocast():
            for step in self.load("validation", plan):
                if len(step.slices):
                    _, raw = self.model.scores(to_unit(step.images.to(fabric.device)))
                    raw, values, weight = raw.float(), step.values.to(fabric.device), step.weight.to(fabric.device)
                    sums += torch.stack(
                        [loss_sum(raw, values, weight), right_sum(raw, values, weight), weight.sum()]
                    ).double()
        loss, right, weight_sum = (float(value) for value in fabric.all_reduce(sums, reduce_op="sum"))
        self.epochs_done += 1
        line = {
            "epoch": self.epochs_done,
            "train_loss": self.loss_so_far / max(1, self.step),
            "loss": loss / weight_sum,
            "accuracy": right / weight_sum,
        }
        self.best.update(self.model, line["loss"])
        self.log.append(line)
        self.step, self.loss_so_far = 0, 0.0
        if self.board:
            for name in ("train_loss", "loss", "accuracy"):
                self.board.add_scalar(name, line[name], self.epochs_done * self.steps)
            self.board.flush()
            tqdm.write(
                f"image epoch {self.epochs_done}: validation loss {line['loss']:.4f}, accuracy {line['accuracy']:.4f}",
                file=sys.stderr,
            )
        self._write_checkpoint()

    def finish(self) -> dict[str, Any]:
        """Write the best weights and their description."""
        self.best.restore(self.model)
        description = {
            **self.identity,
            "weights": self.started_from,
            "profile_sha256": self.facts["profile_sha256"],
            "licences": self.facts["licences"],
            "synthetic": self.facts["synthetic"] or SYNTHETIC in self.started_from,
            "best": {
                "epoch": 1 + min(range(len(self.log)), key=lambda i: self.log[i]["loss"]),
                "loss": self.best.best_loss,
            },
            "log": self.log,
        }
        if self.fabric.is_global_zero:
            save_image_network(self.run.out, self.model, description)
        self.fabric.barrier()
        return description

    def close(self) -> None:
        """Close what was opened for the log."""
        if self.board:
            self.board.close()

    def _learn(self, step: Step, epoch: int) -> torch.Tensor:
        device, recipe = self.fabric.device, self.recipe
        images = to_unit(step.images.to(device, non_blocking=True))
        masks = to_unit(step.masks.to(device))
        if self.augment:
            images, masks = self.augment(images, masks, step.slices, epoch)
        output, values, weight = self.wrapped(images), step.values.to(device), step.weight.to(device)
        loss = loss_sum(output.logits.float(), values, weight, smoothing=recipe.label_smoothing)
        loss = loss / step.total_weight
        if recipe.map_weight and step.total_masks:
            taught = map_loss_sum(output.saliency.float(), masks, values, weight, step.mask_known.to(device))
            loss = loss + recipe.map_weight * taught / step.total_masks
        loss = loss * self.fabric.world_size  # gradients are averaged over devices
        self.wrapped_optimiser.zero_grad()
        self.fabric.backward(loss)
        if self.recipe.name != "seed2023":
            self.fabric.clip_gradients(self.wrapped, self.wrapped_optimiser, max_norm=MAX_GRADIENT)
        self.wrapped_optimiser.step()
        self.schedule.step()
        return loss.detach()

    def _account(self, losses: list[torch.Tensor], epoch: int) -> None:
        if not losses:
            return
        total = torch.stack(losses).sum().double()
        self.loss_so_far += float(self.fabric.all_reduce(total, reduce_op="mean"))
        if not math.isfinite(self.loss_so_far):
            raise DivergedError(
                f"the loss is {self.loss_so_far} in epoch {epoch + 1}, by step {self.step}",
                remedy="Lower --learning-rate, and give a new --out; this one's checkpoint is from before.",
            )
        if self.board:
            rate = self.schedule.get_last_lr()[0]
            self.board.add_scalar("step_loss", float(losses[-1]), epoch * self.steps + self.step)
            self.board.add_scalar("learning_rate", rate, epoch * self.steps + self.step)

    def _write_checkpoint(self) -> None:
        if not self.fabric.is_global_zero:
            return
        content = {
            "identity": self.identity,
            "started_from": self.started_from,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best.content(),
            "log": self.log,
            "epochs_done": self.epochs_done,
            "step": self.step,
            "loss_so_far": self.loss_so_far,
        }
        write_tensors(self.run.out / CHECKPOINT, content)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        path = self.run.out / CHECKPOINT
        if not path.exists():
            return None
        content: dict[str, Any] = read_tensors(path)
        if content["identity"] != self.identity:
            differing = sorted(key for key in self.identity if content["identity"].get(key) != self.identity[key])
            raise TrainingError(
                f"{path} is of a run with another {', '.join(differing)}",
                remedy="Give a new --out, or the same settings to go on.",
            )
        return content


def _fabric(run: ImageRun) -> Fabric:
    hardware = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu._is_avx512_bf16_supported()
    mixed = run.recipe.mixed_precision and hardware
    return Fabric(
        accelerator=run.accelerator,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy="ddp" if run.devices * run.nodes > 1 else "auto",
        precision="bf16-mixed" if mixed else "32-true",
    )


def _pace(progress: float, recipe: SliceRecipe) -> float:
    """Return the learning rate's factor."""
    if progress < recipe.warm_up:
        return (progress + 1e-3) / recipe.warm_up
    if not recipe.cosine:
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (progress - recipe.warm_up) / (1.0 - recipe.warm_up)))
