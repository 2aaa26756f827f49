"""The three cues: when, and what they sound like (R73). No Qt.

They are no alarms: each is one gliding tone without pulses (IEC 60601-1-8 alarms are bursts of pulses), at most a
second long, and the one for a result is the same for every result. Nothing depends on being heard.
"""

from __future__ import annotations

import io
import wave
from enum import Enum

import numpy as np

from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.states import RESULT_STATES, ScreenState

__all__ = ["CUE_SAMPLE_RATE_HZ", "Cue", "cue_between", "cue_wav"]

CUE_SAMPLE_RATE_HZ = 44_100


class Cue(str, Enum):
    """What is to be heard."""

    COMPLETE = "complete"
    """All images are there."""
    RESULT = "result"
    """There is something to read, whatever it is."""
    PROBLEM = "problem"
    """Something technical stands in the way."""


_S = ScreenState
_WORKING = frozenset({_S.ANALYSING, _S.CHECKING})
_READABLE = RESULT_STATES | {_S.NO_AI_RESULT, _S.READ_FIRST}
_PROBLEMS = frozenset(
    {
        _S.STALLED, _S.FAILED, _S.AI_STOPPED, _S.RECEIVER_STOPPED, _S.MODEL_MISSING, _S.DISK_FULL, _S.SCANNER_SILENT,
        _S.CLOCK_BAD, _S.NOT_FIT,
    }
)  # fmt: skip
_STOPPED = frozenset({_S.AI_STOPPED, _S.RECEIVER_STOPPED})

_GLIDES_HZ = {
    Cue.COMPLETE: (0.3, (620.0, 820.0)),
    Cue.RESULT: (0.7, (520.0, 880.0, 700.0)),
    Cue.PROBLEM: (0.6, (700.0, 380.0)),
}
"""Length in seconds, and the pitches the tone glides through. A siren and a van's engine lie below or sweep wider."""


def cue_between(before: ScreenModel | None, after: ScreenModel) -> Cue | None:
    """Return the cue for what has just come on the screen, or None.

    A screen that starts is silent, and so is one on which a person looks through old cases, unless something stops.
    """
    if before is None:
        return None
    if _stopped(after) > _stopped(before):
        return Cue.PROBLEM
    if before.patient.previous or after.patient.previous:
        return None
    if (before.state, before.study_uid, before.revision) == (after.state, after.study_uid, after.revision):
        return None
    if after.state in _PROBLEMS and after.state is not before.state:
        return Cue.PROBLEM
    if after.state in _READABLE and before.state is not _S.READ_FIRST and not before.locked:
        return Cue.RESULT
    return Cue.COMPLETE if after.state in _WORKING and before.state not in _WORKING else None


def _stopped(model: ScreenModel) -> int:
    """Return how many processes the screen says have stopped, as its state or beside a result."""
    return len(model.alerts) + (model.state in _STOPPED)


def cue_wav(cue: Cue, volume_percent: int) -> bytes:
    """Return a cue as a WAV file, mono 16 bit: one tone that swells, glides and fades, without a gap."""
    length_s, pitches = _GLIDES_HZ[cue]
    count = round(length_s * CUE_SAMPLE_RATE_HZ)
    share = np.linspace(0.0, 1.0, count)
    pitch = np.interp(share, np.linspace(0.0, 1.0, len(pitches)), pitches)
    phase = 2 * np.pi * np.cumsum(pitch) / CUE_SAMPLE_RATE_HZ
    swell = np.minimum(np.minimum(share / 0.12, (1 - share) / 0.3), 1.0)
    tone = (np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)) / 1.5
    samples = np.round(tone * swell * 32_000 * volume_percent / 100).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(CUE_SAMPLE_RATE_HZ)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
