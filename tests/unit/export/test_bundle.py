"""A bundle is written whole, loads in the vehicle, and says that it is synthetic."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_app.core.errors import ExportError
from edge_app.inference.bundle import load_bundle
from edge_app.inference.manifest import (
    MODEL_CARD_FILE,
    Calibration,
    ImageModel,
    Manifest,
    OperatingPoint,
    PatientModel,
)
from export.bundle import describe_bundle, make_bundle
from export.model_card import model_card


def draft(version: str = "1.0.0") -> Manifest:
    rate = {"value": 0.97, "n": 300, "ci95": [0.95, 0.99]}
    group = {"n": 300, "accuracy": 0.97, "decision_accuracy": 0.96}
    return describe_bundle(
        name="tiny",
        version=version,
        created=datetime(2026, 1, 2, tzinfo=timezone.utc),
        synthetic=True,
        profile="msu1",
        image=ImageModel(architecture="resnet10_s16", features=256),
        patient=PatientModel(architecture="GRU", distance_threshold=2.0),
        operating_points={name: OperatingPoint(t_lo=0.2, t_hi=0.6) for name in ("hemorrhage", "ischemic")},
        calibration=Calibration(temperature=1.5),
        training={"studies": {"negative": 3, "hemorrhage": 3, "ischemic": 3}, "scanners": ["north", "south"]},
        evaluation={
            "test": {
                "n": 300,
                "accuracy": rate,
                "decision_accuracy": {"value": None, "n": 0, "ci95": None},
                "indeterminate": 4,
                "per_class": {"hemorrhage": {"sensitivity": rate, "specificity": rate}},
                "by_lesion": {"subdural": group},
                "by_scanner": {"unseen": group},
                "by_volume": {"none": group},
            }
        },
    )


def test_the_vehicle_loads_what_was_made(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "demo", draft(), b"image", b"patient")
    bundle = load_bundle(tmp_path / "demo")
    assert bundle.manifest == made
    assert bundle.read("image.onnx") == b"image"
    assert bundle.identity.synthetic


def test_the_model_card_says_synthetic_in_its_headline_and_gives_the_numbers(tmp_path: Path) -> None:
    make_bundle(tmp_path / "demo", draft(), b"image", b"patient")
    card = (tmp_path / "demo" / MODEL_CARD_FILE).read_text(encoding="utf-8")
    assert "SYNTHETIC" in card.splitlines()[0]
    assert "0.970 (0.950–0.990)" in card
    assert "| subdural | 300 | 0.960 |" in card


def test_the_model_card_gives_thresholds_as_the_vehicle_has_them() -> None:
    points = {
        "hemorrhage": OperatingPoint(t_lo=0.0004, t_hi=0.5006),
        "ischemic": OperatingPoint(t_lo=0.35, t_hi=1.0),
    }
    card = model_card(draft().model_copy(update={"operating_points": points}))
    assert "| hemorrhage | 0.0004 | 0.5006 |" in card and "| ischemic | 0.350 | 1.000 |" in card


def test_a_new_bundle_takes_the_place_of_the_old_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    make_bundle(tmp_path / "demo", draft("1.0.0"), b"image", b"patient")
    make_bundle(tmp_path / "demo", draft("1.0.1"), b"image 2", b"patient")
    assert load_bundle(tmp_path / "demo").manifest.version == "1.0.1"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="holds no bundle"):
        make_bundle(tmp_path, draft(), b"image", b"patient")
    assert (tmp_path / "thesis.tex").exists()


def test_the_model_card_is_made_from_an_evaluation() -> None:
    rate = {"value": 0.9, "n": 20, "ci95": [0.8, 1.0]}
    judged = {
        "n": 60, "accuracy": rate, "decision_accuracy": rate, "indeterminate": 3,
        "per_class": {"hemorrhage": {"sensitivity": rate, "specificity": rate, "f1": rate, "auc": rate}},
        "by_lesion": {"subdural": {"n": 7, "decision_accuracy": 0.8571, "ci95": [0.5, 1.0]}},
    }  # fmt: skip
    evaluation = {
        "headline": ["source-confounded: by its scanner"],
        "validation": judged,
        "test": judged,
        "calibration": {"test": {"before": {"hemorrhage": rate}, "after": {"hemorrhage": rate}}},
        "source_probe": {"headline": "source-confounded: by its scanner", "views": [
            {"view": "brain masked out", "sources": ["aisd", "rsna"], "balanced_accuracy": rate, "shuffled": 0.5},
        ]},
        "shortcuts": {"without_brain": {"balanced_accuracy": rate, "chance": 0.3333}},
        "release_gates": [{"id": "R24", "asked": "at least 202 haemorrhages", "measured": 20, "met": False}],
        "openings_of_this_test_split": 2, "data_sha256": "ab" * 32, "commit": "c0ffee",
    }  # fmt: skip
    card = model_card(draft().model_copy(update={"evaluation": evaluation}))
    assert card.index("> - source-confounded") < card.index("## What it is")
    for words in (
        "| hemorrhage | 20 | 0.900 (0.800–1.000) |", "F1 | AUC", "| subdural | 7 | 0.857 (0.500–1.000) |",
        "| brain masked out | aisd / rsna | 0.900 (0.800–1.000) | 0.50 |", "brain masked out the model reaches 0.900",
        "**not met**", "opened 2 times", "`c0ffee`", "| test | hemorrhage | 0.900",
    ):  # fmt: skip
        assert words in card, words
    closed = model_card(draft().model_copy(update={"evaluation": {"validation": judged}}))
    assert "has not been opened" in closed and "On the validation studies" in closed
