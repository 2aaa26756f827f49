from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.core.errors import BackendError
from edge_app.core.types import CLASSES, SliceScores
from edge_app.inference.bundle import load_bundle
from edge_app.inference.manifest import Calibration, FindingCalibration, Manifest
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.predict import (
    ImagePredictor,
    PatientPredictor,
    calls,
    class_probabilities,
    patient_probabilities,
)
from tests.bundles import FEATURES, image_network, patient_network, write_tiny_bundle


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load_bundle(write_tiny_bundle(tmp_path, profile_sha256="0" * 64, max_slices=8)).manifest


@pytest.fixture
def slices() -> list[SliceScores]:
    rng = np.random.default_rng(3)
    numbers = [(rng.random(FEATURES, np.float32), rng.random(3, np.float32)) for _ in range(5)]
    return [
        SliceScores(f"1.{i}", features, logits, np.zeros((3, 7, 7), "f4"), class_probabilities(logits, "softmax"))
        for i, (features, logits) in enumerate(numbers)
    ]


def test_each_slice_gets_its_own_scores_in_order(manifest: Manifest) -> None:
    images = np.random.default_rng(1).random((5, 3, 224, 224), np.float32)
    with OnnxBackend(image_network(), threads=1) as backend:
        scores = ImagePredictor(backend, manifest).predict(images, [f"1.{i}" for i in range(5)])
    assert [s.sop_uid for s in scores] == [f"1.{i}" for i in range(5)]
    for image, score in zip(images, scores, strict=True):
        np.testing.assert_allclose(score.features, image.mean(axis=(1, 2)), atol=1e-5)
        assert score.saliency.shape == (3, 7, 7)
        assert score.probabilities.sum() == pytest.approx(1.0)


@pytest.mark.requirement("R22")
def test_a_slice_may_show_both_findings_where_the_image_network_answers_each_for_itself(manifest: Manifest) -> None:
    independent = manifest.model_copy(update={"image": manifest.image.model_copy(update={"labels": "findings"})})
    with OnnxBackend(image_network(scale=9.0), threads=1) as backend:
        (bright,) = ImagePredictor(backend, independent).predict(np.ones((1, 3, 224, 224), np.float32), ["1"])
    expected = 1 / (1 + np.exp(-bright.logits[1:].astype(np.float64)))
    np.testing.assert_allclose(bright.probabilities[1:], expected, atol=1e-12)
    assert bright.probabilities[0] == pytest.approx(1 - expected.max())


@pytest.mark.requirement("R28")
def test_a_slices_bits_do_not_depend_on_which_slices_it_arrived_with(manifest: Manifest) -> None:
    images = np.random.default_rng(2).random((5, 3, 224, 224), np.float32)
    uids = [str(i) for i in range(5)]
    with OnnxBackend(image_network(), threads=1) as backend:
        predictor = ImagePredictor(backend, manifest)
        together = predictor.predict(images, uids)
        alone = [predictor.predict(images[i : i + 1], uids[i : i + 1])[0] for i in (4, 2, 0, 1, 3)]
    by_uid = {s.sop_uid: s for s in alone}
    assert all(s.logits.tobytes() == by_uid[s.sop_uid].logits.tobytes() for s in together)


def test_an_image_network_that_answers_nan_is_an_error(manifest: Manifest) -> None:
    with OnnxBackend(image_network(scale=float("nan")), threads=1) as backend:
        predictor = ImagePredictor(backend, manifest)
        with pytest.raises(BackendError, match="NaN"):
            predictor.predict(np.ones((1, 3, 224, 224), np.float32), ["1"])


def test_an_image_network_of_another_feature_count_is_refused(manifest: Manifest) -> None:
    with OnnxBackend(image_network(features=FEATURES + 1)) as backend, pytest.raises(BackendError, match="features"):
        ImagePredictor(backend, manifest)


def test_a_patient_network_in_the_place_of_the_image_network_is_refused(manifest: Manifest) -> None:
    with OnnxBackend(patient_network()) as backend, pytest.raises(BackendError, match=r"image\.onnx"):
        ImagePredictor(backend, manifest)


def test_probabilities_are_the_softmax_at_the_calibrations_temperature(
    manifest: Manifest, slices: list[SliceScores]
) -> None:
    warm = manifest.model_copy(update={"calibration": manifest.calibration.model_copy(update={"temperature": 2.0})})
    with OnnxBackend(patient_network(bias=(0, 3, 0)), threads=1) as backend:
        answer = PatientPredictor(backend, warm).predict(slices, [0, 5, 10, 15, 20])
    logits = np.mean([s.logits for s in slices], axis=0) + np.array([0, 3, 0])
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    assert list(answer.probabilities) == list(CLASSES)
    np.testing.assert_allclose(list(answer.probabilities.values()), expected, atol=1e-6)
    np.testing.assert_allclose(answer.attention, np.full(5, 0.2), atol=1e-6)
    assert answer.distance == pytest.approx(0.5)


@pytest.mark.requirement("R22")
def test_each_finding_of_a_patient_has_a_probability_of_its_own_calibrated_by_itself(
    manifest: Manifest, slices: list[SliceScores]
) -> None:
    own = {
        "hemorrhage": FindingCalibration(slope=0.5, intercept=-1.0),
        "ischemic": FindingCalibration(slope=2.0, intercept=0.25),
    }
    calibration = Calibration(method="platt", findings=own)  # type: ignore[arg-type]
    patient = manifest.patient.model_copy(update={"labels": "findings"})
    independent = manifest.model_copy(update={"calibration": calibration, "patient": patient})
    answers = {}
    for name, bias in {"blood": (0, 6, 0), "both": (0, 6, 6), "neither": (0, -6, -6)}.items():
        with OnnxBackend(patient_network(bias=bias), threads=1) as backend:
            answers[name] = PatientPredictor(backend, independent).predict(slices, [0, 5, 10, 15, 20]).probabilities
    logits = np.mean([s.logits for s in slices], axis=0) + 6.0
    assert answers["both"]["hemorrhage"] == pytest.approx(1 / (1 + np.exp(1.0 - 0.5 * logits[1])), abs=1e-6)
    assert answers["both"]["ischemic"] == pytest.approx(1 / (1 + np.exp(-0.25 - 2.0 * logits[2])), abs=1e-6)
    assert answers["both"]["hemorrhage"] == answers["blood"]["hemorrhage"], "a second finding pushes the first down"
    assert sum(answers["both"].values()) > 1.5, "both may be there"
    assert answers["neither"]["negative"] == 1 - max(answers["neither"]["hemorrhage"], answers["neither"]["ischemic"])


@pytest.mark.requirement("R22")
def test_the_likeliest_class_is_negative_exactly_where_no_finding_is_likelier_than_not() -> None:
    logits = np.random.default_rng(5).normal(0, 3, (500, 3))
    found = class_probabilities(logits, "findings")
    assert ((found.argmax(axis=1) == 0) == (logits[:, 1:] < 0).all(axis=1)).all()
    said = calls(found, "findings")
    assert (said[:, 1:] == (logits[:, 1:] >= 0)).all() and (said[:, 0] == ~said[:, 1:].any(axis=1)).all()
    assert said[:, 1:].all(axis=1).any(), "some show both"
    assert (calls(found, "softmax").sum(axis=1) == 1).all()


def test_the_patient_network_sees_heights_above_the_lowest_slice(manifest: Manifest, slices: list[SliceScores]) -> None:
    with OnnxBackend(patient_network(distance=0.0, per_mm=1.0), threads=1) as backend:
        predictor = PatientPredictor(backend, manifest)
        low = predictor.predict(slices, [-1000, -995, -990, -985, -980])
        high = predictor.predict(slices, [500, 505, 510, 515, 520])
    assert low.distance == high.distance == pytest.approx(10.0)


@pytest.mark.parametrize("count", [0, 9])
def test_no_slices_or_more_than_the_model_takes_is_an_error(
    manifest: Manifest, slices: list[SliceScores], count: int
) -> None:
    with OnnxBackend(patient_network(), threads=1) as backend, pytest.raises(BackendError, match=f"{count} slices"):
        PatientPredictor(backend, manifest).predict((slices * 2)[:count], list(range(count)))


def test_a_patient_network_that_answers_infinity_is_an_error(manifest: Manifest, slices: list[SliceScores]) -> None:
    with OnnxBackend(patient_network(distance=float("inf")), threads=1) as backend:
        predictor = PatientPredictor(backend, manifest)
        with pytest.raises(BackendError, match="distance"):
            predictor.predict(slices, range(5))


def test_probabilities_survive_large_logits() -> None:
    large = np.array([1000.0, 1000.0, -1000.0], np.float32)
    np.testing.assert_allclose(class_probabilities(large, "softmax"), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(class_probabilities(large, "findings"), [0.0, 1.0, 0.0])
    warm = Calibration(temperature=2.0)
    np.testing.assert_allclose(patient_probabilities(large, warm), [0.5, 0.5, 0.0])
