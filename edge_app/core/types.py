"""Frozen dataclasses that cross the borders between stages.

Lengths are millimetres, pixel values are Hounsfield units (HU), times are seconds or milliseconds as named. Positions
are in the DICOM patient coordinate system (x to the patient's left, y to the back, z to the head; PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLASSES",
    "FINDINGS",
    "FloatArray",
    "ModelIdentity",
    "Reason",
    "SeriesOption",
    "SliceHeader",
    "SliceImage",
    "SliceMeasures",
    "SliceResult",
    "SliceScores",
    "StudyResult",
    "StudyStatus",
    "Verdict",
]

FloatArray = NDArray[np.float32]

CLASSES = ("negative", "hemorrhage", "ischemic")
"""Order of the classes in every logit and probability array."""

FINDINGS = CLASSES[1:]
"""What may be found, each for itself: a patient can have both."""


class Verdict(str, Enum):
    """What the screen may say about a patient."""

    HEMORRHAGE = "hemorrhage"
    ISCHEMIC = "ischemic"
    NONE_DETECTED = "none_detected"
    INDETERMINATE = "indeterminate"


class StudyStatus(str, Enum):
    """Where a study is on its way."""

    RECEIVING = "receiving"
    ANALYSING = "analysing"
    RESULT = "result"
    NO_RESULT = "no_result"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no result, or only an indeterminate one. Made by `edge_app.core.reasons.reason`."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What the stages need of one image's header, parsed once (`edge_app.series.headers`).

    Optional attributes are None (or "") when absent; nothing is guessed. Keywords in brackets are the DICOM ones.
    """

    sop_uid: str  # SOPInstanceUID
    sop_class_uid: str  # SOPClassUID
    study_uid: str  # StudyInstanceUID
    series_uid: str  # SeriesInstanceUID
    transfer_syntax_uid: str  # TransferSyntaxUID
    modality: str
    image_type: tuple[str, ...]  # ImageType, e.g. ("ORIGINAL", "PRIMARY", "AXIAL")
    rows: int
    columns: int
    image_position_mm: tuple[float, float, float] | None  # ImagePositionPatient
    image_orientation: tuple[float, float, float, float, float, float] | None  # ImageOrientationPatient
    pixel_spacing_mm: tuple[float, float] | None  # PixelSpacing (row spacing, column spacing)
    slice_thickness_mm: float | None  # SliceThickness
    rescale_slope: float | None
    rescale_intercept: float | None
    pixel_padding_value: int | None  # PixelPaddingValue
    frame_of_reference_uid: str
    instance_number: int | None
    acquisition_number: int | None
    series_number: int | None
    series_description: str
    convolution_kernel: str
    contrast_agent: str  # ContrastBolusAgent
    lossy: bool  # LossyImageCompression is "01", or a lossy transfer syntax
    manufacturer: str
    manufacturer_model_name: str
    images_in_acquisition: int | None  # ImagesInAcquisition
    patient_id: str
    patient_name: str  # PatientName, as sent ("Family^Given")
    patient_birth_date: str  # PatientBirthDate, YYYYMMDD
    patient_sex: str
    patient_age: str  # PatientAge, e.g. "074Y"
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    acquired_at: str  # AcquisitionDateTime, or date and time joined, in this vehicle's time zone; "" if unknown


@dataclass(frozen=True, eq=False, slots=True)
class SliceImage:
    """One slice in HU, turned so that rows run to the patient's back and columns to the patient's left.

    `hu` is int16 (H, W), read-only, padding already set to air (−1000). `spacing_mm` is (row, column) after turning.
    """

    sop_uid: str
    hu: NDArray[np.int16]
    spacing_mm: tuple[float, float]

    def __post_init__(self) -> None:
        self.hu.setflags(write=False)


@dataclass(frozen=True, slots=True)
class SliceMeasures:
    """What the input gate needs to know about one slice's pixels (`edge_app.series.measures`)."""

    sop_uid: str
    air_hu: float  # median of what lies outside the body
    body_fraction: float  # share of the image above −300 HU
    skull_area_mm2: float  # bone (> 300 HU)
    inside_area_mm2: float  # area enclosed by the skull
    brain_area_mm2: float  # of that, soft tissue between 0 and 100 HU
    brain_median_hu: float  # median HU of that soft tissue; nan where there is none
    brain_p99_hu: float  # 99th percentile of that soft tissue
    noise_hu: float  # robust standard deviation of high-pass filtered brain tissue; nan where there is none
    head_width_mm: float  # bounding box of the body, left to right
    head_height_mm: float  # bounding box of the body, front to back
    skull_edge_mm: float = math.nan  # mean width of the skull's inner edge; nan where there is no cavity
    metal_area_mm2: float = 0.0  # above 2400 HU
    cut_length_mm: float = 0.0  # of the head's outline, at the edge of the image or the reconstruction circle


@dataclass(frozen=True, eq=False, slots=True)
class SliceScores:
    """The image-level model's answer for one slice.

    `features` (F,) float32, `logits` (3,) float32 in `CLASSES` order, `saliency` (3, h, w) float32, one class
    activation map per class, in the frame of the model input; `probabilities` (3,) float64 from the logits, not
    calibrated (`edge_app.inference.predict.class_probabilities`).
    """

    sop_uid: str
    features: FloatArray
    logits: FloatArray
    saliency: FloatArray
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model answered. `sha256` is the hash of the bundle's manifest, which holds all other hashes."""

    name: str
    version: str
    sha256: str
    synthetic: bool
    development_key: bool = False
    """Signed with a key that everybody has: said on the screen, always."""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One row of a study's slice table, in order of position (foot to head)."""

    sop_uid: str
    position_mm: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class SeriesOption:
    """One series of a study as the screen lists it, so that the crew may choose another one (SCREEN.md R18)."""

    series_uid: str
    number: int | None
    description: str
    kernel: str
    images: int
    thickness_mm: float | None
    spacing_mm: float | None
    analysed: bool
    choosable: bool
    why: str  # key of edge_app.core.reasons.SERIES_TEXTS


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The outcome for one study; `to_json` gives the object that `msu analyse|cases --json` prints."""

    study_uid: str
    patient_id: str
    status: StudyStatus
    verdict: Verdict | None
    probabilities: dict[str, float] | None
    reasons: tuple[Reason, ...]
    series_uid: str | None
    slices: tuple[SliceResult, ...]
    model: ModelIdentity | None
    backend: str | None
    timings_ms: dict[str, float]
    key_slices: tuple[str, ...] = ()
    """SOP Instance UIDs of the most suspicious slices, most suspicious first."""
    quality: tuple[str, ...] = ()
    """Remarks about the input that did not stop the result, in plain words."""
    revision: int = 1
    series: tuple[SeriesOption, ...] = ()
    """Every series of the study, the analysed one first."""
    series_entry: int = 0
    """Id of the crew's newest choice of a series that this result knows of (`edge_app.store.choices`); 0: none."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; keys are the command line's contract (README, "Output")."""
        return {
            "study_uid": self.study_uid,
            "patient_id": self.patient_id,
            "status": self.status.value,
            "verdict": self.verdict.value if self.verdict else None,
            "probabilities": self.probabilities,
            "reasons": [{"code": r.code, "text": r.text} for r in self.reasons],
            "series_uid": self.series_uid,
            "slices": [
                {"sop_uid": s.sop_uid, "position_mm": s.position_mm, "probabilities": s.probabilities}
                for s in self.slices
            ],
            "key_slices": list(self.key_slices),
            "quality": list(self.quality),
            "model": None
            if self.model is None
            else {
                "name": self.model.name,
                "version": self.model.version,
                "sha256": self.model.sha256,
                "synthetic": self.model.synthetic,
                "development_key": self.model.development_key,
            },
            "backend": self.backend,
            "revision": self.revision,
            "timings_ms": self.timings_ms,
            "series": [asdict(option) for option in self.series],
            "series_entry": self.series_entry,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> StudyResult:
        """Rebuild a result that `to_json` wrote (the ledger keeps it in that form)."""
        return cls(
            study_uid=body["study_uid"],
            patient_id=body["patient_id"],
            status=StudyStatus(body["status"]),
            verdict=Verdict(body["verdict"]) if body["verdict"] else None,
            probabilities=body["probabilities"],
            reasons=tuple(Reason(r["code"], r["text"]) for r in body["reasons"]),
            series_uid=body["series_uid"],
            slices=tuple(SliceResult(s["sop_uid"], s["position_mm"], s["probabilities"]) for s in body["slices"]),
            model=ModelIdentity(**body["model"]) if body["model"] else None,
            backend=body["backend"],
            timings_ms=body["timings_ms"],
            key_slices=tuple(body["key_slices"]),
            quality=tuple(body["quality"]),
            revision=body["revision"],
            series=tuple(SeriesOption(**option) for option in body.get("series", ())),
            series_entry=body.get("series_entry", 0),
        )
