"""Snapshot, viewer and desk in, everything on the screen out. No Qt, no clock, no store: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from edge_app.core.config import ScreenSettings
from edge_app.core.reasons import FALLBACK_REMARK, SCANNER_REMARK
from edge_app.core.types import StudyResult, Verdict
from edge_app.triage.decision import ISCHAEMIA_OFF, ISCHAEMIA_TOO
from edge_app.ui import formats
from edge_app.ui.actions import actions, heat_map_possible
from edge_app.ui.desk import Desk, Sheet, is_active
from edge_app.ui.facts import Moment, sending_is_off, waits_s
from edge_app.ui.hand_over import delivery_words, verdict_words
from edge_app.ui.identity import HIDDEN, display_name, identifier_words, is_corrected, similar_today
from edge_app.ui.result_texts import about_ischaemia, result_texts
from edge_app.ui.review import review_of
from edge_app.ui.rules import case_state, state_of
from edge_app.ui.screen_model import (
    ActionButton,
    Band,
    BandKind,
    CaseRow,
    CasesTexts,
    PatientTexts,
    PresetTexts,
    ScreenModel,
)
from edge_app.ui.sheets import sheet_model
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import LOOKS, ScreenState
from edge_app.ui.status_texts import alerts, model_of, status_items
from edge_app.ui.strings import text
from edge_app.ui.timers import clocks, window_bar
from edge_app.ui.view_texts import key_slices, strip_bars, strip_thresholds, study_time, view_texts
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.windowing import BUTTON_PRESETS

__all__ = ["awaited", "is_locked", "present", "shown_study"]


def shown_study(snapshot: Snapshot, shown_uid: str | None, desk: Desk, now: Moment) -> StudyView | None:
    """Return the study on the screen: the one chosen from the case list, else the current one; none when locked."""
    if is_locked(snapshot, desk, now):
        return None
    return snapshot.find(shown_uid) or snapshot.current


def is_locked(snapshot: Snapshot, desk: Desk, now: Moment) -> bool:
    """Return whether the lock hides all cases: it never does while one is active (R81)."""
    return desk.locked and not is_active(snapshot.current, now)


def awaited(snapshot: Snapshot, desk: Desk, now: Moment) -> StudyView | None:
    """Return the patient of whom there is nothing yet but what the crew has entered; None when locked."""
    if waits_s(snapshot, now) is None or is_locked(snapshot, desk, now):
        return None
    lkw = snapshot.announced_lkw
    return StudyView("", crew={} if lkw is None else {"lkw": lkw})


def present(
    snapshot: Snapshot,
    viewer: ViewerModel,
    desk: Desk,
    now: Moment,
    *,
    site: ScreenSettings,
    shown_uid: str | None = None,
    ischaemia_validated: bool = False,
) -> ScreenModel:
    """Return everything on the screen.

    Parameters
    ----------
    site
        What this vehicle has chosen: window length, read-first mode, the centre's name.
    shown_uid
        The study chosen from the case list, or None for the current one.
    ischaemia_validated
        False marks ischaemic signs UNVALIDATED (R06).
    """
    language = desk.language
    current, study = snapshot.current, shown_study(snapshot, shown_uid, desk, now)
    locked = is_locked(snapshot, desk, now)
    previous = study is not None and (current is None or study.study_uid != current.study_uid)
    state = state_of(snapshot, study, now, read_first=site.read_first, locked=locked)
    if study is not None and state is ScreenState.READ_FIRST:
        # Nothing on the screen may tell what the AI says before the crew has read (R35).
        study = replace(study, result=None, result_s=None)
    waiting = None if study else awaited(snapshot, desk, now)
    # A result is withdrawn as soon as the study is no longer in its terminal state (R10).
    result = study.result if study else None
    maps = heat_map_possible(state, snapshot.models.get(result.model.sha256) if result and result.model else None)
    return ScreenModel(
        state=state,
        look=LOOKS[state],
        study_uid=study.study_uid if study else None,
        revision=result.revision if result else 0,
        bands=_bands(snapshot, result, language, ischaemia_validated=ischaemia_validated),
        patient=_patient(snapshot, study or waiting, desk, now, previous=previous),
        clocks=clocks(study or waiting, language, now),
        window=None if previous else window_bar(study or waiting, language, now, site.window_min),
        result=result_texts(state, snapshot, study, language, now),
        view=view_texts(snapshot, study, viewer, language, hidden=desk.curtain, heat_map=desk.heat_map and maps),
        strip=strip_bars(viewer, result),
        strip_ends=(text("head_end", language), text("foot_end", language)),
        strip_index=viewer.index,
        thresholds=strip_thresholds(snapshot, result),
        key_slices=key_slices(viewer, result, study.seen if study else frozenset()),
        key_label=text("key_slices", language),
        presets=tuple(
            PresetTexts(
                text(f"preset.{preset.key}", language),
                f"{preset.width_hu} / {preset.centre_hu}",
                preset == viewer.preset,
                preset,
            )
            for preset in BUTTON_PRESETS
        ),
        alerts=alerts(snapshot, state, language, now.monotonic_s),
        info=_info(study, result, language),
        actions=actions(state, study, desk, previous=previous, awaited=waiting is not None, locked=locked),
        heat_map=ActionButton("heat_map", text("action.heat_map", language), desk.heat_map)
        if maps
        else ActionButton("", ""),
        sheet=sheet_model(snapshot, study, state, desk, now, site),
        clean=_clean(desk, now),
        full=desk.full and study is not None,
        locked=locked,
        muted=desk.muted_until_s is not None,
        cases_texts=CasesTexts(
            close=text("action.close", language),
            newer=text("action.newer", language),
            older=text("action.older", language),
            empty=text("cases.empty", language),
        ),
        footer=text("disclaimer", language),
        status=status_items(snapshot, desk, now.monotonic_s),
        cases=tuple(_case(snapshot, row, row is current, desk, now, site) for row in snapshot.studies if not locked),
    )


def _clean(desk: Desk, now: Moment) -> str:
    if desk.clean_until_s is None:
        return ""
    return text("clean", desk.language, seconds=max(round(desk.clean_until_s - now.monotonic_s), 0))


def _bands(
    snapshot: Snapshot, result: StudyResult | None, language: str, *, ischaemia_validated: bool
) -> tuple[Band, ...]:
    beat = snapshot.heartbeats.get("work")
    detail: Mapping[str, Any] = beat.detail if beat else {}
    model = result.model if result else None
    remarks = result.quality if result else ()
    finding = result is not None and _speaks_of_ischaemia(result) and not ischaemia_validated
    scanner = SCANNER_REMARK in remarks
    holds = {
        BandKind.SYNTHETIC: model.synthetic if model else bool(model_of(detail).get("synthetic")),
        BandKind.DEVELOPMENT_KEY: model.development_key if model else bool(model_of(detail).get("development_key")),
        BandKind.FALLBACK: any(remark.startswith(FALLBACK_REMARK) for remark in remarks)
        or (result is None and bool(detail.get("fallback"))),
        BandKind.UNVALIDATED: finding or scanner,
    }
    kinds = [kind for kind, true in holds.items() if true]
    short = {BandKind.SYNTHETIC: text("synthetic_short", language)}
    words = {kind: text(kind.value, language) for kind in kinds}
    if scanner:
        words[BandKind.UNVALIDATED] = text("unvalidated_both" if finding else "unvalidated_scanner", language)
    return tuple(Band(kind, words[kind], short.get(kind, words[kind])) for kind in kinds)


def _speaks_of_ischaemia(result: StudyResult) -> bool:
    reason = result.reasons[0] if result.reasons else None
    between = result.verdict is Verdict.INDETERMINATE and about_ischaemia(ScreenState.INDETERMINATE, reason)
    return result.verdict is Verdict.ISCHEMIC or ISCHAEMIA_TOO in result.quality or between


def _patient(snapshot: Snapshot, study: StudyView | None, desk: Desk, now: Moment, *, previous: bool) -> PatientTexts:
    language, nothing = desk.language, ActionButton("", "")
    if study is None:
        return PatientTexts(text("no_patient", language), "", "", "", False, nothing, nothing)
    if not study.study_uid:
        lkw = ActionButton(f"open:{Sheet.LKW.value}", text("action.lkw", language), "lkw" in study.crew)
        return PatientTexts(text("awaited", language), "", "", "", False, nothing, lkw)
    confirmed = "identity" in study.crew
    similar = similar_today(study, snapshot.studies)
    warning = "" if confirmed else text("unconfirmed", language)
    if study.order is not None and study.order.differs:
        warning = text("order.differs", language)
    elif similar:
        warning = text("similar", language)
    key = "action.confirmed" if confirmed else "action.confirm"
    return PatientTexts(
        display_name(study, language, hidden=desk.curtain),
        HIDDEN if desk.curtain else _details(study, language),
        text("previous", language) if previous else "",
        "" if previous else warning,
        unconfirmed=not confirmed,
        confirm=nothing if previous else ActionButton(f"open:{Sheet.CONFIRM.value}", text(key, language), confirmed),
        lkw=nothing if previous else _lkw_button(study, language, now),
    )


def _lkw_button(study: StudyView, language: str, now: Moment) -> ActionButton:
    """Return the button for last known well; what was entered before the scan waits there to be confirmed."""
    before = study.announced_lkw
    if "lkw" in study.crew or before is None:
        return ActionButton(f"open:{Sheet.LKW.value}", text("action.lkw", language), "lkw" in study.crew)
    at = datetime.fromisoformat(before.body["at"]).astimezone(now.local.tzinfo) if before.body.get("at") else None
    words = f"{at:%H:%M} ?" if at else f"{text('lkw.unknown', language)} ?"
    return ActionButton(f"open:{Sheet.LKW_READ_BACK.value}", f"{text('clock.lkw', language)}\n{words}")


def _details(study: StudyView, language: str) -> str:
    patient = study.patient
    birth = formats.date_text(patient.get("birth_date"), language)
    age = formats.age_years(patient.get("birth_date"), patient.get("study_date"), patient.get("age"))
    sex = formats.clean(patient.get("sex"), 8)
    about = " ".join(part for part in (str(age) if age is not None else "", sex) if part)
    # An order that fits gives what the scanner was not told.
    order = study.order.order if study.order else None
    accession = formats.clean(patient.get("accession") or (order.accession_number if order else ""), 16)
    parts = [
        " ".join(part for part in (f"*{birth}" if birth else "", f"({about})" if about else "") if part),
        identifier_words(study, language),
    ]
    if not is_corrected(study):  # the images' order is that of the other identifier; two of these leave no room
        parts += [
            text("accession", language, accession=accession) if accession else "",
            study_time(patient, language),
        ]
    return "   ".join(part for part in parts if part)


def _info(study: StudyView | None, result: StudyResult | None, language: str) -> tuple[str, ...]:
    if study is None:
        return ()
    patient = study.patient
    series = []
    if patient.get("series_number") is not None:
        series.append(text("series", language, number=formats.clean(patient["series_number"], 8)))
    thickness = patient.get("slice_thickness_mm")
    if isinstance(thickness, int | float):
        series.append(formats.millimetres(thickness, language))
    series += [formats.clean(patient.get("kernel"), 12)]
    count = len(result.slices) if result else study.images
    series.append(text("images", language, count=count) if count else "")
    lines = [_reviewed(study, result, language), " · ".join(part for part in series if part)]
    if result is not None:
        if remarks := _remarks(result, language):
            lines.append(remarks)
        if result.model is not None:
            name, version = formats.clean(result.model.name, 20), formats.clean(result.model.version, 12)
            lines.append(text("model", language, name=name, version=version))
        lines.append(formats.clean(result.backend, 24))
    return tuple(line for line in lines if line)


def _reviewed(study: StudyView, result: StudyResult | None, language: str) -> str:
    """Return how far the crew has looked at the images (R34)."""
    if review_of(study):
        return text("reviewed", language)
    if result is None or not result.key_slices:
        return ""
    seen = len(study.seen.intersection(result.key_slices[:5]))
    return text("keys_seen", language, seen=seen, count=min(len(result.key_slices), 5))


def _remarks(result: StudyResult, language: str) -> str:
    known = {ISCHAEMIA_TOO: "ischaemia_too", ISCHAEMIA_OFF: "ischaemia_off"}
    remarks = [
        text(known[remark], language) if remark in known else remark
        for remark in result.quality
        if not remark.startswith((FALLBACK_REMARK, SCANNER_REMARK))  # the bands say that
    ]
    return formats.clean(" · ".join(remarks), 38)


def _case(
    snapshot: Snapshot, study: StudyView, current: bool, desk: Desk, now: Moment, site: ScreenSettings
) -> CaseRow:
    language = desk.language
    state = case_state(study, now.monotonic_s, read_first=site.read_first)
    status = verdict_words(state, language)
    if state in (ScreenState.NO_AI_RESULT, ScreenState.FAILED) and study.result and study.result.reasons:
        status += f"  {study.result.reasons[0].code}"
    details = ["" if desk.curtain else formats.clean(study.patient.get("id"), 20), study_time(study.patient, language)]
    return CaseRow(
        study_uid=study.study_uid,
        name=display_name(study, language, 28, hidden=desk.curtain),
        details="    ".join(part for part in details if part),
        status=status,
        delivery=delivery_words(study, language, now, off=sending_is_off(snapshot)),
        look=LOOKS[state],
        current=current,
    )
