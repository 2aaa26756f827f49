from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.errors import TrainingError
from tests.unit.training.data.conftest import HERE
from tests.unit.training.data.phantoms import SLICES
from training.data import progress
from training.data import rsna as module
from training.data.files import examine
from training.data.rsna import read_rsna, read_table

TABLE = "stage_2_train.csv"


def edit(root: Path, *changes: tuple[str, str]) -> None:
    text = (root / TABLE).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (root / TABLE).write_text(text)


def first_image(root: Path) -> str:
    return sorted(path.stem for path in (root / "stage_2_train").glob("*.dcm"))[0]


def test_studies_are_labelled_by_their_positive_slices(corpora: Path) -> None:
    studies, rejects = read_rsna(corpora / "rsna", HERE)
    assert not rejects
    assert sorted(study.label for study in studies) == [0, 0, 0, 0, 1, 1, 1, 1]
    for study in studies:
        assert [s.label for s in study.slices] == ([0, 0, 1, 1, 0, 0] if study.label else [0] * SLICES)
        assert {kind for s in study.slices for kind in s.subtypes} == ({"subdural"} if study.label else set())
        assert study.lesion_volume_ml is None
        assert study.key == f"{study.patient_id}|{study.study_uid}"
        assert study.patient_id.startswith("ID_")


def test_slices_are_in_order_of_position_though_file_names_are_not(corpora: Path) -> None:
    studies, _ = read_rsna(corpora / "rsna", HERE)
    for study in studies:
        assert [s.position_mm for s in study.slices] == sorted(s.position_mm for s in study.slices)
    assert any([s.path for s in study.slices] != sorted(s.path for s in study.slices) for study in studies)


def test_rows_that_stand_twice_and_a_byte_order_mark_do_not_matter(rsna: Path) -> None:
    image = first_image(rsna)
    text = (rsna / TABLE).read_text()
    rows = [line for line in text.splitlines() if line.startswith(image)]
    (rsna / TABLE).write_text("\ufeff" + text + "\n".join(rows) + "\n\n", encoding="utf-8")
    assert len(read_rsna(rsna, HERE)[0]) == 8


def test_wrong_columns_are_named(rsna: Path) -> None:
    edit(rsna, ("ID,Label", "image,any"))
    with pytest.raises(TrainingError, match=r"columns image, any instead of ID, Label"):
        read_rsna(rsna, HERE)


@pytest.mark.parametrize("row", ["ID_x_subdural,2", "ID_x_fracture,1", "subdural,1", "ID_x_any", "ID_x_any,1,1"])
def test_a_row_that_is_not_understood_is_named_with_its_line(rsna: Path, row: str) -> None:
    edit(rsna, ("ID,Label\n", f"ID,Label\n{row}\n"))
    with pytest.raises(TrainingError, match="line 2"):
        read_table(rsna / TABLE)


def test_an_image_labelled_both_ways_is_refused(rsna: Path) -> None:
    (rsna / TABLE).write_text("ID,Label\nID_a_any,1\nID_a_any,0\n")
    with pytest.raises(TrainingError, match=r"line 3: ID_a_any is labelled both"):
        read_table(rsna / TABLE)


def test_an_image_with_a_kind_of_blood_but_none_at_all_is_refused(rsna: Path) -> None:
    names = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")
    rows = "".join(f"ID_a_{name},{int(name == 'epidural')}\n" for name in names)
    (rsna / TABLE).write_text(f"ID,Label\n{rows}")
    with pytest.raises(TrainingError, match="ID_a has epidural, but not any"):
        read_table(rsna / TABLE)


def test_an_image_without_all_six_rows_is_named(rsna: Path) -> None:
    (rsna / TABLE).write_text("ID,Label\nID_a_any,1\n")
    with pytest.raises(TrainingError, match="ID_a has no row for epidural"):
        read_table(rsna / TABLE)


def test_a_label_for_an_unknown_image_stops_with_its_name(rsna: Path) -> None:
    image = first_image(rsna)
    (rsna / "stage_2_train" / f"{image}.dcm").unlink()
    with pytest.raises(TrainingError, match=f"labels 1 images that are not in stage_2_train, first {image}"):
        read_rsna(rsna, HERE)


def test_a_part_of_the_data_set_can_be_read_when_asked_for(rsna: Path) -> None:
    image = first_image(rsna)
    (rsna / "stage_2_train" / f"{image}.dcm").unlink()
    studies, rejects = read_rsna(rsna, HERE, allow_missing=True)
    assert len(studies) == 8
    assert [(r.path, r.code) for r in rejects] == [(f"stage_2_train/{image}.dcm", "missing")]


def test_corrupt_and_unlabelled_files_are_listed_and_nothing_stops(rsna: Path) -> None:
    corrupt, unlabelled = sorted((rsna / "stage_2_train").glob("*.dcm"))[:2]
    corrupt.write_bytes(b"not what it was")
    lines = (rsna / TABLE).read_text().splitlines()
    (rsna / TABLE).write_text("\n".join(line for line in lines if not line.startswith(unlabelled.stem)))
    studies, rejects = read_rsna(rsna, HERE)
    assert {(Path(r.path).name, r.code) for r in rejects} == {
        (corrupt.name, "unreadable"),
        (unlabelled.name, "unlabelled"),
    }
    assert sum(len(study.slices) for study in studies) == 8 * SLICES - 2


def test_a_reading_that_was_broken_off_goes_on_where_it_stopped(
    rsna: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_rsna(rsna, HERE)
    monkeypatch.setattr(module, "_FILES_PER_TASK", 10)
    read: list[str] = []

    def counting(root: Path, path: Path, source: str) -> object:
        read.append(path.name)
        if len(read) == 25:
            raise KeyboardInterrupt
        return examine(root, path, source)

    monkeypatch.setattr(progress, "examine", counting)
    with pytest.raises(KeyboardInterrupt):
        read_rsna(rsna, HERE, kept=tmp_path / "kept")
    first = [name for name in read if read.count(name) == 1]
    assert read_rsna(rsna, HERE, kept=tmp_path / "kept") == expected
    assert read.count(first[0]) == 1  # the first two batches were whole
    assert read.count(first[22]) == 2
    assert len(read) == 25 + 8 * SLICES - 20


def test_kept_findings_that_are_damaged_or_stale_are_not_used(rsna: Path, tmp_path: Path) -> None:
    expected = read_rsna(rsna, HERE, kept=tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    content = file.read_bytes()
    for damaged in (b"", content[:50], b"{}"):
        file.write_bytes(damaged)
        assert read_rsna(rsna, HERE, kept=tmp_path / "kept") == expected
    (rsna / "stage_2_train" / f"{first_image(rsna)}.dcm").write_bytes(b"changed")
    _, rejects = read_rsna(rsna, HERE, kept=tmp_path / "kept")
    assert [r.code for r in rejects] == ["unreadable"]


@pytest.mark.parametrize("gone", ["stage_2_train", TABLE])
def test_a_missing_part_is_named(rsna: Path, gone: str) -> None:
    (rsna / gone).rename(rsna / "elsewhere")
    with pytest.raises(TrainingError, match=gone):
        read_rsna(rsna, HERE)
