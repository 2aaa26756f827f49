"""The words of the result panel, state by state. No Qt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge_app.core.errors import ConfigError
from edge_app.core.reasons import TEXTS as REASON_TEXTS
from edge_app.core.types import Reason, StudyResult, Verdict
from edge_app.store.choices import SERIES_CHOSEN
from edge_app.triage.decision import ISCHAEMIA_TOO
from edge_app.ui import formats
from edge_app.ui.facts import Moment, facts_of, waits_in_vain, waits_s
from edge_app.ui.screen_model import Progress, ResultTexts
from edge_app.ui.second_reading import contradiction
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import RESULT_STATES, TERMINAL_STATES, ScreenState
from edge_app.ui.strings import STRINGS, reason_text, text

__all__ = ["about_ischaemia", "evidence", "has_score", "named_finding", "result_texts", "second_finding"]

_BANDS = {
    ScreenState.HAEMORRHAGE: ("hemorrhage", "high"),
    ScreenState.ISCHAEMIC: ("ischemic", "high"),
    ScreenState.NONE_DETECTED: ("hemorrhage", "low"),
    ScreenState.INDETERMINATE: ("hemorrhage", "middle"),
}
"""Which class's probability a state shows, and on which side of the two thresholds the verdict says it lies (R25)."""

RESULT_OF = {
    Verdict.HEMORRHAGE: ScreenState.HAEMORRHAGE,
    Verdict.ISCHEMIC: ScreenState.ISCHAEMIC,
    Verdict.NONE_DETECTED: ScreenState.NONE_DETECTED,
    Verdict.INDETERMINATE: ScreenState.INDETERMINATE,
}

_UNDER_WAY = (ScreenState.RECEIVING, ScreenState.CHECKING, ScreenState.ANALYSING)

_SCORE_DECIDED = "Q-19"
"""The reason of INDETERMINATE that is about a score; any other (image quality, unlike training) hides the score."""


def result_texts(
    state: ScreenState, snapshot: Snapshot, study: StudyView | None, language: str, now: Moment
) -> ResultTexts:
    """Return the result panel's words for a state."""
    result = study.result if study else None
    reason = result.reasons[0] if result and result.reasons else None
    progress = study.progress if study else {}
    receive = snapshot.heartbeats.get("receive")
    detail: Mapping[str, Any] = receive.detail if receive else {}
    images = study.images if study else 0
    if state in (ScreenState.ANALYSING, ScreenState.CHECKING):
        # Of the series that is analysed; localizers and other series do not count.
        images = progress.get("images") or images
    values: dict[str, object] = {
        "images": images,
        "expected": progress.get("expected"),
        "analysed": progress.get("analysed") or 0,
        "reason": _reason(reason, language),
        "aet": formats.clean(detail.get("aet") or "", 16),
        "host": formats.clean(detail.get("host") or "", 40),
        "port": detail.get("port") or "",
        **_unfit_words(state, snapshot, language, now),
        "waited": formats.elapsed(waits_s(snapshot, now) or 0.0) if waits_in_vain(snapshot, now) else "",
        "silent": formats.elapsed(now.monotonic_s - (snapshot.last_peer_s or snapshot.started_s)),
    }
    note = text(f"note.{state.value}", language, **values)
    if state in RESULT_STATES and result is not None:
        note = _second_line(state, result, reason, language)
    elif refused := _refusal(state, snapshot):
        note = text("note.refused", language, what=refused)
    elif state in (ScreenState.ANALYSING, ScreenState.CHECKING) and study is not None:
        note = _estimate(snapshot, study, language, now) or note
    return ResultTexts(
        headline=tuple(text(f"head.{state.value}", language).split("\n")),
        lead=_lead(state, study, language, values),
        score=_score(state, result, reason, language),
        note=note,
        evidence=evidence(snapshot, result, language) if state in RESULT_STATES else "",
        second=contradiction(study, state, language),
        tag=ConfigError.code if _refusal(state, snapshot) else _tag(state, snapshot, result, reason, language, now),
        hint=text("about_hint", language) if state in RESULT_STATES else "",
        progress=_progress(state, progress, language),
    )


def _refusal(state: ScreenState, snapshot: Snapshot) -> str:
    """Return why a process that is not there refused its settings, without the file's path; "" if it did not."""
    process = {ScreenState.RECEIVER_STOPPED: "receive", ScreenState.AI_STOPPED: "work"}.get(state)
    beat = snapshot.heartbeats.get(process) if process else None
    if beat is None or beat.boot_id != snapshot.boot_id:
        return ""
    return formats.clean(re.sub(r"^settings file \S+: ", "", str(beat.detail.get("refused") or "")), 90)


def _second_line(state: ScreenState, result: StudyResult, reason: Reason | None, language: str) -> str:
    """Return what stands beside the result: the second finding with its own score (R04, R22), or why it is open."""
    if state is ScreenState.HAEMORRHAGE:
        return second_finding(result, language)
    return _reason(reason, language) if state is ScreenState.INDETERMINATE else ""


def second_finding(result: StudyResult, language: str) -> str:
    """Return that ischaemic signs are suspected beside a haemorrhage, with their score; "" where they are not."""
    if ISCHAEMIA_TOO not in result.quality or result.probabilities is None:
        return ""
    return text("ischaemia_too_score", language, score=formats.percent(result.probabilities["ischemic"]))


def evidence(snapshot: Snapshot, result: StudyResult | None, language: str) -> str:
    """Return the score in natural frequencies (R26); only haemorrhage scores were counted in validation."""
    state = RESULT_OF.get(result.verdict) if result and result.verdict else None
    if result is None or result.model is None or state is None or result.probabilities is None:
        return ""
    facts, reason = snapshot.models.get(result.model.sha256), result.reasons[0] if result.reasons else None
    if facts is None or not facts.reliability or not _score(state, result, reason, language):
        return ""
    if state is ScreenState.ISCHAEMIC or about_ischaemia(state, reason):
        return ""
    like = facts.like(result.probabilities["hemorrhage"])
    if like is None:
        return text("frequency_none", language)
    if like.fewer_than is not None:
        return text("frequency_below", language, count=like.fewer_than, n=like.n)
    if like.more_than is not None:
        return text("frequency_above", language, count=like.more_than, n=like.n)
    return text("frequency", language, count=like.of_hundred, n=like.n)


def _estimate(snapshot: Snapshot, study: StudyView, language: str, now: Moment) -> str:
    """Return the time spent and the usual one, from this device's own results (F10); "" without history."""
    if snapshot.usual_s is None or study.last_image_s is None:
        return ""
    spent, usual = max(round(now.monotonic_s - study.last_image_s), 0), max(round(snapshot.usual_s), 1)
    return text("usual", language, spent=spent, usual=usual)


def _lead(state: ScreenState, study: StudyView | None, language: str, values: Mapping[str, object]) -> str:
    if state in _UNDER_WAY and study is not None and study.result_instance_id:
        newer = study.last_instance_id > study.result_instance_id
        return text("lead.changed" if newer or SERIES_CHOSEN not in study.crew else "lead.other_series", language)
    if state is ScreenState.RECEIVING:
        if values["expected"]:
            return text("lead.receiving_expected", language, **values)
        if values["images"] == 1:
            return text("lead.receiving_one", language)
    if state is ScreenState.SCANNER_SILENT and values["waited"]:
        return text("lead.no_images", language, **values)
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


def named_finding(result: StudyResult) -> str:
    """Return the class that a result names: ischaemic signs also where their score lies between the thresholds."""
    reason = result.reasons[0] if result.reasons else None
    state = RESULT_OF.get(result.verdict) if result.verdict else None
    ischaemic = state is ScreenState.ISCHAEMIC or (state is not None and about_ischaemia(state, reason))
    return "ischemic" if ischaemic else "hemorrhage"


def has_score(state: ScreenState, reason: Reason | None) -> bool:
    """Return whether a score is said: never beside INDETERMINATE for another reason than the score itself."""
    if state is ScreenState.INDETERMINATE:
        return reason is not None and reason.code == _SCORE_DECIDED
    return state in RESULT_STATES


def _score(state: ScreenState, result: StudyResult | None, reason: Reason | None, language: str) -> str:
    if not has_score(state, reason) or result is None or result.probabilities is None:
        return ""
    name, band = _BANDS[state]
    if about_ischaemia(state, reason):
        name = "ischemic"
    score = formats.percent(result.probabilities[name])
    return text(f"score.{state.value}", language, score=score, band=text(f"band.{band}", language))


def _first_unfit(snapshot: Snapshot, now: Moment) -> str:
    """Return the code that is said: the first that the watch found and no other state says."""
    unfit = facts_of(snapshot, None, now).unfit
    return unfit[0] if unfit else ""


def _unfit_words(state: ScreenState, snapshot: Snapshot, language: str, now: Moment) -> dict[str, str]:
    if state is not ScreenState.NOT_FIT:
        return {}
    code = _first_unfit(snapshot, now)
    known = code if f"unfit.{code}" in STRINGS else "other"
    return {key: text(f"{key}.{known}", language) for key in ("unfit", "unfit_note")}


def _tag(
    state: ScreenState,
    snapshot: Snapshot,
    result: StudyResult | None,
    reason: Reason | None,
    language: str,
    now: Moment,
) -> str:
    codes = {
        ScreenState.STALLED: "E-203",
        ScreenState.MODEL_MISSING: "E-101",
        ScreenState.AI_STOPPED: "E-600",
        ScreenState.RECEIVER_STOPPED: "E-600",
        ScreenState.DISK_FULL: "E-201",
        ScreenState.DISK_LOW: "E-204",
        ScreenState.SCANNER_SILENT: "E-202",
        ScreenState.CLOCK_BAD: "E-301",
        ScreenState.DEGRADED: "E-105",
    }
    if state is ScreenState.NOT_FIT:
        return _first_unfit(snapshot, now)
    if state in codes:
        return codes[state]
    if result is not None and state in TERMINAL_STATES - RESULT_STATES:
        return reason.code if reason else "E-104"
    if state is ScreenState.FAILED:
        return "E-104"
    if result is not None and state is ScreenState.INDETERMINATE and reason is not None:
        return reason.code
    if result is not None and result.revision > 1:
        return text("revised", language, revision=result.revision)
    return ""


def _progress(state: ScreenState, progress: Mapping[str, Any], language: str) -> Progress | None:
    if state not in _UNDER_WAY:
        return None
    covered, needed = progress.get("coverage_mm"), progress.get("needed_mm")
    if not isinstance(covered, int | float) or not isinstance(needed, int | float) or needed <= 0:
        return None
    words = text("coverage", language, covered=round(covered), needed=round(needed))
    return Progress(min(max(covered / needed, 0.0), 1.0), words)
