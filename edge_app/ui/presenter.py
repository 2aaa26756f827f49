"""Snapshot and viewer state in, every text on the screen out. No Qt, no clock, no store: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_app.core.types import StudyResult, Verdict
from edge_app.triage.decision import ISCHAEMIA_OFF, ISCHAEMIA_TOO
from edge_app.ui import formats
from edge_app.ui.result_texts import about_ischaemia, result_texts
from edge_app.ui.screen_model import (
    ActionTexts,
    Band,
    BandKind,
    CaseRow,
    Clock,
    PatientTexts,
    PresetTexts,
    ScreenModel,
    StatusItem,
)
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import LOOKS, ScreenState, is_alive, state_of, study_state
from edge_app.ui.strings import text
from edge_app.ui.view_texts import key_slices, strip_bars, study_time, view_texts
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.windowing import PRESETS

__all__ = ["Moment", "present"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks: `monotonic_s` for spans, `local` (aware) for the wall clock."""

    monotonic_s: float
    local: datetime


def present(
    snapshot: Snapshot,
    viewer: ViewerModel,
    language: str,
    now: Moment,
    *,
    shown_uid: str | None = None,
    ischaemia_validated: bool = False,
) -> ScreenModel:
    """Return every text on the screen.

    Parameters
    ----------
    shown_uid
        The study chosen from the case list, or None for the newest one.
    ischaemia_validated
        False marks ischaemic signs UNVALIDATED (R06).
    """
    current = snapshot.current
    study = snapshot.find(shown_uid) or current
    previous = study is not None and current is not None and study.study_uid != current.study_uid
    state = state_of(snapshot, now.monotonic_s, study.study_uid if study else None)
    # A result is withdrawn as soon as the study is no longer in its terminal state (R10).
    result = study.result if study else None
    return ScreenModel(
        state=state,
        look=LOOKS[state],
        study_uid=study.study_uid if study else None,
        revision=result.revision if result else 0,
        bands=_bands(snapshot, result, language, ischaemia_validated=ischaemia_validated),
        patient=_patient(study, language, previous=previous),
        clocks=_clocks(study, language, now),
        result=result_texts(state, snapshot, study, language),
        view=view_texts(snapshot, study, viewer, language),
        strip=strip_bars(viewer, result),
        strip_ends=(text("head_end", language), text("foot_end", language)),
        strip_index=viewer.index,
        key_slices=key_slices(viewer, result),
        key_label=text("key_slices", language),
        presets=tuple(
            PresetTexts(
                text(f"preset.{preset.key}", language),
                f"{preset.width_hu} / {preset.centre_hu}",
                preset == viewer.preset,
                preset,
            )
            for preset in PRESETS
        ),
        info=_info(study, result, language),
        actions=ActionTexts(
            cases=text("action.cases", language),
            theme=text("action.theme", language),
            language=text("action.language", language),
            zoom=f"{text('action.zoom', language)}\n×{viewer.zoom:.1f}",
            current=text("action.current", language) if previous else "",
            close=text("action.close", language),
            newer=text("action.newer", language),
            older=text("action.older", language),
            no_cases=text("cases.empty", language),
        ),
        footer=text("disclaimer", language),
        status=_status(snapshot, language, now.monotonic_s),
        cases=tuple(_case(row, index == 0, language, now) for index, row in enumerate(snapshot.studies)),
    )


def _bands(
    snapshot: Snapshot, result: StudyResult | None, language: str, *, ischaemia_validated: bool
) -> tuple[Band, ...]:
    beat = snapshot.heartbeats.get("work")
    model = result.model if result else None
    synthetic = model.synthetic if model else bool(_model_of(beat.detail if beat else {}).get("synthetic"))
    bands = []
    if synthetic:
        bands.append(Band(BandKind.SYNTHETIC, text("synthetic", language)))
    if result and _speaks_of_ischaemia(result) and not ischaemia_validated:
        bands.append(Band(BandKind.UNVALIDATED, text("unvalidated", language)))
    return tuple(bands)


def _speaks_of_ischaemia(result: StudyResult) -> bool:
    reason = result.reasons[0] if result.reasons else None
    between = result.verdict is Verdict.INDETERMINATE and about_ischaemia(ScreenState.INDETERMINATE, reason)
    return result.verdict is Verdict.ISCHEMIC or ISCHAEMIA_TOO in result.quality or between


def _model_of(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    model = detail.get("model")
    return model if isinstance(model, Mapping) else detail


def _patient(study: StudyView | None, language: str, *, previous: bool) -> PatientTexts:
    if study is None:
        return PatientTexts(text("no_patient", language), "", "")
    patient = study.patient
    name = formats.person_name(patient.get("name")) or text("name_unknown", language)
    birth = formats.date_text(patient.get("birth_date"), language)
    age = formats.age_years(patient.get("birth_date"), patient.get("study_date"), patient.get("age"))
    sex = formats.clean(patient.get("sex"), 8)
    about = " ".join(part for part in (str(age) if age is not None else "", sex) if part)
    identifier, accession = formats.clean(patient.get("id"), 20), formats.clean(patient.get("accession"), 16)
    parts = [
        " ".join(part for part in (f"*{birth}" if birth else "", f"({about})" if about else "") if part),
        text("id", language, id=identifier) if identifier else "",
        text("accession", language, accession=accession) if accession else "",
        study_time(patient, language),
    ]
    return PatientTexts(
        name, "    ".join(part for part in parts if part), text("previous", language) if previous else ""
    )


def _clocks(study: StudyView | None, language: str, now: Moment) -> tuple[Clock, ...]:
    clocks = [Clock("", now.local.strftime("%H:%M:%S"))]
    if study is None:
        return tuple(clocks)
    scan = formats.when(study.patient.get("acquired_at"))
    if scan is not None:
        since_s = (now.local.replace(tzinfo=None) - scan).total_seconds()
        # Another day's scan, or one from the future, is a time of day, not a running clock.
        value = f"+{formats.elapsed(since_s)}" if 0 <= since_s < _DAY_S else f"{scan:%H:%M}"
        clocks.append(Clock(text("clock.scan", language), value))
    if study.last_image_s is not None:
        spent = formats.elapsed(now.monotonic_s - study.last_image_s)
        clocks.append(Clock(text("clock.last_image", language), f"+{spent}"))
    if study.result_s is not None and study.result is not None:
        spent = formats.elapsed(now.monotonic_s - study.result_s)
        clocks.append(Clock(text("clock.result", language), f"+{spent}"))
    return tuple(clocks)


def _info(study: StudyView | None, result: StudyResult | None, language: str) -> tuple[str, ...]:
    if study is None:
        return ()
    patient = study.patient
    series = []
    if patient.get("series_number") is not None:
        series.append(text("series", language, number=formats.clean(patient["series_number"], 8)))
    thickness = patient.get("slice_thickness_mm")
    if isinstance(thickness, int | float):
        series.append(f"{thickness:g} mm")
    series += [formats.clean(patient.get("kernel"), 12)]
    count = len(result.slices) if result else study.images
    series.append(text("images", language, count=count) if count else "")
    lines = [" · ".join(part for part in series if part)]
    if result is not None:
        made_by = []
        if result.model is not None:
            name, version = formats.clean(result.model.name, 24), formats.clean(result.model.version, 12)
            made_by.append(text("model", language, name=name, version=version))
        made_by.append(formats.clean(result.backend, 24))
        lines.append(" · ".join(part for part in made_by if part))
        if result.quality:
            lines.append(_remarks(result, language))
    return tuple(line for line in lines if line)


def _remarks(result: StudyResult, language: str) -> str:
    known = {ISCHAEMIA_TOO: "ischaemia_too", ISCHAEMIA_OFF: "ischaemia_off"}
    remarks = [text(known[remark], language) if remark in known else remark for remark in result.quality]
    return formats.clean(" · ".join(remarks), 52)


def _status(snapshot: Snapshot, language: str, now_s: float) -> tuple[StatusItem, ...]:
    items = []
    for process, key in (("receive", "ct"), ("work", "ai")):
        alive = is_alive(snapshot, process, now_s)
        detail = snapshot.heartbeats[process].detail if alive else {}
        if alive is None:
            items.append(StatusItem(text("footer.waiting", language), good=True))
        elif not alive or detail.get("problem"):
            items.append(StatusItem(text(f"footer.{key}_off", language), good=False))
        elif process == "work":
            version = formats.clean(_model_of(detail).get("version"), 12)
            items.append(StatusItem(text("footer.ai_ok", language, version=version).strip(), good=True))
        else:
            items.append(StatusItem(text("footer.ct_ok", language), good=True))
            items += _disk(detail, language)
    return tuple(items)


def _disk(detail: Mapping[str, Any], language: str) -> list[StatusItem]:
    if detail.get("low_disk"):
        return [StatusItem(text("footer.disk_low", language), good=False)]
    free, total = detail.get("free_bytes"), detail.get("total_bytes")
    if isinstance(free, int) and isinstance(total, int) and total > 0:
        used = formats.percent(min(max(1.0 - free / total, 0.0), 1.0))
        return [StatusItem(text("footer.disk", language, percent=used), good=True)]
    return []


def _case(study: StudyView, current: bool, language: str, now: Moment) -> CaseRow:
    state = study_state(study, now.monotonic_s)
    status = text(f"head.{state.value}", language).replace("-\n", "-").replace("\n", " ")
    if state in (ScreenState.NO_AI_RESULT, ScreenState.FAILED) and study.result and study.result.reasons:
        status += f"  {study.result.reasons[0].code}"
    details = [formats.clean(study.patient.get("id"), 20), study_time(study.patient, language)]
    return CaseRow(
        study_uid=study.study_uid,
        name=formats.person_name(study.patient.get("name"), 28) or text("name_unknown", language),
        details="    ".join(part for part in details if part),
        status=status,
        look=LOOKS[state],
        current=current,
    )
