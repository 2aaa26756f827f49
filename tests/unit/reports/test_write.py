from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from edge_app.core.errors import HeaderError
from edge_app.reports import FHIR_FILE, MESSAGE_FILE, report_files, write_reports
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.stored_studies import add_ct_study, study_result


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "store")


def test_objects_are_written_once_and_found_again(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        files = write_reports(stored, ledger, paths)
        before = [path.stat().st_mtime_ns for path in files]
        assert [path.name for path in files] == ["msg.dcm", "sr.dcm", "ko.dcm", "pr.dcm", "sc.dcm"]
        assert write_reports(stored, ledger, paths) == files
        assert [path.stat().st_mtime_ns for path in files] == before


def test_objects_cut_short_by_a_crash_are_made_again_as_the_same_instances(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        files = write_reports(stored, ledger, paths)
        contents = [path.read_bytes() for path in files]
        (files[0].parent / "complete").unlink()
        files[2].unlink()
        assert [path.read_bytes() for path in write_reports(stored, ledger, paths)] == contents


def test_each_revision_has_its_own_files(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        uids = set()
        for _ in range(2):
            stored = ledger.add_result(study_result(), last_instance_id=6)
            uids |= {dcmread(path).SOPInstanceUID for path in write_reports(stored, ledger, paths)}
        assert len(uids) == 10


def test_a_result_without_its_images_cannot_be_reported(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        stored = ledger.add_result(study_result(), last_instance_id=6)
        with pytest.raises(HeaderError):
            write_reports(stored, ledger, paths)


def test_files_of_a_report_are_those_that_are_sent_and_asking_for_them_leaves_no_trace(paths: StorePaths) -> None:
    with Ledger(paths, "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        asked = report_files(stored, ledger, paths)
        assert not list((paths.root / "results").rglob("*.dcm"))
        folder = write_reports(stored, ledger, paths)[0].parent
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "complete"} == asked
        assert {MESSAGE_FILE, FHIR_FILE} < set(asked)
        assert report_files(stored, ledger, paths) == asked
