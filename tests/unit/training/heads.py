"""Prepared sets in memory: round heads with skull, brain, noise and lesions, for what looks at prepared slices only."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.prepared import PreparedSet, StudyInfo
from training.shards import INPUT_SHAPE, MASK_SIZE

SLICES = 5
WINDOWS = ((32, 40), (60, 140), (600, 2800))
Finish = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


def grainy(noise_hu: float, blur: float = 0.0) -> Finish:
    """Return what a scanner with this noise and this softness makes of a slice in HU."""

    def finish(hu: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        soft = cv2.GaussianBlur(hu, (0, 0), blur) if blur else hu
        return soft + noise_hu * rng.standard_normal(hu.shape)

    return finish


def head(seed: int, label: int, finish: Finish, lesion: bool) -> NDArray[np.uint8]:
    """Return one model input (3, 224, 224)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: INPUT_SHAPE[1], : INPUT_SHAPE[2]] - 112.0
    width, length = rng.uniform(0.95, 1.05, 2)
    radius = np.hypot(x / (70 * width), y / (85 * length))
    hu = np.full(x.shape, -1000.0)
    hu[radius < 1.12] = 30.0
    hu[radius < 1.0] = 900.0
    hu[radius < 0.92] = 32.0
    if lesion and label:
        hu[np.hypot(x + 25, y - 10) < 18] = 70.0 if label == 1 else 18.0
    hu = np.where(radius < 1.12, finish(hu, rng), hu)
    return np.stack([np.clip((hu - c + w / 2) / w, 0, 1) * 255 for c, w in WINDOWS]).round().astype(np.uint8)


def head_set(studies: list[tuple[str, int, Finish]], seed: int = 0) -> PreparedSet:
    """Return one study for each (source, label, scanner), lesions in its second and third slice."""
    inputs, labels = [], []
    for number, (_, label, finish) in enumerate(studies):
        for k in range(SLICES):
            positive = label > 0 and k in (1, 2)
            inputs.append(head(seed * 1_000_000 + number * 100 + k, label, finish, positive))
            labels.append(label if positive else 0)
    count = len(inputs)
    infos = tuple(
        StudyInfo(
            key=f"P{seed}-{n}|1.{seed}.{n}", patient_id=f"P{seed}-{n}", source=source, label=label, manufacturer="M",
            model="m", kernel="k", lesion_volume_ml=None if label != 2 else 12.0,
            subtypes=("subdural", "epidural") if label == 1 else (),
        )
        for n, (source, label, _) in enumerate(studies)
    )  # fmt: skip
    return PreparedSet(
        studies=infos,
        study_of_slice=np.repeat(np.arange(len(studies)), SLICES),
        labels=np.asarray(labels, np.int64),
        lesion_area_mm2=np.full(count, np.nan, np.float32),
        mask_known=np.zeros(count, bool),
        position_mm=np.tile(np.arange(SLICES) * 10.0, len(studies)),
        seen=np.ones(count, bool),
        shards=((np.stack(inputs), np.zeros((count, MASK_SIZE, MASK_SIZE), np.uint8)),),
        place=np.stack([np.zeros(count, np.int64), np.arange(count)], axis=1),
    )
