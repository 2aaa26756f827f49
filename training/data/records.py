"""What the readers of all layouts hand over: studies with labelled slices, and files that were left out and why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LICENCES", "NO_LABEL", "IndexedSlice", "IndexedStudy", "Reject", "Truth"]

NO_LABEL = -1
"""Label of a slice of which only the study's label is known; losses must leave it out."""

LICENCES = {
    "rsna": "RSNA 2019 Brain CT Hemorrhage Dataset (doi:10.1148/ryai.2020190211): NON-COMMERCIAL use only",
    "aisd": "AISD (Liang et al., MICCAI 2021): NON-COMMERCIAL use only",
    "generic": "own data: see the terms under which they were collected",
}
"""Terms of each source; they go into the index, the prepared set and the model card."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a data set says about one slice."""

    label: int
    """Index into `edge_app.core.types.CLASSES`, or `NO_LABEL`."""
    subtypes: tuple[str, ...] = ()
    """Haemorrhage types (RSNA), in the data set's words."""
    lesion_pixels: int | None = None
    """Pixels of lesion; None where no mask exists."""
    mask_values: tuple[int, ...] = ()
    """Kinds of lesion in the mask (AISD: 1 remote, 2 clear, 3 blurred, 4 invisible, 5 general acute)."""
    mask_path: str = ""
    """Mask image, relative to the source's root; "" for none."""


@dataclass(frozen=True, slots=True)
class IndexedSlice:
    """One slice, with its place in the stack and its label."""

    sop_uid: str
    path: str
    """Relative to the source's root."""
    label: int
    subtypes: tuple[str, ...]
    lesion_area_mm2: float | None
    mask_values: tuple[int, ...]
    mask_path: str
    position_mm: float
    """Along the normal, foot to head (`edge_app.series.order_slices`)."""
    image_position_mm: tuple[float, float, float]
    image_orientation: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int
    thickness_mm: float | None
    pixel_hash: str
    """Over the HU in standard orientation; "" for a slice of one value, which says nothing about whose it is."""


@dataclass(frozen=True, slots=True)
class IndexedStudy:
    """One study: the series that was chosen, its slices from foot to head."""

    source: str
    patient_id: str
    study_uid: str
    series_uid: str
    label: int
    """Label of its positive slices, 0 if there are none."""
    manufacturer: str
    model: str
    kernel: str
    tilt_deg: float
    spacing_mm: float
    """Median distance of neighbouring slices along the normal."""
    lesion_volume_ml: float | None
    stack_hash: str
    """Over the slices' pixel hashes from foot to head."""
    reversed_stack_hash: str
    """The same from head to foot: the hash this study would have with its z axis turned round."""
    fingerprint: str
    """How it looks, for finding copies of which no pixel is equal (`training.data.lookalikes`)."""
    mask_turn: int
    """How masks lie to the slices in standard orientation, 0–7 (`training.data.pictures`)."""
    slices: tuple[IndexedSlice, ...]
    synthetic: bool = False
    """Made by a simulator; whatever is trained on it carries the mark to the screen."""

    @property
    def key(self) -> str:
        """PatientID and StudyInstanceUID: what one study is."""
        return f"{self.patient_id}|{self.study_uid}"


@dataclass(frozen=True, slots=True)
class Reject:
    """A file, or a whole study, that is not in the index."""

    source: str
    path: str
    """Relative to the source's root: the file, or the study's folder."""
    code: str
    """Short and stable, for counting."""
    reason: str
