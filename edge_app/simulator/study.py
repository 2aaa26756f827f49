"""One synthetic study from one number: who the patient is, what the head holds, which scanner looked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_app.core.errors import ConfigError
from edge_app.simulator.head import draw_head
from edge_app.simulator.imaging import Artefacts, acquire
from edge_app.simulator.lesions import HAEMORRHAGES, LesionKind, draw_lesion
from edge_app.simulator.scanner import PERSONALITIES, TRAINING_PERSONALITIES, Personality
from edge_app.simulator.skull_base import draw_skull_base

__all__ = ["Label", "LesionTruth", "PatientIdentity", "SyntheticStudy", "make_study"]

Label = Literal["negative", "hemorrhage", "ischemic"]
LABELS: tuple[Label, ...] = ("negative", "hemorrhage", "ischemic")
"""Class names in the order of the model's outputs."""

MIN_LESION_MM2 = 25.0
"""A slice counts as positive from this much lesion on; less is not seen by a reader either."""

AS_DRAWN = Artefacts()
"""Artefacts as the seed has them."""

_REFERENCE_DAY = date(2025, 6, 30)
_SURNAMES = {
    "plain": ("Alder", "Birch", "Cedar", "Elm", "Hazel", "Juniper", "Larch", "Maple", "Rowan", "Willow"),
    "umlaut": ("Müller", "Schäfer", "Jörgensen", "Göransson", "Lefèvre", "Núñez"),
    "ideographic": ("Yamada=山田", "Sato=佐藤", "Wang=王", "Lin=林"),
}
_GIVEN = {
    "F": {"plain": "Synthia", "umlaut": "Zoë", "ideographic": "Hanako=花子"},
    "M": {"plain": "Simon", "umlaut": "Jürgen", "ideographic": "Tarou=太郎"},
}


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """An invented patient; ``name`` follows the person name representation of PS3.5 6.2.1."""

    name: str
    patient_id: str
    birth_date: date
    sex: Literal["F", "M"]
    age_years: int


@dataclass(frozen=True, slots=True)
class LesionTruth:
    """What was put in: kind, place, side (``left``, ``right``), volume of the mask and mean change of density."""

    kind: LesionKind
    place: str
    side: Literal["left", "right"]
    volume_ml: float
    mean_delta_hu: float


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticStudy:
    """A head CT with its truth, slices from the skull base upwards.

    Attributes
    ----------
    hu
        ``(Z, H, W)`` int16 as the scanner displays it; air, and what lies outside the reconstruction circle, is -1000.
    lesion_mask
        ``(Z, H, W)`` bool.
    label_per_slice
        ``(Z,)`` int8: 0 negative, 1 hemorrhage, 2 ischemic; positive from `MIN_LESION_MM2` of lesion on.
    spacing_mm
        ``(along the normal, row, column)``.
    positions
        ``(Z, 3)`` ImagePositionPatient in mm.
    orientation
        ImageOrientationPatient.
    """

    seed: int
    label: Label
    hu: npt.NDArray[np.int16]
    lesion_mask: npt.NDArray[np.bool_]
    lesions: tuple[LesionTruth, ...]
    label_per_slice: npt.NDArray[np.int8]
    spacing_mm: tuple[float, float, float]
    slice_thickness_mm: float
    positions: npt.NDArray[np.float64]
    orientation: tuple[float, float, float, float, float, float]
    tilt_deg: float
    personality: Personality
    patient: PatientIdentity


def _stream(seed: int, purpose: int) -> np.random.Generator:
    """Independent chance for each purpose, so that a lesion never changes the head or the noise around it."""
    return np.random.default_rng([seed, purpose])


def _draw_patient(rng: np.random.Generator, seed: int, age_years: int, style: str) -> PatientIdentity:
    sex: Literal["F", "M"] = "F" if rng.random() < 0.5 else "M"
    family, given = str(rng.choice(_SURNAMES[style])), _GIVEN[sex][style]
    if "=" in family:
        (latin, native), (latin_given, native_given) = family.split("="), given.split("=")
        name = f"{latin}^{latin_given}={native}^{native_given}"
    else:
        name = f"{family}^{given}"
    birth = _REFERENCE_DAY - timedelta(days=round(365.25 * age_years) + int(rng.integers(20, 340)))
    return PatientIdentity(name, f"SYN-{seed:06d}", birth, sex, age_years)


def _choose_personality(personality: Personality | str | None, rng: np.random.Generator) -> Personality:
    drawn = TRAINING_PERSONALITIES[int(rng.integers(len(TRAINING_PERSONALITIES)))]
    if personality is None:
        return drawn
    if isinstance(personality, Personality):
        return personality
    if personality not in PERSONALITIES:
        raise ConfigError(
            f"no scanner personality {personality!r}", remedy=f"Use one of: {', '.join(sorted(PERSONALITIES))}."
        )
    return PERSONALITIES[personality]


def _choose_lesion(label: Label, lesion: LesionKind | None, rng: np.random.Generator) -> LesionKind | None:
    allowed = {"negative": (), "hemorrhage": HAEMORRHAGES, "ischemic": (LesionKind.ISCHAEMIA,)}
    if label not in allowed:
        raise ConfigError(f"no label {label!r}", remedy=f"Use one of: {', '.join(LABELS)}.")
    kinds: tuple[LesionKind, ...] = allowed[label]
    if lesion is not None and lesion not in kinds:
        raise ConfigError(
            f"a study labelled {label!r} cannot hold the lesion {lesion.value!r}",
            remedy=f"Possible here: {', '.join(k.value for k in kinds) or 'none'}.",
        )
    return lesion if lesion is not None else (kinds[int(rng.integers(len(kinds)))] if kinds else None)


def make_study(
    seed: int,
    label: Label,
    *,
    personality: Personality | str | None = None,
    lesion: LesionKind | None = None,
    artefacts: Artefacts = AS_DRAWN,
) -> SyntheticStudy:
    """Make one study; the same arguments give the same bits.

    Two studies of one seed differ by their lesion only: head, scanner, artefacts and noise are drawn apart from it.

    Parameters
    ----------
    seed
        Not negative.
    label
        Class of the study.
    personality
        Scanner, or its name; None draws one of `TRAINING_PERSONALITIES`.
    lesion
        Kind of lesion; None draws one that fits the label.
    artefacts
        Artefacts to force or forbid.

    Raises
    ------
    ConfigError
        Unknown label or personality, or a lesion that does not fit the label.
    """
    scanner = _choose_personality(personality, _stream(seed, 1))
    lesion_rng = _stream(seed, 2)
    kind = _choose_lesion(label, lesion, lesion_rng)
    head_rng = _stream(seed, 3)
    head = draw_head(head_rng)
    base = draw_skull_base(head_rng)
    body = draw_lesion(lesion_rng, kind) if kind is not None else None
    taken = acquire(head, base, body, scanner, artefacts, _stream(seed, 4))

    pixel_mm2 = scanner.spacing_mm**2
    area_mm2 = np.count_nonzero(taken.lesion, axis=(1, 2)) * pixel_mm2
    truths: tuple[LesionTruth, ...] = ()
    if body is not None:
        volume_ml = float(area_mm2.sum() * scanner.slice_mm / 1000.0)
        side: Literal["left", "right"] = "left" if body.side > 0 else "right"
        truths = (LesionTruth(body.kind, body.place, side, volume_ml, taken.mean_change_hu),)
    per_slice = np.where(area_mm2 >= MIN_LESION_MM2, LABELS.index(label), 0).astype(np.int8)
    for array in (taken.hu, taken.lesion, taken.positions_mm, per_slice):
        array.flags.writeable = False
    return SyntheticStudy(
        seed=seed,
        label=label,
        hu=taken.hu,
        lesion_mask=taken.lesion,
        lesions=truths,
        label_per_slice=per_slice,
        spacing_mm=(scanner.slice_mm, scanner.spacing_mm, scanner.spacing_mm),
        slice_thickness_mm=scanner.slice_mm,
        positions=taken.positions_mm,
        orientation=taken.orientation,
        tilt_deg=taken.tilt_deg,
        personality=scanner,
        patient=_draw_patient(_stream(seed, 5), seed, head.age_years, scanner.names),
    )
