"""Two networks and what is known of them to a bundle folder, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_app.core.clock import utc_iso
from edge_app.core.errors import ExportError
from edge_app.core.types import CLASSES
from edge_app.inference.manifest import (
    IMAGE_FILE,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    PATIENT_FILE,
    Calibration,
    ImageModel,
    Manifest,
    OperatingPoint,
    PatientModel,
    Preprocessing,
)
from edge_app.inference.signature import SIGNATURE_FILE
from edge_app.preprocessing import get_profile, profile_hash
from export.model_card import model_card
from export.signing import sign
from training.commit import producer_commit

__all__ = ["describe_bundle", "make_bundle"]


def describe_bundle(
    *,
    name: str,
    version: str,
    created: datetime,
    synthetic: bool,
    profile: str,
    image: ImageModel,
    patient: PatientModel,
    operating_points: Mapping[str, OperatingPoint],
    calibration: Calibration,
    training: Mapping[str, object],
    evaluation: Mapping[str, object],
    validated_scanners: Sequence[str] = (),
) -> Manifest:
    """Return a manifest that lacks nothing but the hashes of its files, which `make_bundle` fills in."""
    return Manifest(
        schema_version=1,
        name=name,
        version=version,
        created_utc=utc_iso(created),
        producer_commit=producer_commit(),
        synthetic=synthetic,
        classes=CLASSES,
        preprocessing=Preprocessing(profile=profile, sha256=profile_hash(get_profile(profile))),
        image=image,
        patient=patient,
        operating_points=dict(operating_points),  # type: ignore[arg-type]  # pydantic checks the keys
        calibration=calibration,
        training=dict(training),
        evaluation=dict(evaluation),
        validated_scanners=tuple(validated_scanners),
        files=dict.fromkeys((IMAGE_FILE, PATIENT_FILE, MODEL_CARD_FILE), ""),
    )


def make_bundle(
    folder: Path,
    manifest: Manifest,
    image_onnx: bytes,
    patient_onnx: bytes,
    *,
    extra: Mapping[str, bytes] | None = None,
    key: Ed25519PrivateKey | None = None,
) -> Manifest:
    """Write a bundle, in the place of one that may be there, and return its manifest with all hashes.

    The folder is written beside and renamed, so that a reader finds the old bundle, the new one, or for a moment none.

    Parameters
    ----------
    extra
        Further files by name: lower precisions, the golden set and its answers.
    key
        Signs it; unsigned if None.

    Raises
    ------
    ExportError
        If something that is not a bundle is in the place.
    """
    if folder.exists() and not (folder / MANIFEST_FILE).exists() and any(folder.iterdir()):
        raise ExportError(f"{folder} exists and holds no bundle", remedy="Name another folder.")
    content = {
        IMAGE_FILE: image_onnx,
        PATIENT_FILE: patient_onnx,
        MODEL_CARD_FILE: model_card(manifest).encode(),
        **(extra or {}),
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    whole = manifest.model_copy(update={"files": hashes})
    content[MANIFEST_FILE] = whole.to_bytes()
    if key is not None:
        content[SIGNATURE_FILE] = sign("bundle", whole.to_bytes(), key).to_bytes()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        beside.chmod(0o755)
        (beside / "new").mkdir()
        for name, data in content.items():
            with (beside / "new" / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(beside / "old")
        (beside / "new").rename(folder)
    finally:
        shutil.rmtree(beside)
    return whole
