"""The engine passport: what a TensorRT plan was made of, where, how, and how well it did.

A plan file says nothing about itself that this program could check. Its passport lies beside it and binds it to one
ONNX file, one calibration, one golden set and one device. Every field is checked before the plan is given to
TensorRT; whatever does not fit refuses the plan (the caller then runs ONNX Runtime and says so).

Folder of a bundle's engines::

    <engines>/<first 16 digits of the bundle's hash>/
        image.passport.json     written last, atomically: what it names is there, whole
        image-<first 12 digits of the plan's hash>.plan
        patient.passport.json, patient-….plan
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_app.core.errors import BackendError
from edge_app.inference.backend import TensorSpec
from edge_app.inference.bundle import Bundle
from edge_app.inference.device import Fingerprint
from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE

__all__ = [
    "CALIBRATION_FILE",
    "GOLDEN_ANSWERS_FILE",
    "GOLDEN_FILE",
    "NETWORKS",
    "PRECISIONS",
    "GateResult",
    "IoTensor",
    "Latency",
    "Network",
    "Passport",
    "Precision",
    "ProfileRange",
    "Rung",
    "check_passport",
    "engines_folder",
    "onnx_file",
    "passport_path",
    "read_passport",
    "read_plan",
    "specs_of",
]

Precision = Literal["int8", "fp16", "fp32"]
Network = Literal["image", "patient"]

PRECISIONS: tuple[Precision, ...] = ("int8", "fp16", "fp32")
"""The rungs of the ladder, most daring first."""

NETWORKS: tuple[Network, ...] = ("image", "patient")

GOLDEN_FILE = "golden.npz"
"""Name of the golden set in a bundle (`export.golden`)."""

GOLDEN_ANSWERS_FILE = "golden-answers.json"
"""What the FP32 networks answered to it where the bundle was made: ``patients`` with ``probabilities``, ``verdict``."""

CALIBRATION_FILE = "calibration.json"
"""Name of the calibration record in a bundle with an INT8 network."""

_REMEDY = "Build the engine again on this device: `msu engine build`."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IoTensor(_Part):
    """One input or output of the plan; a free dimension has a name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class ProfileRange(_Part):
    """Smallest, best and largest shape that the plan takes for one input."""

    smallest: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]


class Latency(_Part):
    """Time of one call, host to host, in milliseconds."""

    batch: int = Field(gt=0)
    runs: int = Field(gt=0)
    p50_ms: float = Field(gt=0)
    p95_ms: float = Field(gt=0)


class GateResult(_Part):
    """What the accuracy gate found on this device, against ONNX Runtime in FP32."""

    passed: bool
    golden_sha256: str
    limits: dict[str, float]
    measured: dict[str, float]
    failures: tuple[str, ...] = ()
    against: str
    """The reference, e.g. ``onnxruntime-cpu 1.23.2``."""


class Rung(_Part):
    """One precision that was tried, and what became of it."""

    precision: Precision
    outcome: Literal["chosen", "slower", "gate refused", "did not build", "not tried"]
    detail: str = ""
    p50_ms: float | None = None


class Passport(_Part):
    """Everything known of one plan."""

    schema_version: Literal[1] = 1
    app_version: str
    created_utc: str
    network: Network
    bundle_sha256: str
    precision: Precision
    onnx_file: str
    onnx_sha256: str
    calibration_sha256: str
    """Hash of the calibration record; empty unless the network is INT8."""
    preprocessing_sha256: str
    fingerprint: Fingerprint
    power_mode: str = ""
    """nvpmodel's mode at build time; recorded, not part of the fingerprint."""
    typing: Literal["strong", "weak"]
    typing_reason: str = ""
    """Why the typing is weak."""
    flags: tuple[str, ...]
    """Builder flags that were set or cleared, e.g. ``-TF32``."""
    optimisation_level: int
    pools_mib: dict[str, int]
    timing_cache_sha256: str
    build_s: float = Field(gt=0)
    inputs: tuple[IoTensor, ...] = Field(min_length=1)
    outputs: tuple[IoTensor, ...] = Field(min_length=1)
    profile: dict[str, ProfileRange]
    gate: GateResult
    latencies: tuple[Latency, ...] = Field(min_length=1)
    ladder: tuple[Rung, ...]
    plan_file: str = Field(pattern=r"^(image|patient)-[0-9a-f]{12}\.plan$")
    plan_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    plan_bytes: int = Field(gt=0)
    seal: str = ""
    """SHA-256 of all other fields: a passport that was edited or damaged is refused."""

    def sealed(self) -> Passport:
        """Return the passport with its seal."""
        return self.model_copy(update={"seal": self._digest()})

    @property
    def whole(self) -> bool:
        """Return whether the seal fits the other fields."""
        return self.seal == self._digest()

    def to_bytes(self) -> bytes:
        """Return the passport as it is written to disk."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()

    def _digest(self) -> str:
        body = json.dumps(self.model_dump(mode="json", exclude={"seal"}), sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


def onnx_file(network: Network, precision: Precision) -> str:
    """Return the name of a network's ONNX file in a bundle: ``image.onnx`` is FP32, ``image.int8.onnx`` is not."""
    plain = IMAGE_FILE if network == "image" else PATIENT_FILE
    return plain if precision == "fp32" else plain.replace(".onnx", f".{precision}.onnx")


def engines_folder(bundle_path: Path, bundle_sha256: str, engines: Path | None = None) -> Path:
    """Return where a bundle's engines lie: beside the bundle, unless `engines` names another folder."""
    root = engines or bundle_path.with_name(f"{bundle_path.name}.engines")
    return root / bundle_sha256[:16]


def passport_path(folder: Path, network: Network) -> Path:
    """Return where a network's passport lies."""
    return folder / f"{network}.passport.json"


def specs_of(tensors: tuple[IoTensor, ...]) -> tuple[TensorSpec, ...]:
    """Return the tensors as a backend describes them."""
    return tuple(TensorSpec(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors)


def read_passport(path: Path) -> Passport:
    """Read a passport.

    Raises
    ------
    BackendError
        If it cannot be read, lacks a field, has an unknown one, or was changed after it was written.
    """
    try:
        passport = Passport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BackendError(f"{path.name} cannot be read: {error}", remedy=_REMEDY) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "passport"
        raise BackendError(f"{path.name}: field '{field}': {first['msg']}", remedy=_REMEDY) from error
    if not passport.whole:
        raise BackendError(f"{path.name} was changed after it was written", remedy=_REMEDY)
    return passport


def check_passport(passport: Passport, network: Network, bundle: Bundle, fingerprint: Fingerprint) -> list[str]:
    """Return what keeps a passport's plan from running here; empty if nothing does.

    Parameters
    ----------
    passport
        As `read_passport` gave it: all fields present, in range, and unchanged.
    network
        Which network is wanted.
    bundle
        The bundle that is to run.
    fingerprint
        This machine, now.
    """
    manifest = bundle.manifest
    wanted_calibration = manifest.files.get(CALIBRATION_FILE, "") if passport.precision == "int8" else ""
    checks = {
        f"made for the {passport.network} network": passport.network == network,
        "made from another bundle": passport.bundle_sha256 == bundle.sha256,
        "made from another ONNX file": passport.onnx_file == onnx_file(network, passport.precision)
        and passport.onnx_sha256 == manifest.files.get(passport.onnx_file),
        "made with another calibration": passport.calibration_sha256 == wanted_calibration,
        "made for another preprocessing": passport.preprocessing_sha256 == manifest.preprocessing.sha256,
        "weakly typed without a reason": passport.typing == "strong" or bool(passport.typing_reason),
        "not accepted by the accuracy gate": passport.gate.passed and not passport.gate.failures,
        "judged on another golden set": not (golden := manifest.files.get(GOLDEN_FILE))
        or passport.gate.golden_sha256 == golden,
        "without a profile for an input": set(passport.profile) == {tensor.name for tensor in passport.inputs},
        "made for fewer slices than a study may have": network != "patient"
        or all(shapes.largest[1] >= manifest.patient.max_slices for shapes in passport.profile.values()),
        "built with rounded products (TF32)": "-TF32" in passport.flags,
        "named after another plan": passport.plan_file == f"{network}-{passport.plan_sha256[:12]}.plan",
    }
    problems = [f"the engine was {what}" for what, fine in checks.items() if not fine]
    return problems + [f"the engine's device {line}" for line in fingerprint.differences(passport.fingerprint)]


def read_plan(folder: Path, passport: Passport) -> bytes:
    """Return the plan's bytes after checking size and hash.

    Raises
    ------
    BackendError
        If the plan is missing or is not the one the passport describes.
    """
    try:
        plan = (folder / passport.plan_file).read_bytes()
    except OSError as error:
        raise BackendError(f"{passport.plan_file} cannot be read: {error}", remedy=_REMEDY) from error
    if len(plan) != passport.plan_bytes or hashlib.sha256(plan).hexdigest() != passport.plan_sha256:
        raise BackendError(f"{passport.plan_file} is not the plan that its passport describes", remedy=_REMEDY)
    return plan
