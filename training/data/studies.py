"""Files with their labels → studies: one series each, ordered by geometry, labelled by their positive slices."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge_app.core.types import CLASSES
from edge_app.series.geometry import Stack, order_slices
from training.data.files import FileFacts
from training.data.lookalikes import study_fingerprint
from training.data.records import IndexedSlice, IndexedStudy, Reject, Truth

__all__ = ["assemble", "build_study", "choose_series"]

AXIAL_COSINE = 0.7
"""Least z of a slice normal that still counts as axial, gantry tilt included."""


def assemble(
    source: str, facts: Iterable[FileFacts], truths: Mapping[str, Truth]
) -> tuple[list[IndexedStudy], list[Reject]]:
    """Group files into studies.

    Parameters
    ----------
    source
        Name of the data set.
    facts
        Of every readable CT file, in any order; the result does not depend on it.
    truths
        By path; a file without one is rejected as unlabelled.
    """
    studies: list[IndexedStudy] = []
    rejects: list[Reject] = []
    groups: dict[tuple[str, str], list[FileFacts]] = defaultdict(list)
    for found in facts:
        if found.path in truths:
            groups[found.header.patient_id, found.header.study_uid].append(found)
        else:
            rejects.append(Reject(source, found.path, "unlabelled", "there is no label for this image"))
    for key in sorted(groups):
        series, left_out = choose_series(source, groups[key])
        rejects += left_out
        study = build_study(source, series, truths) if series else None
        if isinstance(study, Reject):
            rejects.append(study)
        elif study is not None:
            studies.append(study)
    return studies, rejects


def choose_series(source: str, facts: Sequence[FileFacts]) -> tuple[list[FileFacts], list[Reject]]:
    """Return the axial slices of a study's largest series, each SOP Instance UID once, and what was left out."""
    rejects = []
    series: dict[str, dict[str, FileFacts]] = defaultdict(dict)
    for found in sorted(facts, key=lambda f: f.path):
        if not _is_axial(found):
            rejects.append(Reject(source, found.path, "not_axial", "not an axial slice"))
        elif found.header.sop_uid in series[found.header.series_uid]:
            rejects.append(
                Reject(source, found.path, "duplicate", f"SOPInstanceUID {found.header.sop_uid} came before")
            )
        else:
            series[found.header.series_uid][found.header.sop_uid] = found
    if not any(series.values()):
        return [], rejects
    chosen = max(sorted(series), key=lambda uid: len(series[uid]))
    rejects += [
        Reject(source, found.path, "other_series", f"series {chosen} of the same study is larger")
        for uid, members in sorted(series.items())
        if uid != chosen
        for found in members.values()
    ]
    return list(series[chosen].values()), rejects


def build_study(
    source: str,
    facts: Sequence[FileFacts],
    truths: Mapping[str, Truth],
    *,
    mask_turn: int = 0,
    label: int | None = None,
) -> IndexedStudy | Reject:
    """Order one series and label it.

    Parameters
    ----------
    source, facts, truths
        As in `assemble`; at least one file, all of one study.
    mask_turn
        How masks lie to the slices (`training.data.pictures`).
    label
        The study's label where it does not follow from its slices'.
    """
    stack = order_slices([found.header for found in facts])
    first = stack.headers[0]
    by_uid = {found.header.sop_uid: found for found in facts}
    where = by_uid[first.sop_uid].path.rpartition("/")[0] or first.study_uid
    if not stack.orientations_agree:
        return Reject(source, where, "mixed_orientations", f"slices of study {first.study_uid} are not parallel")
    ordered = [by_uid[header.sop_uid] for header in stack.headers]
    slices = tuple(
        _slice(found, truths[found.path], position) for found, position in zip(ordered, stack.positions_mm, strict=True)
    )
    positive = {s.label for s in slices if s.label > 0}
    if len(positive) > 1 or (label is not None and positive - {label}):
        names = " and ".join(CLASSES[value] for value in sorted(positive))
        return Reject(source, where, "contradiction", f"study {first.study_uid}: its label and {names} slices differ")
    hashes = [s.pixel_hash for s in slices]
    return IndexedStudy(
        source=source,
        patient_id=first.patient_id,
        study_uid=first.study_uid,
        series_uid=first.series_uid,
        label=label if label is not None else max(positive, default=0),
        manufacturer=first.manufacturer,
        model=first.manufacturer_model_name,
        kernel=first.convolution_kernel,
        tilt_deg=round(stack.tilt_deg, 2),
        spacing_mm=round(stack.spacing_mm, 4),
        lesion_volume_ml=_volume_ml(slices, stack),
        stack_hash=_stack_hash(hashes),
        reversed_stack_hash=_stack_hash(hashes[::-1]),
        fingerprint=study_fingerprint([found.fingerprint for found in ordered]),
        mask_turn=mask_turn,
        slices=slices,
        synthetic=any(found.synthetic for found in ordered),
    )


def _slice(found: FileFacts, truth: Truth, position_mm: float) -> IndexedSlice:
    header = found.header
    position, orientation, spacing = header.image_position_mm, header.image_orientation, header.pixel_spacing_mm
    if position is None or orientation is None or spacing is None:  # `examine` lets no such file through
        raise ValueError(f"{found.path} was not examined")
    area = None if truth.lesion_pixels is None else round(truth.lesion_pixels * spacing[0] * spacing[1], 2)
    return IndexedSlice(
        sop_uid=header.sop_uid,
        path=found.path,
        label=truth.label,
        subtypes=truth.subtypes,
        lesion_area_mm2=area,
        mask_values=truth.mask_values,
        mask_path=truth.mask_path,
        position_mm=round(position_mm, 4),
        image_position_mm=position,
        image_orientation=orientation,
        pixel_spacing_mm=spacing,
        rows=header.rows,
        columns=header.columns,
        thickness_mm=header.slice_thickness_mm,
        pixel_hash=found.pixel_hash,
    )


def _is_axial(found: FileFacts) -> bool:
    orientation = np.asarray(found.header.image_orientation)
    return bool(abs(np.cross(orientation[:3], orientation[3:])[2]) >= AXIAL_COSINE)


def _volume_ml(slices: Sequence[IndexedSlice], stack: Stack) -> float | None:
    """Return area times slice distance; None where no slice has a mask."""
    areas = [s.lesion_area_mm2 for s in slices if s.lesion_area_mm2 is not None]
    height_mm = stack.spacing_mm or stack.thickness_mm
    return round(sum(areas) * height_mm / 1000, 3) if areas and height_mm else None


def _stack_hash(hashes: Sequence[str]) -> str:
    return hashlib.blake2b("|".join(hashes).encode(), digest_size=16).hexdigest()
