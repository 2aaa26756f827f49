from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from edge_app.cli import main
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.stored_studies import add_ct_study, ct_uid, study_result


def test_all_objects_of_the_latest_result_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    with Ledger(StorePaths(store), "test") as ledger:
        add_ct_study(ledger)
        for _ in range(2):
            ledger.add_result(study_result(), last_instance_id=6)
    assert main(["report", ct_uid(1), "--data", str(store), "--out", str(out)]) == 0
    names = {"msg.dcm", "sr.dcm", "ko.dcm", "pr-1.dcm", "pr-2.dcm", "pr-3.dcm", "sc.dcm"}
    assert {path.name for path in out.iterdir()} == names | {"message.json", "fhir.json", "oru.hl7"}
    assert {Path(line).name for line in capsys.readouterr().out.split()} >= names
    assert {dcmread(path).StudyInstanceUID for path in out.glob("*.dcm")} == {ct_uid(1)}
    assert dcmread(out / "sr.dcm").InstanceNumber == 101


@pytest.mark.parametrize("study", ["1.2.3", ""])
def test_a_study_without_a_result_is_an_error_with_a_remedy(
    study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(StorePaths(tmp_path / "store"), "test").close()
    assert main(["report", study, "--data", str(tmp_path / "store"), "--out", str(tmp_path / "out")]) == 4
    assert "msu cases" in capsys.readouterr().err


def test_a_folder_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    assert main(["report", "1.2", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 4
    assert not (tmp_path / "none").exists()
