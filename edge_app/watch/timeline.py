"""When what happened to each case: the times a mobile stroke unit is judged by, without the patients.

A case is named by eight characters of its StudyInstanceUID's hash, as in the logs. Times are UTC; `scan` is the CT's
own clock (AcquisitionDateTime), taken as local time of the vehicle, so that `ct_clock_offset_s` shows how far the two
clocks are apart at least: an image cannot come before it was acquired.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone

from edge_app.core.logs import short
from edge_app.core.types import StudyStatus
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import self_test_uids

__all__ = ["CaseTimes", "case_times", "from_csv", "to_csv"]


@dataclass(frozen=True, slots=True)
class CaseTimes:
    """One case; empty where something did not happen (yet). Spans are seconds."""

    case: str
    scanner: str
    scan_utc: str
    first_slice_utc: str
    last_slice_utc: str
    result_utc: str
    seen_utc: str
    delivered_utc: str
    acknowledged_utc: str
    images: int
    status: str
    verdict: str
    scan_to_first_slice_s: float | None
    first_to_last_slice_s: float | None
    last_slice_to_result_s: float | None
    result_to_seen_s: float | None
    result_to_delivered_s: float | None
    result_to_acknowledged_s: float | None
    ct_clock_offset_s: float | None
    """Negative: the CT's clock is ahead of the vehicle's by at least so much."""


def case_times(ledger: Ledger) -> list[CaseTimes]:
    """Return the times of all cases, oldest first; the newest revision of a result counts, and what followed it.

    A case whose images are still coming, or come again, has no result: the one before was about others.
    """
    own = self_test_uids(ledger)
    slices = {
        row[0]: row[1:]
        for row in ledger.read(
            "SELECT study_uid, MIN(received_utc), MAX(received_utc), COUNT(*) FROM instances GROUP BY study_uid"
        )
    }
    seen = _first(
        ledger,
        "SELECT json_extract(body, '$.study_uid'), json_extract(body, '$.revision'), MIN(at_utc) FROM audit "
        "WHERE event = 'screen_shown' GROUP BY 1, 2",
    )
    sent = ledger.read("SELECT study_uid, MAX(at_utc) FROM deliveries WHERE state = 'sent' GROUP BY study_uid")
    delivered = {str(study_uid): str(at_utc) for study_uid, at_utc in sent}
    answered = _first(ledger, "SELECT study_uid, revision, MIN(at_utc) FROM acknowledgements GROUP BY 1, 2")
    found = []
    for study in ledger.studies():
        uid = study.study_uid
        if uid in own:
            continue
        first, last, images = slices.get(uid, (study.first_utc, "", 0))
        is_open = study.status in (StudyStatus.RECEIVING, StudyStatus.ANALYSING)
        result, times = (None, None) if is_open else (ledger.latest_result(uid), ledger.result_times(uid))
        at = times[0] if times else ""
        this = (uid, result.revision if result else 0)
        seen_utc, answered_utc = seen.get(this, ""), answered.get(this, "")
        scan = _scan_utc(str(study.patient.get("acquired_at") or ""))
        found.append(
            CaseTimes(
                case=short(uid),
                scanner=str(study.patient.get("manufacturer_model") or ""),
                scan_utc=scan,
                first_slice_utc=first,
                last_slice_utc=last,
                result_utc=at,
                seen_utc=seen_utc,
                delivered_utc=delivered.get(uid, ""),
                acknowledged_utc=answered_utc,
                images=int(images),
                status=study.status.value,
                verdict=result.verdict.value if result and result.verdict else "",
                scan_to_first_slice_s=_span(scan, first),
                first_to_last_slice_s=_span(first, last),
                last_slice_to_result_s=_span(last, at),
                result_to_seen_s=_span(at, seen_utc),
                result_to_delivered_s=_span(at, delivered.get(uid, "")),
                result_to_acknowledged_s=_span(at, answered_utc),
                ct_clock_offset_s=_offset(scan, first),
            )
        )
    return sorted(found, key=lambda case: case.first_slice_utc)


def to_csv(cases: Sequence[CaseTimes], vehicle: str = "") -> str:
    """Return the cases as CSV with a heading; `vehicle` goes into the first column."""
    text = io.StringIO()
    names = ["vehicle", *(field.name for field in fields(CaseTimes))]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for case in cases:
        row = {key: "" if value is None else value for key, value in asdict(case).items()}
        writer.writerow({"vehicle": vehicle, **row})
    return text.getvalue()


def from_csv(text: str) -> list[dict[str, str]]:
    """Read what `to_csv` wrote, as rows of text."""
    return [dict(row) for row in csv.DictReader(io.StringIO(text))]


def _first(ledger: Ledger, sql: str) -> dict[tuple[str, int], str]:
    """Return the first moment of each revision of each study's result."""
    return {(str(row[0]), int(row[1])): str(row[2]) for row in ledger.read(sql) if row[0] is not None and row[1]}


def _scan_utc(acquired_at: str) -> str:
    """Return the CT's time in UTC, with the vehicle's time zone where the image names none."""
    for form in ("%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S"):
        try:
            at = datetime.strptime(acquired_at[:21], form).astimezone()
        except ValueError:
            continue
        return at.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return ""


def _span(start: str, end: str) -> float | None:
    if not (start and end):
        return None
    return round((_parsed(end) - _parsed(start)).total_seconds(), 3)


def _offset(scan: str, first: str) -> float | None:
    span = _span(scan, first)
    return None if span is None else min(span, 0.0)


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
