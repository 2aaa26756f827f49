"""The words and marks around the CT image: corner texts, slice strip and key slices. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edge_app.core.types import StudyResult
from edge_app.ui import formats
from edge_app.ui.result_texts import named_finding
from edge_app.ui.screen_model import KeySlice, StripBar, ViewTexts
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.strings import text
from edge_app.ui.viewer import ViewerModel

__all__ = ["key_slices", "strip_bars", "strip_thresholds", "study_time", "view_texts"]


def view_texts(
    snapshot: Snapshot, study: StudyView | None, viewer: ViewerModel, language: str, *, hidden: bool, heat_map: bool
) -> ViewTexts:
    """Return what is written over the CT image (R53); `hidden` leaves out who it is."""
    burnt_in = text("not_diagnostic_display", language)
    numbers = (
        f"W {viewer.preset.width_hu} L {viewer.preset.centre_hu}",
        f"×{formats.number(viewer.scale, language, 1)}",
    )
    if study is None or viewer.current is None:
        return ViewTexts((), (), (), (), "", False, text("no_images", language) if study else "", "")
    patient = study.patient
    frame = next((frame for frame in snapshot.frames if frame.sop_uid == viewer.current), None)
    position = frame.position_mm if frame else None
    place = [] if position is None else [f"z {formats.millimetres(position, language, 1)}"]
    thickness = patient.get("slice_thickness_mm")
    if isinstance(thickness, int | float):
        place.append(formats.millimetres(thickness, language))
    scanned = formats.when(patient.get("acquired_at"))
    return ViewTexts(
        top_left=tuple(
            part
            for part in (formats.person_name(patient.get("name"), 17), formats.clean(patient.get("id"), 17))
            if part and not hidden
        ),
        top_right=tuple(
            part
            for part in (
                _scan_time(scanned, language) if scanned else study_time(patient, language),
                formats.clean(patient.get("manufacturer_model"), 24),
            )
            if part
        ),
        bottom_left=(" · ".join(place), f"{viewer.index + 1} / {len(viewer.slices)}"),
        bottom_right=numbers,
        burnt_in=burnt_in,
        letters=position is not None,
        placeholder=text("cannot_show" if frame is not None and frame.path is None else "loading", language),
        caption=text("heat_caption", language) if heat_map else "",
    )


def _scan_time(scanned: datetime, language: str) -> str:
    return f"{formats.date_text(scanned.strftime('%Y%m%d'), language)} {scanned:%H:%M}"


def strip_bars(viewer: ViewerModel, result: StudyResult | None) -> tuple[StripBar, ...]:
    """Return the bar of every slice: the probability of the finding that the result names (R52)."""
    values: dict[str, float] = {}
    keys: tuple[str, ...] = ()
    if result is not None:
        keys = result.key_slices
        name = named_finding(result)
        for row in result.slices:
            if row.probabilities:
                values[row.sop_uid] = row.probabilities.get(name, 0.0)
    return tuple(StripBar(values.get(uid), uid in keys) for uid in viewer.slices)


def strip_thresholds(snapshot: Snapshot, result: StudyResult | None) -> tuple[float, ...]:
    """Return the thresholds of the finding that the strip shows; nothing where the model's are not known."""
    facts = snapshot.models.get(result.model.sha256) if result and result.model else None
    return facts.thresholds.get(named_finding(result), ()) if facts and result else ()


def key_slices(viewer: ViewerModel, result: StudyResult | None, seen: frozenset[str]) -> tuple[KeySlice, ...]:
    """Return the key slices that are in the series in view, the most suspicious first (R33)."""
    if result is None:
        return ()
    numbers = {uid: number for number, uid in enumerate(viewer.slices, start=1)}
    return tuple(
        KeySlice(uid, numbers[uid], uid == viewer.current, uid in seen)
        for uid in result.key_slices[:5]
        if uid in numbers
    )


def study_time(patient: Mapping[str, Any], language: str) -> str:
    """Return date and time of the study (StudyDate, StudyTime) as far as they are known."""
    day = formats.date_text(patient.get("study_date"), language)
    digits = str(patient.get("study_time") or "")
    clock = f"{digits[:2]}:{digits[2:4]}" if digits[:4].isascii() and digits[:4].isdigit() else ""
    return " ".join(part for part in (day, clock) if part)
