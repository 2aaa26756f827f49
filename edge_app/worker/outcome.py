"""What became of a study, as the `StudyResult` that the ledger keeps and the command line prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from edge_app.core.reasons import SERIES_TEXTS, reason
from edge_app.core.types import (
    CLASSES,
    Reason,
    SeriesOption,
    SliceResult,
    SliceScores,
    StudyResult,
    StudyStatus,
)
from edge_app.series.selection import Candidate, Selection
from edge_app.worker.models import Models

__all__ = ["merge_reasons", "named", "series_options", "slice_rows", "start_result", "unfinished"]

DIGITS = 6
"""Decimals of the probabilities in a result: far finer than any threshold, and the same text on every machine."""


def start_result(
    study_uid: str,
    selection: Selection,
    shown: Candidate | None,
    reasons: tuple[Reason, ...],
    scores: Mapping[str, SliceScores],
    models: Models | None,
) -> StudyResult:
    """Return the result as far as it is known before the patient network: final if there are reasons against one."""
    return StudyResult(
        study_uid=study_uid,
        patient_id=shown.headers[0].patient_id if shown else "",
        status=StudyStatus.NO_RESULT if reasons else StudyStatus.RESULT,
        verdict=None,
        probabilities=None,
        reasons=reasons,
        series_uid=shown.series_uid if shown else None,
        slices=slice_rows(shown, scores),
        model=models.identity if models else None,
        backend=models.backend_name if models else None,
        timings_ms={},
        quality=(*_chosen(selection), *(models.remarks if models else ())),
        series=series_options(selection, shown),
    )


def series_options(selection: Selection, shown: Candidate | None) -> tuple[SeriesOption, ...]:
    """Return every series with why it was analysed or not: the one that is shown first, then by number."""
    options = []
    for candidate in selection.candidates:
        first, stack = candidate.headers[0], candidate.stack
        chosen = candidate is selection.chosen
        options.append(
            SeriesOption(
                series_uid=candidate.series_uid,
                number=first.series_number,
                description=first.series_description,
                kernel=first.convolution_kernel,
                images=len(candidate.headers),
                thickness_mm=first.slice_thickness_mm,
                spacing_mm=round(stack.spacing_mm, 3) if stack else None,
                analysed=chosen,
                choosable=candidate.series_uid in selection.choosable,
                why=selection.why if chosen else selection.refused[candidate.series_uid],
            )
        )
    shown_uid = shown.series_uid if shown else ""
    return tuple(
        sorted(options, key=lambda o: (o.series_uid != shown_uid, o.number is None, o.number or 0, o.series_uid))
    )


def _chosen(selection: Selection) -> tuple[str, ...]:
    """Return the remark that says which of several series was analysed, and why."""
    chosen = selection.chosen
    if chosen is None or chosen.stack is None or len(selection.candidates) < 2:
        return ()
    kernel = f", kernel {chosen.headers[0].convolution_kernel}" if chosen.headers[0].convolution_kernel else ""
    what = f"{len(chosen.headers)} slices {chosen.stack.spacing_mm:.1f} mm apart{kernel}"
    return (f"chosen of {len(selection.candidates)} series: {SERIES_TEXTS[selection.why]}: {what}",)


def slice_rows(candidate: Candidate | None, scores: Mapping[str, SliceScores]) -> tuple[SliceResult, ...]:
    """Return the slice table of a series, foot to head; slices that were not scored have no probabilities.

    A series without positions is listed in the order of its SOP Instance UIDs, at the positions 0, 1, 2 …
    """
    if candidate is None:
        return ()
    count = len(candidate.headers)
    positions = candidate.stack.positions_mm if candidate.stack else tuple(map(float, range(count)))
    return tuple(
        SliceResult(
            header.sop_uid,
            round(position, 3),
            named(scores[header.sop_uid].probabilities) if header.sop_uid in scores else {},
        )
        for header, position in zip(candidate.headers, positions, strict=True)
    )


def named(probabilities: Iterable[float] | NDArray[Any]) -> dict[str, float]:
    """Return probabilities by class, rounded."""
    return {name: round(float(p), DIGITS) for name, p in zip(CLASSES, probabilities, strict=True)}


def merge_reasons(selection: Selection, gate: Sequence[Reason]) -> tuple[Reason, ...]:
    """Return one reason per code: why no series was chosen, then what the gate says of the nearest one.

    A series that only lies wrong is better told "not axial" than "no series that can be analysed".
    """
    lies_wrong = any(r.code == "Q-08" for r in gate)
    first = (selection.reason,) if selection.reason and not lies_wrong else ()
    by_code: dict[str, Reason] = {}
    for item in (*first, *gate):
        by_code.setdefault(item.code, item)
    return tuple(by_code.values())


def unfinished(
    study_uid: str, patient_id: str, code: str, detail: str, *, models: Models | None, waited_s: float
) -> StudyResult:
    """Return the outcome of a study that the program did not get through: timed out (E-102), or failed."""
    return StudyResult(
        study_uid=study_uid,
        patient_id=patient_id,
        status=StudyStatus.NO_RESULT if code == "E-102" else StudyStatus.FAILED,
        verdict=None,
        probabilities=None,
        reasons=(reason(code, detail),),
        series_uid=None,
        slices=(),
        model=models.identity if models else None,
        backend=models.backend_name if models else None,
        timings_ms={"last_slice_to_result": round(waited_s * 1e3, 3)},
    )
