"""Simulator studies on disk as RSNA, AISD or one's own data would lie there, for tests and for proofs.

RSNA: the few attributes that Kaggle's files have, names like ``ID_0a1b2c3d4`` in place of UIDs, one table. AISD: CT
beside DWI decoys in patient folders, pictures numbered from the vertex down. Whatever reads these reads the real ones.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from edge_app.series.headers import quiet_pydicom
from edge_app.simulator.dicom import to_datasets, write_study
from edge_app.simulator.scanner import PERSONALITIES, Personality
from edge_app.simulator.study import Label, SyntheticStudy, make_study
from training.data import aisd, generic, rsna
from training.data.atomic import replacing
from training.data.files import SYNTHETIC
from training.data.parallel import Workers

__all__ = ["LAYOUTS", "StudyOrder", "as_published", "patient_id", "plan", "write_corpus"]

LAYOUTS: dict[str, tuple[Label, ...]] = {
    "rsna": ("negative", "hemorrhage"),
    "aisd": ("ischemic",),
    "generic": ("negative", "hemorrhage", "ischemic"),
}
"""Classes each layout holds unless told otherwise; that source and class are one is a weakness of the real sets."""

POSSIBLE: dict[str, tuple[Label, ...]] = {
    "rsna": ("negative", "hemorrhage"),
    "aisd": ("negative", "ischemic"),
    "generic": ("negative", "hemorrhage", "ischemic"),
}
"""Classes each layout can hold: RSNA's table has no word for infarct, AISD's masks none for blood."""

_RSNA_KEYWORDS = frozenset(
    (
        *("SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyID"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "WindowCenter", "WindowWidth"),
        *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"),
        *("HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "PixelData"),
    )
)
"""Attributes of Kaggle's files; neither SOPClassUID nor PixelPaddingValue is one of them."""

_ACQUIRED = datetime(2025, 6, 30, 9, 0, tzinfo=timezone.utc)
_PICTURE_WINDOW = (0.0, 80.0)
_AISD_ARCHIVES = 3
_DWI_SLICES = 3
_DWI_SIDE = 64

Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class StudyOrder:
    """One study to write."""

    seed: int
    label: Label
    personality: Personality


def plan(
    layout: str, studies: int, seed: int, personalities: Sequence[Personality], labels: Sequence[Label] = ()
) -> list[StudyOrder]:
    """Return the studies to write: classes in turn, scanners in turn within each class.

    Raises
    ------
    TrainingError
        If the layout is unknown or cannot hold one of the classes, or there is nothing to draw from.
    """
    if layout not in LAYOUTS:
        raise TrainingError(f"there is no layout {layout!r}", remedy=f"Layouts are {', '.join(LAYOUTS)}.")
    wanted = tuple(labels) or LAYOUTS[layout]
    foreign = [label for label in wanted if label not in POSSIBLE[layout]]
    if foreign:
        raise TrainingError(
            f"the layout {layout} cannot hold {', '.join(foreign)}", remedy=f"It holds {', '.join(POSSIBLE[layout])}."
        )
    if studies < 1 or not personalities:
        raise TrainingError("nothing to write", remedy=f"Scanners are {', '.join(sorted(PERSONALITIES))}.")
    scanners = [as_published(layout, personality) for personality in personalities]
    return [
        StudyOrder(seed + n, wanted[n % len(wanted)], scanners[n // len(wanted) % len(scanners)])
        for n in range(studies)
    ]


def as_published(layout: str, scanner: Personality) -> Personality:
    """Return a scanner that writes as the images of a published data set are written."""
    # They are uncompressed, and without PixelPaddingValue padding would be tissue.
    padding = None if layout == "rsna" else scanner.padding
    return replace(scanner, transfer_syntax=str(ExplicitVRLittleEndian), padding=padding)


def patient_id(layout: str, order: StudyOrder) -> str:
    """Return the PatientID under which a study stands in a layout."""
    return _name(order, 8, "patient") if layout == "rsna" else f"SYN-{order.seed:06d}"


def write_corpus(layout: str, orders: Sequence[StudyOrder], root: Path, workers: Workers) -> int:
    """Write studies in a layout below `root`; return the number of CT slices.

    The same orders give the same files. An existing table is replaced: give each corpus a folder of its own.
    """
    _, table, header = _WRITERS[layout]
    tasks = [(layout, root, number, order) for number, order in enumerate(orders)]
    rows: dict[int, tuple[int, Rows]] = {}
    for number, slices, found in workers.run(_write_one, tasks, title=f"{layout} studies"):
        rows[number] = (slices, found)
    if table:
        text = io.StringIO(newline="")
        out = csv.writer(text, lineterminator="\n")
        out.writerow(header)
        out.writerows(row for number in sorted(rows) for row in rows[number][1])
        with replacing(root / table) as file:
            file.write(text.getvalue().encode())
    return sum(slices for slices, _ in rows.values())


def _write_one(task: tuple[str, Path, int, StudyOrder]) -> tuple[int, int, Rows]:
    layout, root, number, order = task
    study = make_study(order.seed, order.label, personality=order.personality)
    return number, len(study.hu), _WRITERS[layout][0](study, root, number)


def _name(study: SyntheticStudy | StudyOrder, length: int, *purpose: object) -> str:
    words = "|".join(str(word) for word in (study.seed, study.label, study.personality.name, *purpose))
    return "ID_" + hashlib.sha256(words.encode()).hexdigest()[:length]


def _write_rsna(study: SyntheticStudy, root: Path, _number: int) -> Rows:
    folder = root / rsna.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {lesion.kind.value for lesion in study.lesions}
    rows: Rows = []
    for k, ds in enumerate(to_datasets(study, acquired_at=_ACQUIRED)):
        for element in list(ds):
            if element.keyword not in _RSNA_KEYWORDS:
                del ds[element.tag]
        image = _name(study, 9, "image", k)
        with quiet_pydicom():
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(image)
            ds.PatientID = _name(study, 8, "patient")
            ds.StudyInstanceUID = _name(study, 10, "study")
            ds.SeriesInstanceUID = _name(study, 10, "series")
            ds.StudyID = ""
            ds.file_meta.ImplementationVersionName = SYNTHETIC  # Kaggle's attributes have no place for it
            ds.save_as(folder / f"{image}.dcm", enforce_file_format=True)
        positive = bool(study.label_per_slice[k])
        found = {kind for kind in kinds if positive}
        rows += [(f"{image}_{name}", str(int(name in found))) for name in rsna.SUBTYPES]
        rows.append((f"{image}_{rsna.ANY}", str(int(positive))))
    return rows


def _write_aisd(study: SyntheticStudy, root: Path, number: int) -> Rows:
    patient = f"{study.seed % 10**7:07d}"
    folder = root / f"dicom-{number % _AISD_ARCHIVES}" / patient
    write_study(study, folder / "CT", acquired_at=_ACQUIRED)
    _write_dwi(study, folder / "DWI")
    for name in (aisd.IMAGES, aisd.MASKS):
        (root / name / patient).mkdir(parents=True, exist_ok=True)
    low, high = _PICTURE_WINDOW
    for place, k in enumerate(reversed(range(len(study.hu)))):
        picture = np.clip((study.hu[k] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        _write_picture(root / aisd.IMAGES / patient / f"{place:03d}.png", picture)
        lesion = study.lesion_mask[k] & bool(study.label_per_slice[k])
        mask = np.where(lesion, _mask_value(study), 0).astype(np.uint8)
        _write_picture(root / aisd.MASKS / patient / f"{place:03d}.png", mask)
    return []


def _mask_value(study: SyntheticStudy) -> int:
    """Return a kind of infarct by how clearly it shows: 2 clear, 3 blurred, 4 invisible."""
    change = min((lesion.mean_delta_hu for lesion in study.lesions), default=0.0)
    return 2 if change < -8 else 3 if change < -5 else 4


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    _, content = cv2.imencode(".png", picture)
    path.write_bytes(content.tobytes())


def _write_dwi(study: SyntheticStudy, folder: Path) -> None:
    """Write a few MR images of the same patient: what a reader of the folder must leave alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(_DWI_SLICES):
        ds: FileDataset = to_datasets(_first_slice(study), acquired_at=_ACQUIRED)[0]
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{ds.SOPInstanceUID[:50]}.9.{k}")
        ds.StudyInstanceUID = f"{ds.StudyInstanceUID[:50]}.9"
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID[:50]}.9"
        ds.Modality, ds.SeriesDescription = "MR", "DWI b1000"
        for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "KVP", "PixelPaddingValue"):
            if keyword in ds:
                del ds[keyword]
        ds.Rows = ds.Columns = _DWI_SIDE
        ds.PixelData = np.full((_DWI_SIDE, _DWI_SIDE), 100 + k, "<u2").tobytes()
        ds.save_as(folder / f"IM{k:04d}.dcm", enforce_file_format=True)


def _first_slice(study: SyntheticStudy) -> SyntheticStudy:
    return replace(study, hu=study.hu[:1], positions=study.positions[:1])


def _write_generic(study: SyntheticStudy, root: Path, number: int) -> Rows:
    name = f"study-{number:05d}"
    paths = write_study(study, root / name, acquired_at=_ACQUIRED)
    return [
        (name, path.name, CLASSES[label]) for path, label in zip(paths, study.label_per_slice.tolist(), strict=True)
    ]


_WRITERS: dict[str, tuple[Callable[[SyntheticStudy, Path, int], Rows], str, tuple[str, ...]]] = {
    "rsna": (_write_rsna, rsna.TABLE, ("ID", "Label")),
    "aisd": (_write_aisd, "", ()),
    "generic": (_write_generic, generic.TABLE, ("study", "file", "label")),
}
"""How each layout is written, its table and the table's columns."""
