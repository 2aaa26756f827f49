"""A bundle is made of parts that fit, or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import pytest

from edge_app.core.errors import BundleError, ExportError
from edge_app.inference.bundle import load_bundle
from edge_app.inference.manifest import MODEL_CARD_FILE
from edge_app.inference.passport import GOLDEN_ANSWERS_FILE, GOLDEN_FILE
from edge_app.inference.signature import DEVELOPMENT_KEY, TrustedKeys
from edge_app.worker.golden_check import check_golden_answers
from edge_app.worker.models import open_models
from export.bundle_make import Parts, assemble, read_parts
from export.onnx_file import write_facts
from tests.bundles import FEATURES, image_network, patient_network, write_tiny_bundle
from tests.engines import SCALE, golden_set

GOOD = image_network(scale=SCALE * 1.001)
FLIPPED = image_network(scale=-SCALE)
RECORD = json.dumps({"sha256": hashlib.sha256(GOOD).hexdigest()}).encode()


def saying(content: bytes, **facts: str) -> bytes:
    model = onnx.load_from_string(content)
    write_facts(model, facts)
    return bytes(model.SerializeToString())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a bundle whose networks tell the golden patients apart."""
    return write_tiny_bundle(
        tmp_path / "base",
        patient_bias=(0.0, 0.0, 0.0),
        image=image_network(scale=SCALE),
        evaluation=EVALUATION,
        extra={GOLDEN_FILE: golden_set().to_bytes()},
    )


EVALUATION = {
    "test": {
        "n": 3,
        "accuracy": {"value": 1.0, "ci95": [0.4, 1.0]},
        "decision_accuracy": {"value": None},
        "indeterminate": 0,
        "per_class": {},
        "by_lesion": {},
        "by_scanner": {},
        "by_volume": {},
    }
}


def parts_of(base: Path, **files: bytes) -> Parts:
    parts = read_parts(base=base, description=None, files={})
    names = {"fp16": "image.fp16.onnx", "int8": "image.int8.onnx", "calibration": "calibration.json"}
    return Parts(parts.description, parts.files | {names.get(name, name): content for name, content in files.items()})


def test_a_bundle_with_all_precisions_is_made_signed_and_answers_in_the_vehicle(base: Path, tmp_path: Path) -> None:
    parts = parts_of(base, fp16=GOOD, int8=GOOD, calibration=RECORD)
    made = assemble(tmp_path / "out", parts, key=DEVELOPMENT_KEY)
    assert made.precisions["image.int8.onnx"]["measured"]["left_hemorrhage"] == 0.0  # type: ignore[index]
    bundle = load_bundle(tmp_path / "out", TrustedKeys(development=True))
    assert {"image.fp16.onnx", "image.int8.onnx", GOLDEN_FILE, GOLDEN_ANSWERS_FILE} <= set(bundle.manifest.files)
    assert "| image.fp16.onnx | 3 | 6 | 0.0% of patients" in bundle.read(MODEL_CARD_FILE).decode()
    with open_models(bundle, threads=1) as models:
        assert check_golden_answers(bundle, models).startswith("3 golden patients answered as they should")


@pytest.mark.parametrize("probability", [0.5, float("nan")])
def test_golden_answers_that_are_others_or_no_numbers_are_refused(
    base: Path, tmp_path: Path, probability: float
) -> None:
    assemble(tmp_path / "made", parts_of(base), key=None)
    answers = json.loads((tmp_path / "made" / GOLDEN_ANSWERS_FILE).read_text())
    answers["patients"][-1]["probabilities"]["ischemic"] = probability
    other = write_tiny_bundle(
        tmp_path / "other",
        patient_bias=(0.0, 0.0, 0.0),
        image=image_network(scale=SCALE),
        extra={GOLDEN_FILE: golden_set().to_bytes(), GOLDEN_ANSWERS_FILE: json.dumps(answers).encode()},
    )
    bundle = load_bundle(other)
    with open_models(bundle, threads=1) as models, pytest.raises(BundleError, match="a probability differs by"):
        check_golden_answers(bundle, models)


def test_a_precision_that_the_gate_refuses_keeps_the_bundle_from_being_made(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"gate refuses image\.fp16\.onnx: .*left haemorrhage"):
        assemble(tmp_path / "out", parts_of(base, fp16=FLIPPED), key=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "gone", "named"),
    [
        ({"int8": GOOD}, "", "needs its calibration record"),
        ({"int8": FLIPPED, "calibration": RECORD}, "", "record of another INT8 network"),
        ({"int8": GOOD, "calibration": b"{}"}, "", "no calibration record"),
        ({"int8": GOOD, "calibration": b"noise"}, "", "no calibration record"),
        ({"fp16": saying(GOOD, fp32_sha256="0" * 64)}, "", r"made from another image\.onnx"),
        ({"fp16": saying(GOOD, precision="int8")}, "", r"image\.fp16\.onnx holds a network in int8"),
        ({"fp16": GOOD}, GOLDEN_FILE, "without a golden set"),
        ({}, "patient.onnx", r"no patient\.onnx"),
        ({"image.onnx": image_network(features=FEATURES + 1)}, "", "features"),
        ({"patient.onnx": patient_network(features=FEATURES + 1)}, GOLDEN_FILE, "features"),
        ({"image.onnx": b"noise"}, "", "no ONNX file"),
        ({GOLDEN_FILE: b"noise"}, "", "golden set cannot be read"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    base: Path, tmp_path: Path, files: dict[str, bytes], gone: str, named: str
) -> None:
    parts = parts_of(base, **files)
    parts.files.pop(gone, None)
    with pytest.raises(ExportError, match=named):
        assemble(tmp_path / "out", parts, key=None)


@pytest.mark.parametrize(
    ("image", "patient", "named"),
    [
        ({"weights": "b"}, {}, r"image\.onnx is not the network that the description's numbers are of"),
        ({"weights": "a"}, {"weights": "a"}, r"patient\.onnx is not the network"),
        ({"weights": "a"}, {"image_weights": "c"}, "trained on the features of another"),
        ({"weights": "a"}, {"weights": "p", "image_weights": "a"}, ""),
    ],
)
def test_networks_of_other_experiments_are_refused(
    base: Path, tmp_path: Path, image: dict[str, str], patient: dict[str, str], named: str
) -> None:
    plain = parts_of(base)
    files = {f"{name}.onnx": saying(plain.files[f"{name}.onnx"], **facts)
             for name, facts in (("image", image), ("patient", patient))}  # fmt: skip
    judged = {**EVALUATION, "weights": {"image": "a", "patient": "p"}}
    parts = Parts({**plain.description, "evaluation": judged}, {**plain.files, **files})
    if named:
        with pytest.raises(ExportError, match=named):
            assemble(tmp_path / "out", parts, key=None)
    else:
        assemble(tmp_path / "out", parts, key=None)


def test_other_networks_do_not_inherit_the_precisions_and_answers_of_the_old_ones(base: Path, tmp_path: Path) -> None:
    assemble(tmp_path / "full", parts_of(base, fp16=GOOD), key=None)
    (tmp_path / "new.onnx").write_bytes(image_network(scale=SCALE * 2))
    same = read_parts(base=tmp_path / "full", description=None, files={}, version="2.0")
    assert "image.fp16.onnx" in same.files and same.description["version"] == "2.0"
    other = read_parts(base=tmp_path / "full", description=None, files={"image.onnx": tmp_path / "new.onnx"})
    assert set(other.files) == {"image.onnx", "patient.onnx", GOLDEN_FILE}


def test_a_description_alone_makes_a_bundle_and_its_missing_field_is_named(base: Path, tmp_path: Path) -> None:
    known = load_bundle(base).manifest.model_dump(mode="json")
    description = tmp_path / "description.json"
    files = {name: base / name for name in ("image.onnx", "patient.onnx")}
    description.write_text(json.dumps(known))
    made = assemble(tmp_path / "out", read_parts(base=None, description=description, files=files), key=None)
    assert made.created_utc != known["created_utc"] and set(made.files) == {*files, MODEL_CARD_FILE}
    del known["operating_points"]
    description.write_text(json.dumps(known))
    with pytest.raises(ExportError, match="operating_points"):
        assemble(tmp_path / "out", read_parts(base=None, description=description, files=files), key=None)


def test_networks_trained_on_another_preprocessing_are_refused(base: Path, tmp_path: Path) -> None:
    parts = parts_of(base)
    changed = {**parts.description, "preprocessing": {"profile": "msu1", "sha256": "0" * 64}}
    with pytest.raises(ExportError, match="trained on another 'msu1'"):
        assemble(tmp_path / "out", Parts(changed, parts.files), key=None)


@pytest.mark.parametrize(("content", "named"), [(None, "cannot be read"), ("{", "no JSON"), ("[]", "no JSON object")])
def test_a_description_that_is_none_is_refused(tmp_path: Path, content: str | None, named: str) -> None:
    path = tmp_path / "description.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ExportError, match=named):
        read_parts(base=None, description=path, files={})


def test_nothing_comes_of_nothing() -> None:
    with pytest.raises(ExportError, match="--from BUNDLE or --description"):
        read_parts(base=None, description=None, files={})


@pytest.mark.parametrize(
    ("facts", "synthetic", "named"),
    [
        ({"synthetic": "true"}, False, "SYNTHETIC images, the description says"),
        ({"preprocessing_sha256": "0" * 64, "preprocessing": "seed2023"}, True, "trained on seed2023"),
        ({"classes": "a,b"}, True, "the classes a,b"),
    ],
)
def test_a_network_that_says_otherwise_than_the_description_is_refused(
    base: Path, tmp_path: Path, facts: dict[str, str], synthetic: bool, named: str
) -> None:
    model = onnx.load_model_from_string(image_network(scale=SCALE))
    write_facts(model, facts)
    parts = parts_of(base, **{"image.onnx": bytes(model.SerializeToString())})
    with pytest.raises(ExportError, match=named):
        assemble(tmp_path / "out", Parts({**parts.description, "synthetic": synthetic}, parts.files), key=None)


def thresholds_file(folder: Path, base_sha256: str) -> Path:
    body = {
        "schema_version": 1,
        "base_sha256": base_sha256,
        "created_utc": "2026-01-02T00:00:00.000000Z",
        "operating_points": {"hemorrhage": {"t_lo": 0.11, "t_hi": 0.77}},
        "evidence": {"with_haemorrhage": 40},
    }
    path = folder / "site.json"
    path.write_text(json.dumps(body))
    return path


def test_a_sites_own_thresholds_make_a_new_bundle_that_names_who_answers_for_them(base: Path, tmp_path: Path) -> None:
    known = load_bundle(base)
    site = thresholds_file(tmp_path, known.sha256)
    parts = read_parts(base=base, description=None, files={}, thresholds=site, clinician="Dr. A. Example")
    made = assemble(tmp_path / "out", parts, key=DEVELOPMENT_KEY)
    assert made.site_thresholds is not None and made.site_thresholds.clinician == "Dr. A. Example"
    assert (made.operating_points["hemorrhage"].t_lo, made.version) == (0.11, "0.0.1+site")
    assert made.operating_points["ischemic"] == known.manifest.operating_points["ischemic"]
    card = load_bundle(tmp_path / "out").read(MODEL_CARD_FILE).decode()
    assert "Dr. A. Example" in card


def test_thresholds_of_another_bundle_or_of_nobody_are_refused(base: Path, tmp_path: Path) -> None:
    right, wrong = load_bundle(base).sha256, "0" * 64
    with pytest.raises(ExportError, match="scores of another bundle"):
        read_parts(
            base=base, description=None, files={}, thresholds=thresholds_file(tmp_path, wrong), clinician="Dr. A."
        )
    with pytest.raises(ExportError, match="nobody answers"):
        read_parts(base=base, description=None, files={}, thresholds=thresholds_file(tmp_path, right))
