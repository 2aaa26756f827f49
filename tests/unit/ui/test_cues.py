from __future__ import annotations

import io
import wave
from dataclasses import replace

import numpy as np
import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.types import StudyStatus, Verdict
from edge_app.ui.cues import Cue, cue_between, cue_wav
from edge_app.ui.desk import Desk
from edge_app.ui.presenter import present
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.snapshot import StudyView
from edge_app.ui.states import ScreenState
from edge_app.ui.viewer import ViewerModel
from tests.unit.ui.views import MOMENT, entry, finished, snapshot, study


def shown(
    view: StudyView | None, *, read_first: bool = False, dead: tuple[str, ...] = (), language: str = "en"
) -> ScreenModel:
    snap = snapshot(*([view] if view else []))
    ends = {name: replace(snap.heartbeats[name], at_s=MOMENT.monotonic_s - 60) for name in dead}
    snap = replace(snap, heartbeats={**snap.heartbeats, **ends})
    return present(snap, ViewerModel(), Desk(language=language), MOMENT, site=ScreenSettings(read_first=read_first))


RECEIVING = shown(study())
ANALYSING = shown(study(StudyStatus.ANALYSING, progress={"images": 21, "analysed": 3}))


@pytest.mark.requirement("R73")
@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_result_sounds_the_same_and_once(verdict: Verdict) -> None:
    result = shown(finished(verdict))
    assert cue_between(ANALYSING, result) is Cue.RESULT
    assert cue_between(result, result) is None
    assert cue_between(result, shown(finished(verdict, revision=2))) is Cue.RESULT


@pytest.mark.requirement("R73")
def test_complete_and_broken_have_their_cue_and_a_start_has_none() -> None:
    assert cue_between(RECEIVING, ANALYSING) is Cue.COMPLETE
    checking = shown(study(StudyStatus.ANALYSING, progress={"images": 21, "analysed": 21}))
    assert cue_between(ANALYSING, checking) is None
    assert cue_between(RECEIVING, shown(study(), dead=("work",))) is Cue.PROBLEM
    assert cue_between(RECEIVING, shown(study(association="aborted"))) is Cue.PROBLEM
    assert cue_between(None, shown(study(), dead=("work",))) is None
    assert cue_between(shown(None), RECEIVING) is None


@pytest.mark.requirement("R73")
def test_what_stops_beside_a_result_is_heard_and_once() -> None:
    case = finished(Verdict.HEMORRHAGE)
    result, stopped = shown(case), shown(case, dead=("work",))
    assert stopped.state is result.state and cue_between(result, stopped) is Cue.PROBLEM
    assert cue_between(stopped, stopped) is None
    assert cue_between(stopped, shown(case, dead=("work", "deliver"))) is Cue.PROBLEM
    assert cue_between(stopped, shown(case, dead=("work",), language="de")) is None
    assert cue_between(stopped, result) is None, "what runs again makes no noise"
    assert cue_between(shown(None, dead=("work",)), stopped) is not Cue.PROBLEM, "heard when it stopped"


@pytest.mark.requirement("R43", "R73")
def test_a_vehicle_that_becomes_unfit_is_heard() -> None:
    ready = shown(None)
    assert cue_between(ready, replace(ready, state=ScreenState.NOT_FIT)) is Cue.PROBLEM
    assert cue_between(ready, replace(ready, state=ScreenState.SELF_TEST)) is None


@pytest.mark.requirement("R35", "R73")
def test_a_reading_first_screen_sounds_when_there_is_something_to_read_and_not_when_it_is_revealed() -> None:
    waiting = shown(finished(Verdict.NONE_DETECTED), read_first=True)
    assert cue_between(ANALYSING, waiting) is Cue.RESULT
    read = replace(finished(Verdict.NONE_DETECTED), crew={"impression": entry("impression", impression="unsure")})
    assert cue_between(waiting, shown(read, read_first=True)) is None


@pytest.mark.requirement("R73")
@pytest.mark.parametrize("cue", list(Cue))
def test_a_cue_is_one_tone_without_pulses_at_most_a_second_long(cue: Cue) -> None:
    with wave.open(io.BytesIO(cue_wav(cue, 70))) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert len(samples) <= rate
    window = rate // 100
    loudness = np.abs(samples[: len(samples) // window * window]).reshape(-1, window).max(axis=1)
    loud = np.flatnonzero(loudness > loudness.max() / 4)
    assert np.all(np.diff(loud) == 1), "a gap would make pulses of it, and pulses are alarms"
    quiet = np.frombuffer(cue_wav(cue, 20)[44:], "<i2")
    assert 0.15 < np.abs(quiet).max() / 32_767 < np.abs(samples).max() / 32_767
