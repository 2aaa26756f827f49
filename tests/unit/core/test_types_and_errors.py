from __future__ import annotations

import json
import pickle
import re

import pytest

from edge_app.core import errors
from edge_app.core.reasons import TEXTS, reason
from edge_app.core.types import ModelIdentity, SliceResult, StudyResult, StudyStatus, Verdict


def _result() -> StudyResult:
    return StudyResult(
        study_uid="1.2",
        patient_id="P",
        status=StudyStatus.RESULT,
        verdict=Verdict.HEMORRHAGE,
        probabilities={"negative": 0.1, "hemorrhage": 0.8, "ischemic": 0.1},
        reasons=(reason("Q-19"),),
        series_uid="1.2.3",
        slices=(SliceResult("1.2.3.4", 5.0, {"negative": 1.0, "hemorrhage": 0.0, "ischemic": 0.0}),),
        model=ModelIdentity("demo", "1", "ab", synthetic=True),
        backend="onnxruntime-cpu",
        timings_ms={"last_slice_to_result": 12.5},
        key_slices=("1.2.3.4",),
        quality=("motion",),
        revision=2,
    )


def test_a_result_survives_the_way_through_json() -> None:
    assert StudyResult.from_json(json.loads(json.dumps(_result().to_json()))) == _result()


def test_the_json_has_the_keys_of_the_contract() -> None:
    body = _result().to_json()
    assert {
        "study_uid", "patient_id", "status", "verdict", "probabilities", "reasons", "series_uid", "slices", "model",
        "backend", "timings_ms",
    } <= body.keys()  # fmt: skip
    assert body["model"].keys() == {"name", "version", "sha256", "synthetic", "development_key"}
    assert body["slices"][0].keys() == {"sop_uid", "position_mm", "probabilities"}


def test_every_error_has_a_code_of_its_own_and_stands_in_the_tree() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    codes = [cls.code for cls in classes]
    assert len(set(codes)) == len(codes)
    for cls in classes:
        assert cls.__name__ in (errors.__doc__ or "")
        assert cls is errors.MsuError or cls.code in (errors.__doc__ or "")


def test_an_error_says_code_message_and_remedy() -> None:
    error = errors.DiskFullError("only 3 MiB are free", remedy="Free some space.")
    assert str(error) == "E-201 only 3 MiB are free. Free some space."


def test_an_unknown_reason_never_reaches_a_screen() -> None:
    with pytest.raises(KeyError):
        reason("Q-99")


def test_reasons_are_short_and_hold_no_banned_word() -> None:
    for code, text in TEXTS.items():
        assert re.fullmatch(r"[QE]-\d\d\d?", code)
        assert len(text) <= 60
        assert not re.search(r"\b(negative|normal|clear|safe|diagnos|treat|lyse)", text, re.IGNORECASE)


def test_errors_survive_the_way_between_processes() -> None:
    again = pickle.loads(pickle.dumps(errors.DiskFullError("no space on D", remedy="Free some.")))
    assert type(again) is errors.DiskFullError
    assert str(again) == "E-201 no space on D. Free some."
