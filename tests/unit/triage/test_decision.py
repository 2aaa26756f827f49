from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import pytest

from edge_app.core.errors import BackendError
from edge_app.core.types import Reason, Verdict
from edge_app.triage.decision import ISCHAEMIA_OFF, ISCHAEMIA_TOO, Decision, decide


@dataclass(frozen=True)
class Point:
    t_lo: float
    t_hi: float


POINTS: Any = {"hemorrhage": Point(0.3, 0.6), "ischemic": Point(0.4, 0.7)}
LEVELS = {"hemorrhage": {"low": 0.1, "mid": 0.45, "high": 0.9}, "ischemic": {"low": 0.1, "mid": 0.5, "high": 0.9}}


def decision(hemorrhage: float, ischemic: float, *, output: Any = "research", distance: float = 0.5) -> Decision:
    return decide(
        {"negative": 0.5, "hemorrhage": hemorrhage, "ischemic": ischemic},
        POINTS,
        distance=distance,
        distance_threshold=1.0,
        ischaemia_output=output,
    )


TRUTH_TABLE = {
    # haemorrhage, ischaemic: verdict, code of the reason, ischaemic signs
    ("low", "low"): (Verdict.NONE_DETECTED, None, False),
    ("low", "mid"): (Verdict.INDETERMINATE, "Q-19", False),
    ("low", "high"): (Verdict.ISCHEMIC, None, True),
    ("mid", "low"): (Verdict.INDETERMINATE, "Q-19", False),
    ("mid", "mid"): (Verdict.INDETERMINATE, "Q-19", False),
    ("mid", "high"): (Verdict.INDETERMINATE, "Q-19", True),
    ("high", "low"): (Verdict.HEMORRHAGE, None, False),
    ("high", "mid"): (Verdict.HEMORRHAGE, None, False),
    ("high", "high"): (Verdict.HEMORRHAGE, None, True),
}


@pytest.mark.requirement("R04")
@pytest.mark.parametrize(("levels", "expected"), TRUTH_TABLE.items())
@pytest.mark.parametrize("output", ["research", "on"])
def test_truth_table_haemorrhage_outranks_everything(
    levels: tuple[str, str], expected: tuple[Verdict, str | None, bool], output: str
) -> None:
    found = decision(LEVELS["hemorrhage"][levels[0]], LEVELS["ischemic"][levels[1]], output=output)
    verdict, code, signs = expected
    assert (found.verdict, found.ischaemic_signs) == (verdict, signs)
    assert [r.code for r in found.reasons] == ([code] if code else [])
    assert (ISCHAEMIA_TOO in found.remarks) == (levels == ("high", "high"))


@pytest.mark.requirement("R06")
@pytest.mark.parametrize(
    ("level", "verdict"),
    [("low", Verdict.NONE_DETECTED), ("mid", Verdict.INDETERMINATE), ("high", Verdict.HEMORRHAGE)],
)
@pytest.mark.parametrize("ischemic", LEVELS["ischemic"].values())
def test_ischaemic_signs_have_no_say_when_switched_off_and_the_result_says_so(
    level: str, verdict: Verdict, ischemic: float
) -> None:
    found = decision(LEVELS["hemorrhage"][level], ischemic, output="off")
    assert (found.verdict, found.ischaemic_signs, found.remarks) == (verdict, False, (ISCHAEMIA_OFF,))


@pytest.mark.requirement("R20")
@pytest.mark.parametrize("scores", list(itertools.product([0.1, 0.45, 0.9], [0.1, 0.5, 0.9])))
def test_a_study_unlike_the_training_data_is_indeterminate_whatever_its_scores(scores: tuple[float, float]) -> None:
    found = decision(*scores, distance=1.01)
    assert found.verdict is Verdict.INDETERMINATE
    assert [r.code for r in found.reasons] == ["Q-20"]


@pytest.mark.requirement("R25")
def test_a_score_at_a_threshold_belongs_to_the_more_serious_side() -> None:
    assert decision(0.6, 0.0).verdict is Verdict.HEMORRHAGE
    assert decision(0.3, 0.0).verdict is Verdict.INDETERMINATE
    assert decision(math.nextafter(0.3, 0), 0.0).verdict is Verdict.NONE_DETECTED
    assert decision(0.0, 0.7).verdict is Verdict.ISCHEMIC
    assert decision(0.0, 0.4).verdict is Verdict.INDETERMINATE
    assert decision(0.0, 0.0, distance=1.0).verdict is Verdict.NONE_DETECTED


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_none_is_an_error_never_a_verdict(bad: float) -> None:
    for arguments in ({"hemorrhage": bad, "ischemic": 0.1}, {"hemorrhage": 0.1, "ischemic": bad}):
        with pytest.raises(BackendError):
            decision(**arguments)
    with pytest.raises(BackendError, match="distance"):
        decision(0.1, 0.1, distance=bad)


@pytest.mark.requirement("R20")
def test_poor_images_are_indeterminate_whatever_the_scores_say() -> None:
    doubt = Reason("Q-16", "Image quality (motion in slices 3-5)")
    for hemorrhage in (0.01, 0.99):
        found = decide(
            {"negative": 1 - hemorrhage, "hemorrhage": hemorrhage, "ischemic": 0.0},
            POINTS,
            distance=9.0,
            distance_threshold=1.0,
            ischaemia_output="on",
            doubts=(doubt,),
        )
        assert found.verdict is Verdict.INDETERMINATE
        assert [r.code for r in found.reasons] == ["Q-16", "Q-20"]
