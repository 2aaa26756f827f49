"""What a report is made of, read from the store: the result, the images' headers, what people said, the pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from edge_app.core.clock import utc_now
from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import HeaderError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import SliceImage, StudyResult
from edge_app.reports.header import Looked, ModelFacts, ReportInput
from edge_app.store.editions import Edition, edition_before, edition_of
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, uid_hash
from edge_app.store.rows import InstanceRow
from edge_app.store.statements import statements_of

__all__ = ["edition_named", "message_input", "moment", "report_input", "with_maps"]

_log = get_logger(__name__)


def edition_named(ledger: Ledger, result: StudyResult, edition: int) -> Edition | None:
    """Return an edition; None for the first one of a result that has none on record.

    Raises
    ------
    HeaderError
        If there is no such edition.
    """
    found = edition_of(ledger, result.study_uid, result.revision, edition)
    if found is None and edition > 1:
        raise HeaderError(f"there is no edition {edition} of this report", remedy="The ledger has been tampered with.")
    return found


def report_input(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    edition: Edition | None,
    facts: ModelFacts | None,
    unvalidated_ischaemia: bool,
) -> ReportInput:
    """Return all that an edition's objects are made of."""
    sources = _headers(paths, ledger.instances(study_uid=result.study_uid))
    report = _input(result, ledger, edition, facts, unvalidated_ischaemia, list(sources))
    return replace(report, pictures=_pictures(ledger, paths, result))


def message_input(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    edition: Edition | None,
    facts: ModelFacts | None,
    unvalidated_ischaemia: bool,
) -> ReportInput:
    """Return what its message is made of: of the images it needs one header only."""
    source = _first_header(ledger, paths, result)
    return _input(result, ledger, edition, facts, unvalidated_ischaemia, [] if source is None else [source])


def _input(
    result: StudyResult,
    ledger: Ledger,
    edition: Edition | None,
    facts: ModelFacts | None,
    unvalidated_ischaemia: bool,
    sources: Sequence[Dataset],
) -> ReportInput:
    created = _created(ledger, result) or (moment(edition.created_utc) if edition else utc_now())
    report = ReportInput(result, sources, created, facts, unvalidated_ischaemia)
    if edition is None:
        return report
    return replace(
        report,
        edition=edition.edition,
        issued=moment(edition.created_utc) if edition.edition > 1 else None,
        why=edition.why,
        said=statements_of(ledger, result.study_uid, revision=result.revision, crew_id=edition.crew_id),
        before=edition_before(ledger, edition),
    )


def _headers(paths: StorePaths, instances: Iterable[InstanceRow]) -> Iterator[Dataset]:
    for row in instances:
        try:
            yield dcmread(paths.root / row.path, stop_before_pixels=True)
        except (*PYDICOM_ERRORS, InvalidDicomError) as error:
            _log.event(406, "image left out of the reports", sop=short(row.sop_uid), problem=type(error).__name__)


def _first_header(ledger: Ledger, paths: StorePaths, result: StudyResult) -> Dataset | None:
    """Return the header that a report takes patient and study from: the first of `ReportInput.used`."""
    order = {row.sop_uid: number for number, row in enumerate(result.slices)}
    instances = ledger.instances(study_uid=result.study_uid)
    return next(_headers(paths, sorted(instances, key=lambda row: order.get(row.sop_uid, len(order)))), None)


def _created(ledger: Ledger, result: StudyResult) -> datetime | None:
    rows = ledger.read(
        "SELECT created_utc FROM results WHERE study_uid = ? AND revision = ?", result.study_uid, result.revision
    )
    return moment(rows[0][0]) if rows else None


def moment(at_utc: str) -> datetime:
    """Return a moment as the ledger writes it, aware."""
    return datetime.fromisoformat(at_utc.replace("Z", "+00:00"))


def _pictures(ledger: Ledger, paths: StorePaths, result: StudyResult) -> dict[str, SliceImage]:
    """Return the key slices as the worker decoded them: foreign pixels are never decoded in this process."""
    pictures = {}
    for frame in ledger.frames(result.study_uid):
        if frame.sop_uid not in result.key_slices or not frame.path:
            continue
        try:
            hu = np.load(paths.root / frame.path, allow_pickle=False)
        except (OSError, ValueError):
            continue  # the frames are a cache; the page then says "no picture"
        pictures[frame.sop_uid] = SliceImage(
            frame.sop_uid, hu, (frame.row_spacing_mm or 1.0, frame.column_spacing_mm or 1.0)
        )
    return pictures


def with_maps(report: ReportInput, paths: StorePaths) -> ReportInput:
    """Return the report with where the model looked, if that model's maps have passed their release gate (R38)."""
    released = report.facts is not None and report.facts.heat_maps
    return replace(report, looked=_looked(paths, report.result)) if released else report


def _looked(paths: StorePaths, result: StudyResult) -> dict[str, Looked]:
    """Return where the model looked on the key slices, as the worker left it."""
    found = {}
    try:
        with np.load(paths.saliency(result.study_uid, result.revision), allow_pickle=False) as arrays:
            for uid in result.key_slices:
                name = uid_hash(uid)
                if name in arrays and f"{name}.to_slice" in arrays:
                    found[uid] = Looked(
                        np.asarray(arrays[name], np.float32), np.asarray(arrays[f"{name}.to_slice"], np.float64)
                    )
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}  # like the frames a cache: the report goes out without
    return found
