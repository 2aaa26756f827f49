"""Objects made of the headers of real scanners: whatever they send, the result leaves in valid objects."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from edge_app.core.types import SliceResult, Verdict
from edge_app.reports import ReportInput, make_reports
from tests.stored_studies import study_result

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed"),
    # What the scanners wrote is not ours to correct.
    pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom"),
]

SLICES = 4


def studies(folder: Path) -> Iterator[list[Dataset]]:
    found: dict[str, list[Dataset]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        if "SOPInstanceUID" in header and len(found[header.StudyInstanceUID]) < SLICES:
            found[header.StudyInstanceUID].append(header)
    yield from found.values()


def test_every_study_gives_an_sr_and_a_page_without_errors(shared_data: Path, tmp_path: Path) -> None:
    seen = 0
    for sources in studies(shared_data):
        slices = tuple(
            SliceResult(str(source.SOPInstanceUID), float(n), {"hemorrhage": 0.1, "ischemic": 0.1})
            for n, source in enumerate(sources)
            if source.get("Modality") == "CT"
        )
        result = replace(
            study_result(verdict=Verdict.NONE_DETECTED),
            study_uid=str(sources[0].StudyInstanceUID),
            slices=slices,
            key_slices=tuple(row.sop_uid for row in slices),
        )
        made = make_reports(ReportInput(result, sources, datetime(2026, 3, 14, tzinfo=timezone.utc)))
        assert {"sr.dcm", "sc.dcm"} <= set(made)
        for ds in made.values():
            path = tmp_path / "object.dcm"
            ds.save_as(path, enforce_file_format=True)
            said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
            assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []
        seen += 1
    assert seen >= 10
