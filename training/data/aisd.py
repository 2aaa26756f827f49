"""AISD: ``dicom-<n>/<patient>/…`` with CT and DWI files, ``image/<patient>/*.png`` and ``mask/<patient>/*.png``.

DWI folders are told by their modality, not by their name. A mask has one value a pixel: 0 none, 1 remote, 2 clear
acute, 3 blurred acute, 4 invisible acute, 5 general acute infarct; any other value is refused. A slice is ischemic
where its mask is not empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_app.core.errors import InputError, TrainingError
from edge_app.core.types import CLASSES
from edge_app.series.geometry import order_slices
from training.data.files import FileFacts, dicom_files, examine, load_image
from training.data.parallel import Workers
from training.data.pictures import Match, match_pictures, picture_files, read_picture
from training.data.records import IndexedStudy, Reject, Truth
from training.data.studies import build_study, choose_series

__all__ = ["IMAGES", "MASKS", "MASK_KINDS", "SOURCE", "find_patients", "read_aisd"]

SOURCE = "aisd"
IMAGES = "image"
MASKS = "mask"
MASK_KINDS = {1: "remote", 2: "clear acute", 3: "blurred acute", 4: "invisible acute", 5: "general acute"}

Found = tuple[list[IndexedStudy], list[Reject]]


def read_aisd(root: Path, workers: Workers) -> Found:
    """Read the data set under `root`.

    Raises
    ------
    TrainingError
        If a part of the layout is missing.
    """
    patients = find_patients(root)
    studies: list[IndexedStudy] = []
    rejects: list[Reject] = []
    tasks = [(root, patient, folders) for patient, folders in sorted(patients.items())]
    for found, left_out in workers.run(_read_patient, tasks, title="aisd patients"):
        studies += found
        rejects += left_out
    missing = sorted({folder.name for folder in (root / MASKS).iterdir() if folder.is_dir()} - set(patients))
    rejects += [Reject(SOURCE, f"{MASKS}/{name}", "missing", "masks, but no DICOM folder") for name in missing]
    return sorted(_told_apart(studies), key=lambda study: study.key), rejects


def _told_apart(studies: list[IndexedStudy]) -> list[IndexedStudy]:
    """Name patients by their folders where one PatientID for all ("ANONYMOUS") names nobody."""
    folders = {study.slices[0].path.split("/")[1] for study in studies}
    if len(folders) < 2 or len({study.patient_id for study in studies}) > 1:
        return studies
    return [replace(study, patient_id=study.slices[0].path.split("/")[1]) for study in studies]


def find_patients(root: Path) -> dict[str, list[Path]]:
    """Return the DICOM folders of each patient, in all archives.

    Raises
    ------
    TrainingError
        If a part of the layout is missing.
    """
    patients: dict[str, list[Path]] = defaultdict(list)
    for archive in sorted(root.glob("dicom*")):
        for folder in sorted(archive.iterdir()) if archive.is_dir() else ():
            if folder.is_dir():
                patients[folder.name].append(folder)
    for name, present in (
        ("dicom-0/<patient>", bool(patients)),
        (IMAGES, (root / IMAGES).is_dir()),
        (MASKS, (root / MASKS).is_dir()),
    ):
        if not present:
            raise TrainingError(
                f"{root / name} is missing",
                remedy="Unpack AISD's dicom-0..2.tar.gz, image.zip and mask.zip side by side; image.zip tells which "
                "slice a mask belongs to.",
            )
    return dict(patients)


def _read_patient(task: tuple[Path, str, list[Path]]) -> Found:
    root, patient, folders = task
    seen = [examine(root, path, SOURCE, patient=patient) for folder in folders for path in dicom_files(folder)]
    rejects = [found for found in seen if isinstance(found, Reject)]
    by_study: dict[str, list[FileFacts]] = defaultdict(list)
    for found in seen:
        if isinstance(found, FileFacts):
            by_study[found.header.study_uid].append(found)
    where = folders[0].relative_to(root).as_posix()
    try:
        masks = picture_files(root / MASKS / patient)
        pictures = picture_files(root / IMAGES / patient)
        if not masks or not pictures:
            return [], [
                *rejects,
                Reject(SOURCE, where, "unlabelled", f"no pictures in image/{patient} or mask/{patient}"),
            ]
        if [m.stem for m in masks] != [p.stem for p in pictures]:
            return [], [*rejects, Reject(SOURCE, where, "mask_count", f"image/{patient} and mask/{patient} differ")]
        series, left_out = _scan_with(by_study, len(masks))
        rejects += left_out
        if not series:
            counts = ", ".join(str(len(members)) for members in by_study.values()) or "no"
            return [], [
                *rejects,
                Reject(SOURCE, where, "mask_count", f"{len(masks)} masks, but {counts} CT slices that can be read"),
            ]
        study = _label(root, series, masks, pictures)
    except InputError as error:
        return [], [*rejects, Reject(SOURCE, where, "pictures", error.message)]
    return ([], [*rejects, study]) if isinstance(study, Reject) else ([study], rejects)


def _scan_with(by_study: dict[str, list[FileFacts]], count: int) -> tuple[list[FileFacts], list[Reject]]:
    """Return the CT series with as many slices as there are masks, and what else there was."""
    chosen: list[FileFacts] = []
    rejects: list[Reject] = []
    by_series: dict[str, list[FileFacts]] = defaultdict(list)
    for _, members in sorted(by_study.items()):
        for found in members:
            by_series[found.header.series_uid].append(found)
    for _, files in sorted(by_series.items()):
        series, left_out = choose_series(SOURCE, files)
        rejects += left_out
        if not chosen and len(series) == count:
            chosen = series
        else:
            rejects += [Reject(SOURCE, f.path, "other_series", "not the series with the masks") for f in series]
    return chosen, rejects


def _label(
    root: Path, series: Sequence[FileFacts], masks: Sequence[Path], pictures: Sequence[Path]
) -> IndexedStudy | Reject:
    by_uid = {found.header.sop_uid: found for found in series}
    ordered = [by_uid[header.sop_uid] for header in order_slices([found.header for found in series]).headers]
    slices = [load_image(root / found.path) for found in ordered]
    match = match_pictures([image.hu for image in slices], [read_picture(path) for path in pictures])
    in_order = list(masks)[::-1] if match.reversed else list(masks)
    truths = {found.path: _truth(root, mask, found, match) for found, mask in zip(ordered, in_order, strict=True)}
    return build_study(SOURCE, ordered, truths, mask_turn=match.turn)


def _truth(root: Path, mask: Path, found: FileFacts, match: Match) -> Truth:
    values = read_picture(mask)
    shape = (found.header.rows, found.header.columns)
    if values.shape not in (shape, shape[::-1]):
        raise InputError(f"{mask} is {values.shape}, its slice {shape}", remedy="Check the archive.")
    kinds = tuple(int(value) for value in np.unique(values) if value != 0)
    unknown = [value for value in kinds if value not in MASK_KINDS]
    if unknown:
        raise InputError(
            f"{mask} has the unknown values {', '.join(map(str, unknown))}",
            remedy=f"Known are {', '.join(f'{value} {name}' for value, name in MASK_KINDS.items())}.",
        )
    return Truth(
        label=CLASSES.index("ischemic") if kinds else 0,
        lesion_pixels=int(np.count_nonzero(values)),
        mask_values=kinds,
        mask_path=mask.relative_to(root).as_posix(),
    )
