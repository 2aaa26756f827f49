"""`msu bundle make`: networks, golden set and what is known of them to one folder, after the gate has let each pass.

What is known of the networks (names, operating points, evaluation …) comes from the manifest of an older bundle or from
a description in the same form; what this program knows itself (commit, preprocessing hash, file hashes) is filled in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError
from pydantic import ValidationError

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import BackendError, ExportError
from edge_app.core.types import CLASSES
from edge_app.inference.bundle import load_bundle
from edge_app.inference.manifest import IMAGE_FILE, MODEL_CARD_FILE, PATIENT_FILE, Manifest
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import CALIBRATION_FILE, GOLDEN_ANSWERS_FILE, GOLDEN_FILE, onnx_file
from edge_app.inference.predict import ImagePredictor, PatientPredictor
from edge_app.preprocessing import get_profile, profile_hash
from export.bundle import make_bundle
from export.gate import GoldenScores, judge, score_patients, score_slices
from export.golden import GoldenSet, read_golden
from export.onnx_file import facts_of
from export.rounded import open_faithful
from training.commit import producer_commit

__all__ = ["Parts", "assemble", "golden_answers", "read_parts"]

_OF_THRESHOLDS = ("base_sha256", "created_utc", "evidence", "operating_points")
_ONE = "Name networks and description of one experiment."
_CALIBRATE = "Take network and record from one run of `msu calibrate` with this FP32 network."
_FILLED_IN = {"schema_version", "created_utc", "producer_commit", "files", "classes"}


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """What a bundle is made from: a manifest's fields, and the files by their names in the bundle."""

    description: dict[str, Any]
    files: dict[str, bytes]


def read_parts(
    *,
    base: Path | None,
    description: Path | None,
    files: dict[str, Path],
    version: str = "",
    thresholds: Path | None = None,
    clinician: str = "",
) -> Parts:
    """Collect the parts from an older bundle, a description and files; later ones win.

    Parameters
    ----------
    thresholds
        A site's own, from `msu outcomes thresholds`, chosen on the scores of the bundle `base`.
    clinician
        Who answers for them.

    Raises
    ------
    BundleError
        If the older bundle is not whole.
    ExportError
        If a file cannot be read, or neither bundle nor description is named.
    """
    known: dict[str, Any] = {}
    content: dict[str, bytes] = {}
    base_sha256 = ""
    if base is not None:
        bundle = load_bundle(base)
        known, base_sha256 = bundle.manifest.model_dump(mode="json"), bundle.sha256
        kept = set(bundle.manifest.files) - {MODEL_CARD_FILE, GOLDEN_ANSWERS_FILE}
        if {IMAGE_FILE, PATIENT_FILE} & set(files):
            # Lower precisions and golden answers of other networks would be lies.
            kept &= {IMAGE_FILE, PATIENT_FILE, GOLDEN_FILE}
        content = {name: bundle.read(name) for name in kept}
    if description is not None:
        known |= _read_json(description)
    if not known:
        raise ExportError("nothing is known of the networks", remedy="Name --from BUNDLE or --description FILE.")
    content |= {name: _read(path) for name, path in files.items()}
    known = {name: value for name, value in known.items() if name not in _FILLED_IN}
    if thresholds is not None:
        own = _site_thresholds(_read_json(thresholds), clinician, base_sha256, changed=bool(files))
        points = {**known["operating_points"], **own.pop("operating_points")}
        known |= {"operating_points": points, "site_thresholds": own, "version": f"{known['version']}+site"}
    return Parts(known | ({"version": version} if version else {}), content)


def _site_thresholds(body: dict[str, Any], clinician: str, base_sha256: str, *, changed: bool) -> dict[str, Any]:
    if not clinician.strip():
        raise ExportError("nobody answers for the thresholds", remedy="Name the clinician: --clinician NAME.")
    if changed or body.get("base_sha256") != base_sha256:
        raise ExportError(
            "the thresholds were chosen on the scores of another bundle",
            remedy="Name that bundle with --from, and change none of its files.",
        )
    return {"clinician": clinician.strip(), **{name: body[name] for name in _OF_THRESHOLDS if name in body}}


def assemble(
    out: Path,
    parts: Parts,
    *,
    key: Ed25519PrivateKey | None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Check every part against the others, run the gate over each precision, and write the bundle.

    Raises
    ------
    ExportError
        If a field or file is missing, a network does not fit the description, or the gate refuses a precision.
    """
    manifest = _manifest(parts)
    files = dict(parts.files)
    image, patient = (files.pop(name) for name in (IMAGE_FILE, PATIENT_FILE))
    lower = [name for name in (onnx_file("image", "fp16"), onnx_file("image", "int8")) if name in files]
    if onnx_file("image", "int8") in lower and CALIBRATION_FILE not in files:
        raise ExportError("an INT8 network needs its calibration record", remedy="Name it: --calibration FILE.")
    if lower and GOLDEN_FILE not in files:
        raise ExportError(f"{lower[0]} cannot be judged without a golden set", remedy="Name one: --golden FILE.")
    said = {
        name: _check_facts(name, parts.files[name], manifest, fp32_sha256=hashlib.sha256(image).hexdigest())
        for name in (IMAGE_FILE, PATIENT_FILE, *lower)
    }
    _check_weights(said[IMAGE_FILE], said[PATIENT_FILE], manifest)
    if onnx_file("image", "int8") in lower:
        _check_calibration(files[CALIBRATION_FILE], files[onnx_file("image", "int8")])
    evaluation: dict[str, Any] = {}
    try:
        with OnnxBackend(image) as image_backend, OnnxBackend(patient) as patient_backend:
            if GOLDEN_FILE in files:
                golden, _ = read_golden(files[GOLDEN_FILE])
                on_step(f"golden set of {golden.patients} patients, FP32")
                slices = score_slices(golden, image_backend, manifest)
                reference = score_patients(golden, slices, patient_backend, manifest)
                files[GOLDEN_ANSWERS_FILE] = golden_answers(reference)
                for name in lower:
                    on_step(f"accuracy gate, {name}")
                    evaluation[name] = _gate(name, files[name], golden, reference, patient_backend, manifest)
            else:
                _fits(image_backend, patient_backend, manifest)
    except BackendError as error:
        raise ExportError(error.message, remedy="Networks and description must be of one model.") from error
    draft = manifest.model_copy(update={"precisions": evaluation})
    return make_bundle(out, draft, image, patient, extra=files, key=key)


def golden_answers(reference: GoldenScores) -> bytes:
    """Return the FP32 answers as the vehicle compares them with its own (`edge_app.worker.golden_check`)."""
    patients = [
        {"probabilities": dict(zip(CLASSES, map(float, row), strict=True)), "verdict": verdict.value}
        for row, verdict in zip(reference.patients, reference.verdicts, strict=True)
    ]
    return (json.dumps({"patients": patients}, indent=1) + "\n").encode()


def _manifest(parts: Parts) -> Manifest:
    for name in (IMAGE_FILE, PATIENT_FILE):
        if name not in parts.files:
            raise ExportError(f"there is no {name}", remedy="Name --image and --patient, or --from BUNDLE.")
    filled: dict[str, Any] = {
        "schema_version": 1,
        "created_utc": utc_iso(utc_now()),
        "producer_commit": producer_commit(),
        "classes": CLASSES,
        "files": dict.fromkeys((*parts.files, MODEL_CARD_FILE), ""),
        "precisions": {},
    }
    try:
        manifest = Manifest.model_validate({**parts.description, **filled})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "description"
        raise ExportError(
            f"description: field '{field}': {first['msg']}",
            remedy="edge_app/inference/manifest.py is the schema; `msu bundle inspect` shows an example.",
        ) from error
    own = profile_hash(get_profile(manifest.preprocessing.profile))
    if manifest.preprocessing.sha256 != own:
        raise ExportError(
            f"the networks were trained on another '{manifest.preprocessing.profile}' than this program's",
            remedy="Make the bundle with the version that trained them, or train again.",
        )
    return manifest


def _check_calibration(record: bytes, int8: bytes) -> None:
    """Hold the calibration record against the network that it shall be of: passports name the record by its hash."""
    try:
        known = json.loads(record)
        wanted = known["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{CALIBRATION_FILE} is no calibration record: {error!r}", remedy=_CALIBRATE) from error
    if wanted != hashlib.sha256(int8).hexdigest():
        raise ExportError(f"{CALIBRATION_FILE} is the record of another INT8 network", remedy=_CALIBRATE)


def _check_weights(image: dict[str, str], patient: dict[str, str], manifest: Manifest) -> None:
    """Refuse networks that were not trained, or not judged, with each other; those of others say nothing."""
    judged: Any = manifest.evaluation.get("weights", {})
    for name, part, facts in ((IMAGE_FILE, "image", image), (PATIENT_FILE, "patient", patient)):
        if "weights" in facts and judged.get(part, facts["weights"]) != facts["weights"]:
            raise ExportError(f"{name} is not the network that the description's numbers are of", remedy=_ONE)
    read = patient.get("image_weights")
    if read and image.get("weights", read) != read:
        raise ExportError(f"{PATIENT_FILE} was trained on the features of another {IMAGE_FILE}", remedy=_ONE)


def _check_facts(name: str, content: bytes, manifest: Manifest, *, fp32_sha256: str) -> dict[str, str]:
    """Hold what a network says of itself (`export.facts`) against the description, and return it."""
    try:
        facts = facts_of(onnx.load_model_from_string(content))
    except DecodeError as error:
        raise ExportError(f"{name} is no ONNX file: {error}", remedy="Export it again: `msu export`.") from error
    if facts.get("preprocessing_sha256", manifest.preprocessing.sha256) != manifest.preprocessing.sha256:
        raise ExportError(
            f"{name} was trained on {facts.get('preprocessing')}, the description names another preprocessing",
            remedy=_ONE,
        )
    if facts.get("classes", ",".join(CLASSES)) != ",".join(CLASSES):
        raise ExportError(f"{name} has the classes {facts['classes']}", remedy="Export it with this version.")
    described = manifest.patient.labels if name == PATIENT_FILE else manifest.image.labels
    if facts.get("labels", described) != described:
        raise ExportError(
            f"{name} answers as '{facts['labels']}', the description says '{described}'",
            remedy=_ONE,
        )
    if facts.get("fp32_sha256", fp32_sha256) != fp32_sha256:
        raise ExportError(f"{name} was made from another {IMAGE_FILE}", remedy=_CALIBRATE)
    if facts.get("precision", "") not in ("", *name.split(".")[1:-1]):
        raise ExportError(f"{name} holds a network in {facts['precision']}", remedy=_CALIBRATE)
    if facts.get("synthetic") == "true" and not manifest.synthetic:
        raise ExportError(
            f"{name} was trained on SYNTHETIC images, the description says that it was not",
            remedy="The mark cannot be taken off: train on real studies.",
        )
    return facts


def _gate(
    name: str, content: bytes, golden: GoldenSet, reference: GoldenScores, patient: OnnxBackend, manifest: Manifest
) -> dict[str, Any]:
    with open_faithful(content) as backend:
        report = judge(
            reference, lambda: score_patients(golden, score_slices(golden, backend, manifest), patient, manifest)
        )
    if not report.passed:
        raise ExportError(
            f"the accuracy gate refuses {name}: {'; '.join(report.failures)}",
            remedy="Leave it out, or calibrate it again: `msu calibrate`.",
        )
    return {"measured": report.measured, "limits": report.limits, "against": patient.name}


def _fits(image: OnnxBackend, patient: OnnxBackend, manifest: Manifest) -> None:
    ImagePredictor(image, manifest)
    PatientPredictor(patient, manifest)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error}", remedy="Check the path.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(_read(path))
    except ValueError as error:
        raise ExportError(f"{path} is no JSON: {error}", remedy="Correct the line named.") from error
    if not isinstance(body, dict):
        raise ExportError(f"{path} holds no JSON object", remedy="`msu bundle inspect` shows an example.")
    return body
