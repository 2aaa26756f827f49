"""The hand-over card: everything the next team must know, as lines and as a QR text. No Qt (R76)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from edge_app.core.types import StudyResult
from edge_app.store.crew import CrewEntry
from edge_app.triage.decision import ISCHAEMIA_OFF
from edge_app.ui import formats
from edge_app.ui.facts import Moment, sending_is_off
from edge_app.ui.identity import case_tag, display_name, identifier_words, is_corrected
from edge_app.ui.notice_texts import notice_words
from edge_app.ui.result_texts import about_ischaemia, has_score, second_finding
from edge_app.ui.review import opinion_of, review_of
from edge_app.ui.rules import state_of
from edge_app.ui.second_reading import second_words
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import TERMINAL_STATES, ScreenState
from edge_app.ui.strings import text
from edge_app.ui.timers import lkw_of, local_time
from edge_app.ui.view_texts import study_time

__all__ = [
    "QR_BYTES",
    "Card",
    "card",
    "delivery_words",
    "lkw_words",
    "verdict_words",
]

QR_BYTES = 600
"""Most that the QR holds: version 19 at level M takes 624 bytes."""


@dataclass(frozen=True, slots=True)
class Card:
    """A hand-over card: (label, words) lines; `qr` holds neither name nor birth date."""

    title: str
    lines: tuple[tuple[str, str], ...]
    qr: str
    disclaimer: str
    marks: tuple[str, ...] = ()
    """What must be known of the model and the scanner: the screen's bands, for paper."""


def verdict_words(state: ScreenState, language: str) -> str:
    """Return a headline in one line."""
    return text(f"head.{state.value}", language).replace("-\n", "").replace("\n", " ")


def delivery_words(study: StudyView, language: str, now: Moment, *, off: bool) -> str:
    """Return how far a case is on its way to the centre."""
    count = study.delivery
    if count.failed or count.refused:
        return text("delivery.failed", language)
    if count.queued:
        return text("delivery.off" if off else "delivery.queued", language, objects=count.objects)
    if count.sent:
        return text("delivery.sent", language, at=local_time(count.last_utc, now) if count.last_utc else "")
    return text("delivery.none", language)


def card(
    snapshot: Snapshot,
    study: StudyView,
    language: str,
    now: Moment,
    state: ScreenState | None = None,
    *,
    hidden: bool = False,
) -> Card:
    """Return the card of a case as things are now; `state` is the study's, worked out where it is not given."""
    state = state_of(snapshot, study, now) if state is None else state
    if state is ScreenState.READ_FIRST:
        study = replace(study, result=None, result_s=None)  # nothing may tell what the AI says before (R35)
    result = study.result
    quality = " · ".join(result.quality) if result and result.quality else text("card.no_remarks", language)
    lines = [
        ("patient", _patient(study, language, now, hidden=hidden)),
        ("lkw", f"{_known_well(study, language, now)} · {text('clock.scan', language)} {_scan(study, language)}"),
        ("ai", _verdict(snapshot, study, state, language)),
        ("series", f"{_series(study, language)} · {formats.clean(quality, 60)}"),
        ("model", _model(result)),
        ("crew", f"{_crew(study, language, now)} · {_reviewed(study, language, now)}"),
        ("second", second_words(study, state, language, now)),
        (
            "sent",
            f"{delivery_words(study, language, now, off=sending_is_off(snapshot))} · {_notified(study, language, now)}",
        ),
    ]
    return Card(
        text("sheet.hand_over", language),
        tuple((text(f"card.{key}", language), formats.clean(words, 130)) for key, words in lines if words),
        _qr(study, state, now),
        text("disclaimer", language),
    )


def _known_well(study: StudyView, language: str, now: Moment) -> str:
    lkw = lkw_of(study)
    if lkw is None:
        return "-"
    words = [lkw_words(lkw.at, language, now)]
    if lkw.source:
        words.append(text(f"source.{lkw.source}", language))
    if lkw.by:
        words.append(_role(lkw.by, language))
    if lkw.changed:
        words.append(text("lkw.was", language, at=lkw_words(lkw.old, language, now)))
    return " ".join(words)


def lkw_words(at: datetime | None, language: str, now: Moment) -> str:
    """Return last known well as date and time without ambiguity (R84), or that it is unknown."""
    if at is None:
        return text("lkw.unknown", language)
    local = at.astimezone(now.local.tzinfo)
    return f"{formats.date_text(local.strftime('%Y%m%d'), language)} {local:%H:%M}"


def _scan(study: StudyView, language: str) -> str:
    """Return when the images were taken, as the clock on the screen has it; else when the study began."""
    scanned = formats.when(study.patient.get("acquired_at"))
    return f"{scanned:%H:%M}" if scanned else study_time({**study.patient, "study_date": ""}, language) or "-"


def _model(result: StudyResult | None) -> str:
    model = result.model if result else None
    return f"{model.name[:24]} {model.version[:12]} #{model.sha256[:8]}" if model else "-"


def _role(role: str, language: str) -> str:
    return f"({text(f'role.{role}', language)})" if role else ""


def _at(entry: CrewEntry | None, now: Moment) -> str:
    return local_time(entry.at_utc, now) if entry else ""


def _patient(study: StudyView, language: str, now: Moment, *, hidden: bool) -> str:
    confirmed = study.crew.get("identity")
    birth = "" if hidden else formats.date_text(study.patient.get("birth_date"), language)
    parts = [
        display_name(study, language, hidden=hidden),
        f"*{birth}" if birth else "",
        "" if hidden else identifier_words(study, language),
        text("card.confirmed", language, at=_at(confirmed, now)) if confirmed else text("card.unconfirmed", language),
    ]
    return " · ".join(part for part in parts if part)


def _verdict(snapshot: Snapshot, study: StudyView, state: ScreenState, language: str) -> str:
    parts = [verdict_words(state, language)]
    result = _said(study, state)
    reason = result.reasons[0] if result and result.reasons else None
    if reason:
        parts.append(reason.code)
    if result and result.probabilities and has_score(state, reason):
        name = "ischemic" if state is ScreenState.ISCHAEMIC or about_ischaemia(state, reason) else "hemorrhage"
        parts.append(formats.percent(result.probabilities[name]))
        facts = snapshot.models.get(result.model.sha256) if result.model else None
        if facts is not None and name in facts.thresholds:
            low, high = (formats.percent(value) for value in facts.thresholds[name])
            parts.append(text("card.point", language, low=low, high=high))
        if also := second_finding(result, language):
            parts.append(also)
    return " · ".join(parts)


def _said(study: StudyView, state: ScreenState) -> StudyResult | None:
    """Return the result that the state is about: with newer images, and nobody to read them, an older one is none."""
    return study.result if state in TERMINAL_STATES else None


def _ischaemic_score(result: StudyResult | None) -> str:
    if result is None or result.probabilities is None or ISCHAEMIA_OFF in result.quality:
        return ""
    return f"{result.probabilities['ischemic']:.2f}"


def _series(study: StudyView, language: str) -> str:
    patient, result = study.patient, study.result
    thickness = patient.get("slice_thickness_mm")
    parts = [
        formats.clean(patient.get("series_number"), 8),
        formats.millimetres(thickness, language) if isinstance(thickness, int | float) else "",
        formats.clean(patient.get("kernel"), 12),
        text("images", language, count=len(result.slices) if result else study.images),
    ]
    return " · ".join(part for part in parts if part)


def _crew(study: StudyView, language: str, now: Moment) -> str:
    opinion = opinion_of(study)
    if opinion is None:
        return text("card.no_opinion", language)
    words = text(f"opinion.{opinion.body['opinion']}", language)
    return f"{words} {_role(str(opinion.body.get('by') or ''), language)} {_at(opinion, now)}"


def _reviewed(study: StudyView, language: str, now: Moment) -> str:
    entry = review_of(study)
    if entry is None:
        return text("card.not_reviewed", language)
    return f"{text('card.reviewed', language, at=_at(entry, now))} {_role(str(entry.body.get('by') or ''), language)}"


def _notified(study: StudyView, language: str, now: Moment) -> str:
    return notice_words(study, language, now) or text("card.not_notified", language)


def _identity(study: StudyView) -> str:
    if is_corrected(study):
        return "CORRECTED"
    return "confirmed" if "identity" in study.crew else "UNCONFIRMED"


def _qr(study: StudyView, state: ScreenState, now: Moment) -> str:
    """Return the card for machines: English words, one `key=value` a line, no name and no birth date (R83)."""
    result, lkw, patient = study.result, lkw_of(study), study.patient
    said = _said(study, state)
    reason = said.reasons[0] if said and said.reasons else None
    scored = said if has_score(state, reason) else None
    opinion, second = opinion_of(study), study.crew.get("second_reading")
    values = {
        "v": "msu1",
        "tag": case_tag(study, "en"),
        "acc": formats.clean(patient.get("accession"), 16),
        "study": study.study_uid[:64],
        "lkw": ("unknown" if lkw.at is None else lkw.at.isoformat(timespec="minutes")) if lkw else "",
        "scan": formats.clean(patient.get("acquired_at"), 14),
        "ai": state.value,
        "code": reason.code if reason else "",
        "ph": f"{scored.probabilities['hemorrhage']:.2f}" if scored and scored.probabilities else "",
        "pi": _ischaemic_score(scored),
        "model": _model(result),
        "rev": str(result.revision) if result else "",
        "synthetic": "YES" if result and result.model and result.model.synthetic else "",
        "id": _identity(study),
        "crew": f"{opinion.body['opinion']} {opinion.body.get('by') or ''}" if opinion else "",
        "neuro": str(second.body.get("reading")) if second else "",
        "images": "reviewed" if review_of(study) else "not reviewed",
        "at": now.local.isoformat(timespec="minutes"),
        "note": "AI triage aid",
    }
    lines = "\n".join(f"{key}={value}" for key, value in values.items() if value)
    return lines.encode("utf-8")[:QR_BYTES].decode("utf-8", "ignore")
