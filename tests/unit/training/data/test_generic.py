from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_app.core.errors import TrainingError
from tests.unit.training.data.conftest import HERE
from tests.unit.training.data.phantoms import SLICES
from training.data.generic import read_generic
from training.data.records import NO_LABEL


def write_table(root: Path, *rows: str, header: str = "study,label") -> None:
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n")


def test_slices_with_labels_of_their_own_label_the_study(corpora: Path) -> None:
    studies, rejects = read_generic(corpora / "generic", HERE)
    assert not rejects
    assert sorted(study.label for study in studies) == [0, 0, 1, 1, 2, 2]
    assert all([s.label for s in study.slices] == [0, 0, study.label, study.label, 0, 0] for study in studies)


def test_a_study_label_alone_leaves_positive_slices_unknown(generic: Path) -> None:
    write_table(generic, "study-00000,negative", "study-00001,hemorrhage")
    studies, rejects = read_generic(generic, HERE)
    by_label = {study.label: study for study in studies}
    assert [s.label for s in by_label[0].slices] == [0] * SLICES
    assert [s.label for s in by_label[1].slices] == [NO_LABEL] * SLICES
    assert sorted(r.path for r in rejects) == [f"study-0000{n}" for n in range(2, 6)]
    assert {r.code for r in rejects} == {"unlabelled"}


def test_labels_that_contradict_each_other_leave_the_study_out(generic: Path) -> None:
    write_table(
        generic, "study-00000,,negative", "study-00000,IM0001.dcm,hemorrhage", "study-00001,IM0001.dcm,hemorrhage",
        "study-00001,IM0002.dcm,ischemic", header="study,file,label",
    )  # fmt: skip
    studies, rejects = read_generic(generic, HERE)
    assert not studies
    assert [r.code for r in rejects].count("contradiction") == 2


def test_a_study_with_unlabelled_slices_and_no_positive_one_is_not_called_negative(generic: Path) -> None:
    write_table(generic, "study-00000,IM0001.dcm,negative", header="study,file,label")
    studies, rejects = read_generic(generic, HERE)
    assert not studies
    assert ("study-00000", "unlabelled") in {(r.path, r.code) for r in rejects}


def test_two_studies_in_one_folder_are_left_out(generic: Path) -> None:
    shutil.copy(generic / "study-00001/IM0001.dcm", generic / "study-00000/other.dcm")
    _, rejects = read_generic(generic, HERE)
    assert ("study-00000", "several_studies") in {(r.path, r.code) for r in rejects}


@pytest.mark.parametrize(
    ("rows", "header", "named"),
    [
        (["study-00000,negative"], "name,class", "name, class"),
        (["study-00000,bleeding"], "study,label", "bleeding"),
        (["../outside,negative"], "study,label", "outside"),
        (["study-00000,negative", "study-00000,negative"], "study,label", "line 3: study-00000  is labelled twice"),
        (["study-99999,negative"], "study,label", "first study-99999"),
        (["study-00000,IM9999.dcm,negative"], "study,file,label", "first study-00000/IM9999.dcm"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(generic: Path, rows: list[str], header: str, named: str) -> None:
    write_table(generic, *rows, header=header)
    with pytest.raises(TrainingError, match=named):
        read_generic(generic, HERE)


def test_a_missing_table_is_named(generic: Path) -> None:
    (generic / "labels.csv").unlink()
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        read_generic(generic, HERE)
