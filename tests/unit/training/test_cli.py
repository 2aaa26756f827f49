from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import training.cli
from edge_app import cli
from edge_app.cli import main


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.unit.training.data.phantoms import phantom
    from training.data import synth

    monkeypatch.setattr(synth, "make_study", phantom)
    for layout, studies, seed in (("rsna", 6, 100), ("aisd", 3, 200)):
        command = f"data synth --layout {layout} --studies {studies} --seed {seed} --processes 1 --personality mobile16"
        assert main([*command.split(), "--out", str(tmp_path / layout)]) == 0
    return tmp_path


def run(folder: Path, command: str) -> int:
    return main(command.format(d=folder).split())


def test_raw_folders_become_prepared_slices_with_four_commands(
    corpora: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(corpora, "data index --rsna {d}/rsna --aisd {d}/aisd --out {d}/i.parquet --processes 1") == 0
    out = capsys.readouterr().out
    assert "9 studies, 54 slices" in out
    assert "NON-COMMERCIAL" in out
    assert "not_ct" in out
    assert run(corpora, "data split --index {d}/i.parquet --out {d}/s.json --per-class 400") == 0
    assert "train" in capsys.readouterr().out
    assert run(corpora, "data check --index {d}/i.parquet --split {d}/s.json") == 0
    assert run(corpora, "data preprocess --index {d}/i.parquet --split {d}/s.json --out {d}/out --processes 1") == 0
    assert "54 slices, msu1, uint8" in capsys.readouterr().out


def test_a_data_set_that_was_moved_is_asked_for(corpora: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(corpora, "data index --rsna {d}/rsna --aisd {d}/aisd --out {d}/i.parquet --processes 1")
    run(corpora, "data split --index {d}/i.parquet --out {d}/s.json")
    (corpora / "rsna").rename(corpora / "moved")
    command = "data preprocess --index {d}/i.parquet --split {d}/s.json --out {d}/out --processes 1"
    assert run(corpora, command) == 9
    assert "--root rsna=DIR" in capsys.readouterr().err
    assert run(corpora, command + " --root rsna={d}/moved") == 0
    assert run(corpora, command + " --root mars={d}/moved") == 78


def test_own_data_of_several_places_are_sources_of_their_own(corpora: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("here", 300), ("there", 400)):
        command = f"data synth --layout generic --studies 9 --seed {seed} --processes 1 --personality mobile16"
        assert main([*command.split(), "--out", str(corpora / name)]) == 0
    command = (
        "data index --rsna {d}/rsna --generic {d}/here --generic vienna={d}/there --out {d}/i.parquet --processes 1"
    )
    assert run(corpora, command) == 0
    assert "vienna: own data" in capsys.readouterr().out
    assert run(corpora, "data split --index {d}/i.parquet --out {d}/s.json") == 0
    table = capsys.readouterr().out
    assert all(source in table for source in ("rsna", "generic", "vienna"))


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        ("data index --out {d}/i.parquet", 78, "no data set was given"),
        ("data index --rsna {d}/nowhere --out {d}/i.parquet", 9, "stage_2_train is missing"),
        ("data index --rsna {d}/nowhere --aisd {d} --out {d}/i.parquet", 9, "dicom-0/<patient> is missing"),
        ("data index --generic rsna={d} --out {d}/i.parquet", 78, "cannot be called 'rsna'"),
        ("data split --index {d}/nowhere.parquet --out {d}/s.json", 9, "nowhere.parquet cannot be read"),
        ("train image --data {d} --out {d}/o --checkpoint-steps 0", 78, "--checkpoint-steps 0"),
        ("train image --data {d} --out {d}/o --devices 0", 78, "--devices 0"),
        ("data synth --layout rsna --studies 1 --out {d} --personality brand_new", 78, "no scanner personality"),
        ("data synth --layout rsna --studies 1 --out {d} --labels ischemic", 9, "cannot hold ischemic"),
    ],
)
def test_errors_have_a_code_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, code: int, named: str
) -> None:
    assert run(tmp_path, command) == code
    error = capsys.readouterr().err
    assert error.startswith("msu: E-")
    assert named in error


@pytest.mark.parametrize(
    ("number", "named"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "/there: Permission denied")]
)
def test_a_disk_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, named: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/there")

    monkeypatch.setattr("training.data.index.read_index", full)
    assert run(tmp_path, "data split --index {d}/i.parquet --out {d}/s.json") == 9
    assert named in capsys.readouterr().err


def test_a_vehicle_without_workshop_packages_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.cli, "find_spec", lambda name: None)
    assert main(["data", "check", "--index", "i", "--split", "s"]) == 78
    error = capsys.readouterr().err
    assert "pyarrow, tqdm" in error
    assert "pip install .[train]" in error


def test_a_vehicle_without_the_workshops_code_says_so_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.WORKSHOP_COMMANDS, "data", ("training_not_here:data", ""))
    assert main(["data", "--help"]) == 78
    assert "training_not_here" in capsys.readouterr().err


def test_workshop_commands_are_listed_and_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in ((["--help"], "data sets"), (["data", "--help"], "preprocess")):
        with pytest.raises(SystemExit) as done:
            main(words)
        assert done.value.code == 0
        assert expected in capsys.readouterr().out
