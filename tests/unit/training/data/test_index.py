from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge_app.core.errors import TrainingError
from training.data.index import Index, build_index, read_index, rejects_path, write_index
from training.data.records import Reject


def test_an_index_reads_back_as_it_was_written(index: Index, tmp_path: Path) -> None:
    write_index(index, [], tmp_path / "i.parquet")
    assert read_index(tmp_path / "i.parquet") == index


def test_the_file_has_a_row_a_slice_and_says_non_commercial(index: Index, tmp_path: Path) -> None:
    write_index(index, [Reject("rsna", "a", "unreadable", "broken")], tmp_path / "i.parquet")
    table = pq.read_table(tmp_path / "i.parquet")
    assert len(table) == sum(len(study.slices) for study in index.studies)
    meta = table.schema.metadata[b"msu-index"].decode()
    assert meta.count("NON-COMMERCIAL") == 2
    assert '"unreadable": 1' in meta


def test_rejects_are_listed_beside_the_index(index: Index, tmp_path: Path) -> None:
    write_index(index, [Reject("rsna", "stage_2_train/ID_a.dcm", "unreadable", "cut, off")], tmp_path / "i.parquet")
    with rejects_path(tmp_path / "i.parquet").open(newline="") as file:
        assert list(csv.reader(file))[1] == ["rsna", "stage_2_train/ID_a.dcm", "unreadable", "cut, off"]


def test_geometry_scanner_and_lesions_are_in_it(index: Index) -> None:
    study = next(study for study in index.studies if study.source == "aisd")
    assert study.spacing_mm == pytest.approx(12.0)
    assert study.kernel == "POST_FOSSA"
    assert study.slices[0].image_position_mm == (-100.0, -100.0, 0.0)
    assert study.slices[0].pixel_spacing_mm == (3.4, 3.4)
    assert (study.lesion_volume_ml or 0) > 1
    assert index.classes() == {"negative": 6, "hemorrhage": 6, "ischemic": 6}


def test_a_source_without_a_usable_study_stops_with_the_commonest_reason(tmp_path: Path) -> None:
    rejects = [Reject("aisd", f"p{n}", "pictures", "unknown values 255") for n in range(3)]
    with pytest.raises(TrainingError, match="no study of aisd can be used; 3 times: unknown values 255"):
        build_index([([], rejects)], {"aisd": tmp_path}, tmp_path / "i.parquet")
    assert not (tmp_path / "i.parquet").exists()


def test_one_study_from_two_places_is_refused(index: Index, tmp_path: Path) -> None:
    twice = [index.studies[0], index.studies[0]]
    with pytest.raises(TrainingError, match="came from 2 places"):
        build_index([(twice, [])], {index.studies[0].source: tmp_path}, tmp_path / "i.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really"])
def test_a_damaged_index_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "i.parquet").write_bytes(content)
    with pytest.raises(TrainingError, match=r"i\.parquet cannot be read"):
        read_index(tmp_path / "i.parquet")


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "i.parquet")
    with pytest.raises(TrainingError, match="not an index of format"):
        read_index(tmp_path / "i.parquet")
