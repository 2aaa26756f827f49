"""The words of the result panel, state by state. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_app.core.reasons import TEXTS as REASON_TEXTS
from edge_app.core.types import Reason, StudyResult
from edge_app.triage.decision import ISCHAEMIA_TOO
from edge_app.ui import formats
from edge_app.ui.screen_model import Progress, ResultTexts
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import RESULT_STATES, ScreenState
from edge_app.ui.strings import reason_text, text

__all__ = ["about_ischaemia", "result_texts"]

_BANDS = {
    ScreenState.HAEMORRHAGE: ("hemorrhage", "high"),
    ScreenState.ISCHAEMIC: ("ischemic", "high"),
    ScreenState.NONE_DETECTED: ("hemorrhage", "low"),
    ScreenState.INDETERMINATE: ("hemorrhage", "middle"),
}
"""Which class's probability a state shows, and on which side of the two thresholds the verdict says it lies (R25)."""

_SCORE_DECIDED = "Q-19"
"""The reason of INDETERMINATE that is about a score; any other (image quality, unlike training) hides the score."""


def result_texts(state: ScreenState, snapshot: Snapshot, study: StudyView | None, language: str) -> ResultTexts:
    """Return the result panel's words for a state."""
    result = study.result if study else None
    reason = result.reasons[0] if result and result.reasons else None
    progress = study.progress if study else {}
    receive = snapshot.heartbeats.get("receive")
    detail: Mapping[str, Any] = receive.detail if receive else {}
    images = study.images if study else 0
    if state is ScreenState.ANALYSING:  # of the series that is analysed; localizers and other series do not count
        images = progress.get("images") or images
    values: dict[str, object] = {
        "images": images,
        "expected": progress.get("expected"),
        "analysed": progress.get("analysed") or 0,
        "reason": _reason(reason, language),
        "aet": formats.clean(detail.get("aet") or "", 16),
        "host": formats.clean(detail.get("host") or "", 40),
        "port": detail.get("port") or "",
    }
    note = text(f"note.{state.value}", language, **values)
    if state is ScreenState.INDETERMINATE:
        note = _reason(reason, language)
    if state is ScreenState.HAEMORRHAGE and result is not None and ISCHAEMIA_TOO in result.quality:
        note = text("ischaemia_too", language)  # the second line of R04
    return ResultTexts(
        headline=tuple(text(f"head.{state.value}", language).split("\n")),
        lead=_lead(state, study, language, values),
        score=_score(state, result, reason, language),
        note=note,
        tag=_tag(state, result, reason, language),
        progress=_progress(state, progress, language),
    )


def _lead(state: ScreenState, study: StudyView | None, language: str, values: Mapping[str, object]) -> str:
    if state in (ScreenState.RECEIVING, ScreenState.ANALYSING) and study is not None and study.result_instance_id:
        return text("lead.changed", language)
    if state is ScreenState.RECEIVING:
        if values["expected"]:
            return text("lead.receiving_expected", language, **values)
        if values["images"] == 1:
            return text("lead.receiving_one", language)
    return text(f"lead.{state.value}", language, **values)


def _reason(reason: Reason | None, language: str) -> str:
    if reason is None:
        return ""
    words = reason_text(reason.code, language)
    # The detail in brackets (positions, numbers) is the same in every language.
    english = REASON_TEXTS.get(reason.code, "")
    if words and english and reason.text.startswith(english):
        detail = reason.text[len(english) :]
        for key in ("finding.haemorrhage", "finding.ischaemic"):
            detail = detail.replace(f"({text(key, 'en')})", f"({text(key, language)})")
        return formats.clean(words + detail, 90)
    return formats.clean(words or reason.text, 90)


def about_ischaemia(state: ScreenState, reason: Reason | None) -> bool:
    """Return whether INDETERMINATE is about ischaemic signs: their score lies between the thresholds."""
    return (
        state is ScreenState.INDETERMINATE
        and reason is not None
        and reason.code == _SCORE_DECIDED
        and text("finding.ischaemic", "en") in reason.text
    )


def _score(state: ScreenState, result: StudyResult | None, reason: Reason | None, language: str) -> str:
    if state not in RESULT_STATES or result is None or result.probabilities is None:
        return ""
    if state is ScreenState.INDETERMINATE and (reason is None or reason.code != _SCORE_DECIDED):
        return ""
    name, band = _BANDS[state]
    if about_ischaemia(state, reason):
        name = "ischemic"
    score = formats.percent(result.probabilities[name])
    return text(f"score.{state.value}", language, score=score, band=text(f"band.{band}", language))


def _tag(state: ScreenState, result: StudyResult | None, reason: Reason | None, language: str) -> str:
    codes = {
        ScreenState.STALLED: "E-203",
        ScreenState.MODEL_MISSING: "E-101",
        ScreenState.AI_STOPPED: "E-600",
        ScreenState.RECEIVER_STOPPED: "E-600",
        ScreenState.DISK_FULL: "E-201",
    }
    if state in codes:
        return codes[state]
    if result is not None and state not in RESULT_STATES:
        return reason.code if reason else "E-104"
    if state is ScreenState.FAILED:
        return "E-104"
    if result is not None and state is ScreenState.INDETERMINATE and reason is not None:
        return reason.code
    if result is not None and result.revision > 1:
        return text("revised", language, revision=result.revision)
    return ""


def _progress(state: ScreenState, progress: Mapping[str, Any], language: str) -> Progress | None:
    if state not in (ScreenState.RECEIVING, ScreenState.ANALYSING):
        return None
    covered, needed = progress.get("coverage_mm"), progress.get("needed_mm")
    if not isinstance(covered, int | float) or not isinstance(needed, int | float) or needed <= 0:
        return None
    words = text("coverage", language, covered=round(covered), needed=round(needed))
    return Progress(min(max(covered / needed, 0.0), 1.0), words)
