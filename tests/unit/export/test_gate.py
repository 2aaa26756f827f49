from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_app.core.errors import BackendError, ExportError
from edge_app.core.types import Verdict
from edge_app.inference.onnx_backend import OnnxBackend
from export.gate import GateLimits, GoldenScores, compare, judge, score_patients, score_slices
from export.golden import GoldenSet, read_golden
from tests.bundles import image_network
from tests.engines import engine_bundle, golden_set

N = Verdict.NONE_DETECTED


def scores(hemorrhage: float = 0.9, slices: int = 400) -> GoldenScores:
    """Return answers for three patients: one of each class, the second with a haemorrhage."""
    rest = (1 - hemorrhage) / 2
    table = np.array([[0.9, 0.05, 0.05], [rest, hemorrhage, rest], [0.05, 0.05, 0.9]])
    return GoldenScores(
        np.repeat(table, slices // 3 + 1, axis=0)[:slices],
        np.ones((slices, 4)),
        table,
        (N, Verdict.HEMORRHAGE if hemorrhage >= 0.6 else N, Verdict.ISCHEMIC),
    )


def test_the_same_answers_pass() -> None:
    report = compare(scores(), scores(), GateLimits())
    assert report.passed and report.measured["max_patient_change"] == 0.0


def test_a_patient_who_leaves_haemorrhage_is_never_accepted() -> None:
    loose = GateLimits(max_flip_fraction=1.0, max_patient_change=1.0, max_slice_change=1.0)
    report = compare(scores(), scores(0.2), loose)
    assert report.failures == ("1 of 3 patients left haemorrhage",)


def test_a_haemorrhage_that_only_the_words_lose_is_not_accepted_either() -> None:
    candidate = replace(scores(), verdicts=(N, Verdict.INDETERMINATE, Verdict.ISCHEMIC))
    assert "1 of 3 patients left haemorrhage" in compare(scores(), candidate, GateLimits()).failures


@pytest.mark.parametrize(("flipped", "passes"), [(2, True), (3, False)])
def test_at_most_half_a_per_cent_of_the_slices_may_flip(flipped: int, passes: bool) -> None:
    candidate = scores()
    candidate.slices[:flipped] = [0.45, 0.5, 0.05]
    report = compare(scores(), candidate, GateLimits(max_slice_change=1.0))
    assert report.passed is passes
    assert report.measured["slice_flip_fraction"] == flipped / 400


def test_a_probability_that_moves_too_far_is_refused() -> None:
    report = compare(scores(0.9), scores(0.8), GateLimits(max_slice_change=1.0))
    assert len(report.failures) == 1 and "max patient change" in report.failures[0]


def test_nan_is_refused() -> None:
    candidate = scores()
    candidate.slices[0, 0] = np.nan
    assert "NaN" in compare(scores(), candidate, GateLimits()).failures[0]


def test_a_network_that_fails_is_refused_and_not_an_error() -> None:
    def answer() -> GoldenScores:
        raise BackendError("image.onnx answered with NaN or infinity in 'logits'", remedy="")

    assert judge(scores(), answer).failures == ("image.onnx answered with NaN or infinity in 'logits'",)


def test_a_golden_set_in_which_nothing_bleeds_proves_nothing() -> None:
    assert "proves nothing" in compare(scores(0.2), scores(0.2), GateLimits()).failures[0]


def test_real_networks_are_scored_as_the_vehicle_does(tmp_path: Path) -> None:
    bundle, golden = engine_bundle(tmp_path / "bundle"), golden_set()
    seen: list[tuple[int, int]] = []
    with OnnxBackend(bundle.read("image.onnx")) as image, OnnxBackend(bundle.read("patient.onnx")) as patient:
        slices = score_slices(golden, image, bundle.manifest, on_slice=lambda *done: seen.append(done))
        reference = score_patients(golden, slices, patient, bundle.manifest)
    assert reference.verdicts == (N, Verdict.HEMORRHAGE, Verdict.ISCHEMIC)
    assert seen[-1] == (6, 6)
    with OnnxBackend(image_network(scale=-5.0)) as broken, OnnxBackend(bundle.read("patient.onnx")) as patient:
        slices = score_slices(golden, broken, bundle.manifest)
        report = compare(reference, score_patients(golden, slices, patient, bundle.manifest), GateLimits())
    assert "1 of 3 patients left haemorrhage" in report.failures


def test_a_golden_set_survives_its_file_and_the_same_set_is_the_same_file() -> None:
    golden = golden_set()
    again, sha256 = read_golden(golden.to_bytes())
    assert again.to_bytes() == golden.to_bytes() and len(sha256) == 64
    np.testing.assert_array_equal(again.images, golden.images)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"images": np.full((6, 3, 224, 224), np.nan, np.float32)}, "not finite"),
        ({"patient": np.array([0, 0, 1, 1, 2])}, "one entry per image"),
        ({"patient": np.array([0, 0, 1, 1, 3, 3])}, "not numbered"),
        ({"patient": np.array([0, 1, 0, 1, 2, 2])}, "not ordered"),
        ({"position_mm": np.zeros(6)}, "not ordered"),
        ({"labels": np.array([0, 1, 1])}, "no patient is ischemic"),
    ],
)
def test_a_golden_set_that_cannot_judge_is_refused(change: dict[str, np.ndarray], named: str) -> None:
    golden = golden_set()
    parts = {name: getattr(golden, name) for name in ("images", "patient", "position_mm", "labels")}
    with pytest.raises(ExportError, match=named):
        GoldenSet(**{**parts, **change})


def test_a_damaged_golden_set_is_refused() -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        read_golden(golden_set().to_bytes()[:-500])
    with pytest.raises(ExportError, match="cannot be read"):
        read_golden(b"no archive")
