"""A big network taught on SYNTHETIC slices as well as the machine can in a few minutes, and a patient network behind.

With a GPU all of it is trained. Without, the weights stay random but for the head, by ridge regression, and in a vision
transformer the class token's last attention (`calibration.proof.reading`). Either way FP32 gives answers that INT8 can
keep or lose. How well they fit the labels is measured, and is not what is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.vision_transformer import VisionTransformer
from tqdm import tqdm

from calibration.proof.reading import read_lesions
from edge_app.core.types import FloatArray
from export.golden import GoldenSet
from training.families import Classifier
from training.features import FeatureSet
from training.patient_model import PatientModel
from training.shards import StudyRecord, StudySet
from training.train_patient import PatientRecipe, train_patient

__all__ = ["Picked", "Taught", "golden_from", "pick", "teach", "unit_slices", "with_large_lesions"]

RIDGE = 0.3
"""Of the features' mean square: a head that fits noise would lose more to INT8 than a trained one."""

BRANCH = 0.2
"""Weight of a residual block beside what it is added to."""

BATCH = 32

RECIPE = PatientRecipe(batch=4, epochs=30, patience=30)
"""Until the patient network is sure of those it learns from: where classes all but tie, as after a few steps, the last
digits of a probability decide, and a flip says nothing of INT8."""


SLICES = 12
"""Of each study, evenly from foot to head: a slice costs a second, and other patients teach more than more slices."""


@dataclass(frozen=True, eq=False, slots=True)
class Picked:
    """Some studies of a set, thinned: their records, and the numbers of their slices in the set."""

    data: StudySet
    records: tuple[StudyRecord, ...]
    slices: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return the class of each slice."""
        return self.data.labels[self.slices]


@dataclass(frozen=True, eq=False, slots=True)
class Taught:
    """Both networks on the CPU, and how they were made."""

    image: Classifier
    patient: PatientModel
    how: str


def with_large_lesions(data: StudySet, per_class: int) -> list[NDArray[np.int64]]:
    """Return studies by class: those with the largest lesions, in the set's order."""
    labels, size = data.study_labels(), np.asarray([record.volume_ml for record in data.records])
    members = [np.flatnonzero(labels == label) for label in range(3)]
    return [np.sort(part[np.argsort(-size[part], kind="stable")[:per_class]]) for part in members]


def pick(data: StudySet, studies: NDArray[np.int64]) -> Picked:
    """Return studies thinned to `SLICES` slices."""
    records, slices = [], []
    for number in studies:
        members = np.flatnonzero(data.study_of_slice == number)
        kept = np.linspace(0, len(members) - 1, min(SLICES, len(members))).round().astype(np.int64)
        records.append(data.records[number].with_slices(kept))
        slices.append(members[kept])
    return Picked(data, tuple(records), np.concatenate(slices))


def teach(architecture: str, known: Picked, *, epochs: int, seed: int = 2023) -> Taught:
    """Return networks taught on some studies; `epochs` only counts where there is a GPU."""
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Classifier(architecture).to(device)
    if device == "cuda":
        _fit(model, known, epochs, seed)
        rows, how = _rows(model, known), f"trained {epochs} epochs on a GPU, head by ridge regression"
    elif isinstance(model.net, VisionTransformer):
        rows = read_lesions(model.net.eval(), known.slices, lambda part: unit_slices(known.data, part), _masks(known))
        how = "random weights; what the class token attends to last and the head by ridge regression"
    else:
        _settle(model, known)
        rows, how = _rows(model, known), "random weights, only the head by ridge regression"
    head = _set_head(model, rows, known.labels)
    ends = np.cumsum([len(record.slice_labels) for record in known.records])
    tables = np.split(np.concatenate([rows, head(torch.from_numpy(rows)).detach().numpy()], axis=1), ends[:-1])
    features = FeatureSet(known.records, tuple(tables))
    torch.manual_seed(seed)
    patient = PatientModel(model.features + 3)
    train_patient(patient, features, features, RECIPE)
    return Taught(model.cpu().eval(), patient.cpu().eval(), how)


def unit_slices(data: StudySet, slices: NDArray[np.int64]) -> FloatArray:
    """Return (n, 3, 224, 224) float32 in [0, 1]."""
    return np.ascontiguousarray(data.inputs(slices).astype(np.float32) / 255.0)


def golden_from(part: Picked) -> GoldenSet:
    """Return studies as a golden set."""
    return GoldenSet(
        unit_slices(part.data, part.slices),
        np.repeat(np.arange(len(part.records)), [len(record.slice_labels) for record in part.records]),
        np.concatenate([np.asarray(record.positions_mm, np.float64) for record in part.records]),
        np.asarray([record.label for record in part.records], np.int64),
    )


def _masks(known: Picked) -> NDArray[np.float32]:
    """Return (N, 2, 28, 28) share of haemorrhage and of ischaemia."""
    masks = known.data.masks(known.slices).astype(np.float32) / 255.0
    return np.stack([masks * (known.labels == label)[:, None, None] for label in (1, 2)], axis=1)


def _fit(model: Classifier, known: Picked, epochs: int, seed: int) -> None:
    data, slices, all_labels = known.data, known.slices, known.labels
    rng = np.random.default_rng(seed)
    steps = epochs * (len(slices) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-4, total_steps=max(steps, 2), pct_start=0.1)
    counts = np.bincount(all_labels, minlength=3)
    weight = torch.tensor(counts.sum() / (3.0 * np.maximum(counts, 1)), dtype=torch.float32, device="cuda")
    model.train()
    with tqdm(total=steps, desc=f"training {model.architecture}", unit="step") as bar:
        for _ in range(epochs):
            order = rng.permutation(len(slices))
            for first in range(0, len(order) - BATCH + 1, BATCH):
                part = np.sort(order[first : first + BATCH])
                images = torch.from_numpy(data.inputs(slices[part])).to("cuda").float() / 255.0
                if rng.random() < 0.5:
                    images = images.flip(3)
                labels = torch.from_numpy(all_labels[part]).to("cuda")
                with torch.autocast("cuda", torch.bfloat16):
                    logits = model.scores(images)[1]
                loss = nn.functional.cross_entropy(logits.float(), labels, weight)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                bar.update()
    model.eval()


@torch.no_grad()
def _settle(model: Classifier, known: Picked) -> None:
    """Give batch normalisations the statistics of slices, and residual blocks little weight.

    Untrained, values would grow with every block; and where each block counts as much as all before it, so would
    rounding (torch and ONNX Runtime differed by 8e-4 behind the 50 blocks of ResNet-152). Training begins with blocks
    of weight 0 for that reason (Goyal et al., 2017).
    """
    for block in model.modules():
        if isinstance(block, Bottleneck):
            nn.init.constant_(block.bn3.weight, BRANCH)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    model.train()
    few = known.slices[np.linspace(0, len(known.slices) - 1, 16).round().astype(np.int64)]
    model.scores(torch.from_numpy(unit_slices(known.data, few)))
    model.eval()


@torch.no_grad()
def _set_head(model: Classifier, rows: FloatArray, labels: NDArray[np.int64]) -> nn.Linear:
    """Fit the head to the features in closed form, classes weighing alike, and return it on the CPU."""
    mean = rows.mean(axis=0, dtype=np.float64)
    x = rows - mean
    weight = (len(labels) / (3.0 * np.maximum(np.bincount(labels, minlength=3), 1)))[labels][:, None]
    gram = x.T @ (weight * x)
    target = np.eye(3)[labels] - 1 / 3
    found = np.linalg.solve(gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), x.T @ (weight * target))
    scale = 6.0
    head = [module for module in model.net.modules() if isinstance(module, nn.Linear) and module.out_features == 3][-1]
    head.weight.copy_(torch.from_numpy(scale * found.T))
    head.bias.copy_(torch.from_numpy(-scale * found.T @ mean))
    return head.cpu()


@torch.no_grad()
def _rows(model: Classifier, known: Picked) -> FloatArray:
    """Return the features (N, F) of all slices; what stands before the head does not change when it is set."""
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for first in tqdm(range(0, len(known.slices), BATCH), desc="features", unit="batch"):
        images = torch.from_numpy(unit_slices(known.data, known.slices[first : first + BATCH])).to(device)
        rows.append(model.scores(images)[0].float().cpu().numpy())
    return np.concatenate(rows)
