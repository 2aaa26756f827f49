"""Train an image network on prepared slices, on one device or many; read from top to bottom.

A step is a fixed number of slices, shared out among the devices; each divides its losses by the weight of the whole
step, so that the sum of all gradients is that of one device. Chance is seeded for each step. The checkpoint holds all
else, and a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from edge_app.core.errors import TrainingError
from edge_app.store.lock import hold_alone
from training.data.prepared import PreparedSet, open_prepared
from training.experiment import prepared_facts, profile_of, save_image_network
from training.families import Classifier
from training.recipes import SliceRecipe
from training.slice_batches import Augmentation, Step, load_ahead, plan_steps, to_unit
from training.stopping import BestWeights, DivergedError, Watch
from training.targets import Targets, loss_sum, make_targets, right_sum
from training.weights import read_tensors, start_weights, write_tensors

__all__ = ["CHECKPOINT", "ImageRun", "train_slices"]

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
    recipe = run.recipe
    fabric = _fabric(run)
    fabric.launch()
    run.out.mkdir(parents=True, exist_ok=True)
    with hold_alone(run.out / "train.lock") if fabric.is_global_zero else nullcontext():
        sets, facts = open_prepared(run.data), prepared_facts(run.data)
        targets = make_targets(sets["train"], run.labels, balanced=recipe.class_weights)
        judged = make_targets(sets["validation"], run.labels, balanced=recipe.class_weights)
        torch.manual_seed(recipe.seed)
        model = Classifier(run.architecture, labels=run.labels, normalise=recipe.normalise, dropout=recipe.dropout)
        identity = {
            "architecture": run.architecture,
            "labels": run.labels,
            "recipe": asdict(recipe),
            "data": facts["content_sha256"],
            "profile": facts["preparation"]["profile"],
            "weights": run.weights,
        }
        trainer = _Trainer(fabric, run, model, identity)
        widths = tuple(window.width_hu for window in profile_of(facts).windows)
        augment = Augmentation(widths, recipe.seed, fabric.device) if recipe.augment else None
        try:
            trainer.begin(len(plan_steps(targets.usable(), recipe.batch, seed=0, epoch=0)))
            for line in trainer.log if watch else ():
                watch(int(line["epoch"]) - 1, line["loss"])
            while not trainer.done:
                trainer.epoch(sets["train"], targets, augment)
                trainer.judge(sets["validation"], judged)
                if watch:
                    watch(trainer.epochs_done - 1, trainer.log[-1]["loss"])
            return trainer.finish(facts)
        finally:
            trainer.close()


class _Trainer:
    def __init__(self, fabric: Fabric, run: ImageRun, model: Classifier, identity: dict[str, Any]) -> None:
        self.fabric, self.run, self.recipe = fabric, run, run.recipe
        self.model, self.identity = model, identity
        self.best = BestWeights(run.recipe.patience)
        self.log: list[dict[str, float]] = []
        self.epochs_done, self.step, self.steps, self.loss_so_far = 0, 0, 0, 0.0
        self.started_from = ""
        self.board: SummaryWriter | None = None

    @property
    def done(self) -> bool:
        return self.epochs_done >= self.recipe.epochs or self.best.exhausted

    def begin(self, steps: int) -> None:
        """Set up model, optimiser and schedule, and take up a checkpoint if there is one."""
        recipe, self.steps = self.recipe, steps
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

    def epoch(self, data: PreparedSet, targets: Targets, augment: Augmentation | None) -> None:
        """Take the steps of an epoch that have not been taken yet."""
        fabric, recipe, epoch = self.fabric, self.recipe, self.epochs_done
        plan = plan_steps(targets.usable(), recipe.batch, seed=recipe.seed, epoch=epoch)
        remaining = load_ahead(data, targets, plan[self.step :], rank=fabric.global_rank, devices=fabric.world_size)
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
            unread.append(self._learn(step, epoch, augment))
            self.step += 1
            if self.step % self.run.checkpoint_steps == 0 or self.step == len(plan) or len(unread) == 20:
                # Reading a loss waits for the device; twenty at once wait once.
                self._account(unread, epoch)
                unread.clear()
                bar.set_postfix(loss=f"{self.loss_so_far / self.step:.4f}")
            if self.step % self.run.checkpoint_steps == 0 and self.step < len(plan):
                self._write_checkpoint()

    def judge(self, data: PreparedSet, targets: Targets) -> None:
        """Measure the validation split, keep the weights if they are the best, and renew the checkpoint."""
        fabric = self.fabric
        self.model.eval()
        usable = targets.usable()
        batch = 2 * self.recipe.batch
        plan = [usable[i : i + batch] for i in range(0, len(usable), batch)]
        sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
        with torch.no_grad(), fabric.autocast():
            for step in load_ahead(data, targets, plan, rank=fabric.global_rank, devices=fabric.world_size):
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

    def finish(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write the best weights and their description."""
        self.best.restore(self.model)
        description = {
            **self.identity,
            "weights": self.started_from,
            "profile_sha256": facts["profile_sha256"],
            "licences": facts["licences"],
            "synthetic": facts["synthetic"],
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

    def _learn(self, step: Step, epoch: int, augment: Augmentation | None) -> torch.Tensor:
        device = self.fabric.device
        images = to_unit(step.images.to(device))
        if augment:
            images = augment(images, step.slices, epoch)
        raw = self.wrapped(images).logits
        loss = loss_sum(
            raw.float(), step.values.to(device), step.weight.to(device), smoothing=self.recipe.label_smoothing
        )
        loss = loss * (self.fabric.world_size / step.total_weight)  # gradients are averaged over devices
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
