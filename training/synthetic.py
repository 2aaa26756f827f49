"""Seeds to synthetic studies to model inputs on disk, by the vehicle's own code.

Each split has its own range of seeds, and the test split its own scanner personalities: what training sees and what
it is judged by share neither a patient nor a scanner. Work is cut into shards of a few studies; a shard that is there
is not made again, so an interrupted run goes on where it stopped. The folder's name holds a hash of everything that
decides its content (plan, preprocessing, simulator), so stale shards are never taken for fresh ones.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_app import series, simulator
from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from edge_app.preprocessing import Prepared, get_profile, prepare, profile_hash
from edge_app.series.geometry import order_slices
from edge_app.series.head import brain_range
from edge_app.series.headers import read_header
from edge_app.series.measures import measure_slice
from edge_app.series.pixels import decode_slice
from edge_app.simulator.dicom import to_datasets
from edge_app.simulator.scanner import PERSONALITIES, TRAINING_PERSONALITIES, UNSEEN_PERSONALITIES, Personality
from edge_app.simulator.study import Label, SyntheticStudy, make_study
from training.shards import MASK_SIZE, PreparedStudy, StudyRecord, StudySet, shard_exists, write_shard

__all__ = [
    "PROFILE",
    "SEED_BASE",
    "Split",
    "StudyRequest",
    "make_split",
    "plan_split",
    "prepare_study",
    "reformat",
    "vary_scanner",
]

Split = Literal["train", "validation", "test"]

SEED_BASE: dict[Split, int] = {"train": 10_000_000, "validation": 20_000_000, "test": 90_000_000}
"""First seed of each split; the splits cannot touch as long as none has ten million studies.

The test seeds from 30,000,000 to 80,000,000 on (each ten million) are used up: they were looked at before the recipe
was changed. Bundle 1.4.0 was judged on these: another recipe needs others.
"""

PROFILE = "msu1"
"""The project's default preprocessing profile."""

MAX_SLICES = 80
SHARD_STUDIES = 6
EXPLICIT_LE = "1.2.840.10008.1.2.1"
VARIATION_STREAM = 77
"""Keeps the chance that varies a scanner apart from the simulator's own streams of the same seed."""
REFORMAT_STREAM = 78

REFORMATTED = 0.3
"""Share of the varied studies that were reformatted: consoles and PACS interpolate slices, and a bone's edge between
two slices then looks like blood to a network that has never seen one."""


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One study to make."""

    seed: int
    label: Label
    personality: str
    varied: bool = False
    """Whether the scanner differs from its description, as two of one model do."""


def plan_split(split: Split, per_class: int) -> list[StudyRequest]:
    """Return the studies of a split, classes in turn, scanner personalities evenly within each class.

    In training and validation no two studies come from quite the same scanner: eight machines exactly as described
    would teach the network these eight. The test's scanners are as described.

    Raises
    ------
    TrainingError
        If more studies are asked for than the split has seeds.
    """
    if per_class * len(CLASSES) > SEED_BASE["validation"] - SEED_BASE["train"]:
        raise TrainingError(f"{per_class} studies per class are too many", remedy="Ask for fewer.")
    scanners = UNSEEN_PERSONALITIES if split == "test" else TRAINING_PERSONALITIES
    requests = []
    for number in range(per_class):
        for index, label in enumerate(CLASSES):
            seed = SEED_BASE[split] + number * len(CLASSES) + index
            requests.append(StudyRequest(seed, label, scanners[number % len(scanners)].name, split != "test"))  # type: ignore[arg-type]
    return requests


def make_split(split: Split, per_class: int, work: Path, *, processes: int = 2) -> StudySet:
    """Make what is missing of a split under `work`, and open it.

    Parameters
    ----------
    split, per_class
        Which studies, and how many of each class.
    work
        Folder for shards; some 5 MB a study.
    processes
        Processes that make studies; 1 makes them in this one.
    """
    plan = plan_split(split, per_class)
    folder = work / f"{split}-{per_class}-{_content_hash(plan)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    shards = [plan[first : first + SHARD_STUDIES] for first in range(0, len(plan), SHARD_STUDIES)]
    tasks = [(folder, i, shard) for i, shard in enumerate(shards) if not shard_exists(folder, i)]
    done = len(plan) - sum(len(shard) for _, _, shard in tasks)
    with tqdm(total=len(plan), initial=done, desc=f"{split} studies", unit="study") as bar:
        if processes == 1:
            for task in tasks:
                bar.update(_make_shard(task))
        elif tasks:
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                for made in pool.imap_unordered(_make_shard, tasks):
                    bar.update(made)
    return StudySet(folder)


def prepare_study(request: StudyRequest) -> PreparedStudy:
    """Make one study and take it through the vehicle's stages up to the model input.

    The slices go through real DICOM objects, the ordering by geometry and the choice of the brain's range; only
    compression is left out, which is lossless for every personality.
    """
    scanner = replace(PERSONALITIES[request.personality], transfer_syntax=EXPLICIT_LE)
    if request.varied:
        scanner = vary_scanner(scanner, request.seed)
    study = make_study(request.seed, request.label, personality=scanner)
    rng = np.random.default_rng([request.seed, REFORMAT_STREAM])
    if request.varied and rng.random() < REFORMATTED:
        study = reformat(study, float(rng.uniform(0.3, 0.7)))
    datasets = to_datasets(study)
    headers = [read_header(dataset) for dataset in datasets]
    number = {header.sop_uid: index for index, header in enumerate(headers)}
    stack = order_slices(headers)
    images = [decode_slice(datasets[number[h.sop_uid]], h) for h in stack.headers]
    chosen = brain_range(stack, [measure_slice(image) for image in images], max_slices=MAX_SLICES)
    profile = get_profile(PROFILE)
    prepared = [prepare(images[index], profile) for index in chosen]
    sources = [number[stack.headers[index].sop_uid] for index in chosen]
    return PreparedStudy(
        _describe(study, request, sources, [stack.positions_mm[index] for index in chosen]),
        np.stack([np.rint(p.input * 255.0).astype(np.uint8) for p in prepared]),
        np.stack([_mask(study.lesion_mask[i], p) for i, p in zip(sources, prepared, strict=True)]),
    )


def vary_scanner(scanner: Personality, seed: int) -> Personality:
    """Return the scanner with another noise, kernel, slice thickness and field of view; the label plays no part."""
    rng = np.random.default_rng([seed, VARIATION_STREAM])

    def factor(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    return replace(
        scanner,
        noise_hu=scanner.noise_hu * factor(0.65, 1.5),
        grain_mm=scanner.grain_mm * factor(0.75, 1.3),
        ring=float(rng.uniform(0.3, 0.85)),
        cupping_hu=float(rng.uniform(0.0, 3.0)),
        hardening=scanner.hardening * factor(0.6, 1.3),
        slice_mm=round(scanner.slice_mm * factor(0.75, 1.15), 2),
        spacing_mm=round(scanner.spacing_mm * factor(0.98, 1.12), 4),
    )


def reformat(study: SyntheticStudy, shift: float) -> SyntheticStudy:
    """Return the study with each slice interpolated from two neighbours, `shift` (0–1) of the way to the upper one.

    What either neighbour shows of a lesion counts as lesion.
    """
    hu = study.hu.astype(np.float32)
    return replace(
        study,
        hu=np.rint((1.0 - shift) * hu[:-1] + shift * hu[1:]).astype(np.int16),
        lesion_mask=study.lesion_mask[:-1] | study.lesion_mask[1:],
        label_per_slice=np.maximum(study.label_per_slice[:-1], study.label_per_slice[1:]),
        positions=(1.0 - shift) * study.positions[:-1] + shift * study.positions[1:],
    )


def _describe(
    study: SyntheticStudy, request: StudyRequest, sources: Sequence[int], positions_mm: Sequence[float]
) -> StudyRecord:
    area = study.lesion_mask.sum(axis=(1, 2)) * study.spacing_mm[1] * study.spacing_mm[2]
    return StudyRecord(
        seed=request.seed,
        label=CLASSES.index(request.label),
        personality=request.personality,
        lesion="+".join(sorted({lesion.kind.value for lesion in study.lesions})),
        volume_ml=round(sum(lesion.volume_ml for lesion in study.lesions), 2),
        delta_hu=round(float(np.mean([lesion.mean_delta_hu for lesion in study.lesions] or [0.0])), 2),
        positions_mm=tuple(round(float(p), 3) for p in positions_mm),
        slice_labels=tuple(int(study.label_per_slice[i]) for i in sources),
        lesion_area_mm2=tuple(round(float(area[i]), 1) for i in sources),
    )


def _mask(lesion: NDArray[np.bool_], prepared: Prepared) -> NDArray[np.uint8]:
    """Return (28, 28) share of lesion, times 255, in the frame of the model input."""
    height, width = prepared.input.shape[1:]
    warped = cv2.warpAffine(
        lesion.astype(np.uint8) * 255,
        prepared.to_slice,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.asarray(cv2.resize(warped, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def _make_shard(task: tuple[Path, int, list[StudyRequest]]) -> int:
    folder, index, requests = task
    cv2.setNumThreads(1)
    write_shard(folder, index, [prepare_study(request) for request in requests])
    return len(requests)


def _content_hash(plan: Sequence[StudyRequest]) -> str:
    digest = hashlib.sha256(json.dumps([asdict(request) for request in plan]).encode())
    digest.update(profile_hash(get_profile(PROFILE)).encode())
    packages = [source for p in (simulator, series) for source in sorted(Path(p.__path__[0]).rglob("*.py"))]
    for source in (*packages, Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()
