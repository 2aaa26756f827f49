"""The bundle's manifest: what a model is, how its input is made and what its numbers mean.

The preprocessing description travels with the weights, and so do the operating points: a bundle without them does not
load. Written by `export`, read by the vehicle; both use the classes here.

Input and output names of the two networks (float32, dynamic N, B and T; T at most `PatientModel.max_slices`):

``image.onnx``
    ``image`` (N, 3, 224, 224) → ``features`` (N, F), ``logits`` (N, 3), ``saliency`` (N, 3, h, w).
``patient.onnx``
    ``features`` (B, T, F + 3: features and logits of each slice, foot to head), ``position_mm`` (B, T: height above
    the lowest slice), ``mask`` (B, T: 1 for a slice, 0 for padding) → ``logits`` (B, 3), ``attention`` (B, T: weight
    of each slice, sum 1), ``distance`` (B,: how unlike the training data the study is).

How the three logits are read, is each network's ``labels``: ``softmax``, one answer out of `CLASSES`, as published and
where a bundle does not say; or ``findings``, each finding for itself, the first logit being 0 and not read
(SCREEN.md R22).
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_app.core.errors import BundleError
from edge_app.core.types import CLASSES, FINDINGS

__all__ = [
    "IMAGE_FILE",
    "MANIFEST_FILE",
    "MODEL_CARD_FILE",
    "PATIENT_FILE",
    "Calibration",
    "FindingCalibration",
    "ImageModel",
    "Labels",
    "Manifest",
    "OperatingPoint",
    "PatientModel",
    "Preprocessing",
    "ReliabilityBin",
    "SiteThresholds",
    "parse_manifest",
]

MANIFEST_FILE = "manifest.json"
IMAGE_FILE = "image.onnx"
PATIENT_FILE = "patient.onnx"
MODEL_CARD_FILE = "MODEL_CARD.md"

Labels = Literal["softmax", "findings"]
"""How a network's logits become probabilities (`edge_app.inference.predict.class_probabilities`)."""

_RATES = ("sensitivity", "specificity")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Preprocessing(_Part):
    """How a slice becomes the image network's input."""

    profile: str
    sha256: str
    """Hash of the profile's parameters (`edge_app.preprocessing`); must equal this program's."""


class ImageModel(_Part):
    """The image-level network."""

    architecture: str
    features: int = Field(gt=0)
    """F, the number of penultimate features."""
    input_size: tuple[int, int, int] = (3, 224, 224)
    labels: Labels = "softmax"


class PatientModel(_Part):
    """The patient-level network."""

    architecture: str
    max_slices: int = Field(80, gt=0)
    labels: Labels = "softmax"
    distance_threshold: float = Field(gt=0)
    """Studies whose ``distance`` lies above are unlike the training data: INDETERMINATE (SCREEN.md R20)."""


class OperatingPoint(_Part):
    """Two thresholds on a calibrated probability: below `t_lo` not detected, from `t_hi` on suspected (R25)."""

    t_lo: float = Field(ge=0, le=1)
    t_hi: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> OperatingPoint:
        if self.t_lo > self.t_hi:
            raise ValueError(f"t_lo {self.t_lo} is above t_hi {self.t_hi}")
        return self


class ReliabilityBin(_Part):
    """Of `n` validation studies with a calibrated haemorrhage probability in [lo, hi), `positives` had one."""

    lo: float
    hi: float
    n: int
    positives: int


class FindingCalibration(_Part):
    """A finding's probability is sigmoid(slope · logit + intercept) (Platt, 1999)."""

    slope: float = Field(gt=0)
    intercept: float


class Calibration(_Part):
    """What the patient network's logits are worth.

    By ``temperature``, probabilities are softmax(logits / temperature): the network's labels are ``softmax``. By
    ``platt`` each finding has a slope and an intercept of its own: the network's labels are ``findings``.
    """

    method: Literal["temperature", "platt"] = "temperature"
    temperature: float | None = Field(None, gt=0)
    findings: dict[Literal["hemorrhage", "ischemic"], FindingCalibration] | None = None
    reliability: tuple[ReliabilityBin, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Calibration:
        if self.method == "temperature" and (self.temperature is None or self.findings is not None):
            raise ValueError("method 'temperature' needs a temperature, and nothing of single findings")
        if self.method == "platt" and (self.temperature is not None or set(self.findings or ()) != set(FINDINGS)):
            raise ValueError(f"method 'platt' needs {' and '.join(FINDINGS)} in 'findings', and no temperature")
        return self

    @property
    def labels(self) -> Labels:
        """Return how the logits are read that it was fitted for."""
        return "softmax" if self.method == "temperature" else "findings"


class SiteThresholds(_Part):
    """A site's own operating points, from its own patients (`edge_app.triage.site_thresholds`)."""

    clinician: str = Field(min_length=1)
    """Who answers for them."""
    base_sha256: str
    """The bundle whose scores they were chosen on, and whose networks this one has."""
    created_utc: str
    evidence: dict[str, object]


class Manifest(_Part):
    """The whole manifest; see the module docstring for the networks it describes."""

    schema_version: Literal[1]
    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    created_utc: str
    producer_commit: str
    synthetic: bool
    """Trained on synthetic data: shown on the screen and in every output, cannot be switched off."""
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    image: ImageModel
    patient: PatientModel
    operating_points: dict[Literal["hemorrhage", "ischemic"], OperatingPoint]
    calibration: Calibration
    training: dict[str, object]
    """Summary of the training data: sources, studies per class, split, scanners."""
    evaluation: dict[str, object]
    """Summary of the evaluation: what, on which data, with n and confidence intervals. Fixed keys, read by
    `performance`: ``test.per_class.{hemorrhage,ischemic}.{sensitivity,specificity}.{value,n,ci95}``, by the decision
    rule at `operating_points`, INDETERMINATE counted as not suspected; by `heat_maps`: ``heat_map.passed``; and by
    `msu bundle make`: ``weights.{image,patient}``, hashes of the networks that were judged. All else is for people."""
    precisions: dict[str, dict[str, object]] = Field(default_factory=dict)
    """What the accuracy gate measured of each network of lower precision in the bundle, by its file."""
    validated_scanners: tuple[str, ...] = ()
    """``MANUFACTURER | MODEL | KERNEL`` patterns of the scanners that the evaluation covers; results of any other are
    marked (SCREEN.md R21)."""
    site_thresholds: SiteThresholds | None = None
    """Where the operating points are a site's own and not those of the evaluation: on whose word, and what for."""
    files: dict[str, str]
    """SHA-256 of every other file in the bundle, by its relative name."""

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        if self.classes != CLASSES:
            raise ValueError(f"classes {self.classes} are not {CLASSES}")
        missing = [name for name in (IMAGE_FILE, PATIENT_FILE, MODEL_CARD_FILE) if name not in self.files]
        missing += [name for name in ("hemorrhage", "ischemic") if name not in self.operating_points]
        if missing:
            raise ValueError(f"missing: {', '.join(missing)}")
        if self.calibration.labels != self.patient.labels:
            raise ValueError(f"calibration is for {self.calibration.labels}, patient.labels are {self.patient.labels}")
        return self

    def performance(self, label: str) -> tuple[float, float] | None:
        """Return (sensitivity, specificity) per case on the test studies, or None where that was not measured."""
        rates: object = self.evaluation
        for key in ("test", "per_class", label):
            rates = rates.get(key) if isinstance(rates, dict) else None
        if not isinstance(rates, dict):
            return None
        values = [rate.get("value") if isinstance(rate, dict) else None for rate in map(rates.get, _RATES)]
        sensitivity, specificity = values
        if not isinstance(sensitivity, int | float) or not isinstance(specificity, int | float):
            return None
        return float(sensitivity), float(specificity)

    @property
    def heat_maps(self) -> bool:
        """Return whether heat maps passed their release gate (SCREEN.md R38); unmeasured ones did not."""
        judged = self.evaluation.get("heat_map")
        return isinstance(judged, dict) and judged.get("passed") is True

    def to_bytes(self) -> bytes:
        """Return the manifest as it is written to disk."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()


def parse_manifest(raw: bytes, source: str) -> tuple[Manifest, str]:
    """Read a manifest and return it with its SHA-256.

    Raises
    ------
    BundleError
        Naming the field that is missing, unknown or wrong.
    """
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BundleError(
            f"bundle {source}: {MANIFEST_FILE}: field '{field}': {first['msg']}",
            remedy="Make the bundle again with this version of msu-triage, or install the version that made it.",
        ) from error
    return manifest, hashlib.sha256(raw).hexdigest()
