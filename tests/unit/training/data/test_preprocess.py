from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from edge_app.core.errors import StoreError, TrainingError
from edge_app.preprocessing import get_profile, prepare, profile_hash
from edge_app.store.lock import hold_alone
from tests.unit.training.data.conftest import HERE
from training.data import preprocess as module
from training.data.files import load_image
from training.data.index import Index, write_index
from training.data.leakage import LeakageError
from training.data.parallel import Workers
from training.data.prepared import open_prepared
from training.data.preprocess import Preparation, encode, preprocess
from training.data.split import Split, split_patients, write_split

SMALL = Preparation(studies_per_shard=4)


@pytest.fixture(scope="module")
def split(index: Index) -> Split:
    return split_patients(index.studies, seed=1)


@pytest.fixture(scope="module")
def prepared(index: Index, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    preprocess(index, split, folder, HERE, preparation=SMALL)
    return folder


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "copied"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_slice_is_what_the_vehicle_would_see(index: Index, split: Split, prepared: Path) -> None:
    sets = open_prepared(prepared)
    assert sum(len(part) for part in sets.values()) == sum(len(study.slices) for study in index.studies)
    for side, part in sets.items():
        studies = split.of(index.studies, side)
        assert [study.key for study in part.studies] == [study.key for study in studies]
        slices = [(study, s) for study in studies for s in study.slices]
        for number in range(0, len(slices), 5):
            study, indexed = slices[number]
            image = load_image(Path(index.roots[study.source]) / indexed.path)
            expected = prepare(image, get_profile("msu1")).input
            stored = part.inputs(np.array([number]))[0]
            np.testing.assert_allclose(stored / 255.0, expected, atol=0.5 / 255 + 1e-6)
            assert part.labels[number] == indexed.label
            assert part.position_mm[number] == indexed.position_mm
            assert part.studies[part.study_of_slice[number]].key == study.key


def test_masks_lie_where_the_lesion_is(prepared: Path) -> None:
    for part in open_prepared(prepared).values():
        aisd = np.array([study.source == "aisd" for study in part.studies])[part.study_of_slice]
        share = part.masks(np.arange(len(part))).astype(float).sum(axis=(1, 2)) / 255 * 64  # mm² at 1 mm a pixel
        np.testing.assert_allclose(share[aisd], part.lesion_area_mm2[aisd], rtol=0.1, atol=20)
        assert not share[~aisd].any()
        np.testing.assert_array_equal(part.mask_known, aisd | (part.labels == 0))


def test_the_profile_and_its_hash_are_recorded(prepared: Path) -> None:
    described = json.loads((prepared / "prepared.json").read_text())
    assert described["preparation"]["profile"] == "msu1"
    assert described["profile_sha256"] == profile_hash(get_profile("msu1"))
    assert "NON-COMMERCIAL" in described["licences"]["rsna"]


def test_half_precision_is_nearer_still(index: Index, split: Split, tmp_path: Path) -> None:
    some = Index(index.studies[:4], index.roots)
    preprocess(some, split, tmp_path, HERE, preparation=Preparation("seed2023", "float16"))
    part = open_prepared(tmp_path)[split.sides[some.studies[0].key]]
    image = load_image(Path(index.roots["rsna"]) / some.studies[0].slices[2].path)
    stored = part.inputs(np.array([2]))
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored[0], prepare(image, get_profile("seed2023")).input, atol=5e-4)


def test_uint8_uses_the_whole_range() -> None:
    np.testing.assert_array_equal(encode(np.array([0, 0.5, 1], np.float32), "uint8"), [0, 128, 255])


def test_a_second_run_makes_nothing_again(index: Index, split: Split, copied: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in copied.glob("0*")}
    preprocess(index, split, copied, HERE, preparation=SMALL)
    assert {path.name: path.stat().st_mtime_ns for path in copied.glob("0*")} == before


def test_a_missing_shard_is_made_again_alike(index: Index, split: Split, prepared: Path, copied: Path) -> None:
    (copied / "00001.parquet").unlink()
    (copied / "00002.npy").unlink()
    (copied / "00002.parquet").unlink()
    with pytest.raises(TrainingError, match="shard 1 of 5 is missing"):
        open_prepared(copied)
    preprocess(index, split, copied, HERE, preparation=SMALL)
    assert contents(copied) == contents(prepared)


KILLED = """
import os, signal, sys
from pathlib import Path
from training.data import preprocess as module
from training.data.index import read_index
from training.data.parallel import Workers
from training.data.split import read_split
left = [10]
write_study = module._write_study
def dying(*arguments):
    left[0] -= 1
    if not left[0]:
        arguments[-1].flush(); arguments[-2].flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return write_study(*arguments)
module._write_study = dying
folder = Path(sys.argv[1])
module.preprocess(read_index(folder / "i.parquet"), read_split(folder / "s.json"), folder / "out", Workers(1),
                  preparation=module.Preparation(studies_per_shard=4))
"""


def test_after_a_kill_the_finished_shards_stay_and_the_rest_follows(
    index: Index, split: Split, prepared: Path, tmp_path: Path
) -> None:
    write_index(index, [], tmp_path / "i.parquet")
    write_split(split, tmp_path / "s.json")
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    out = tmp_path / "out"
    assert sorted(path.name for path in out.glob("*.parquet")) == ["00000.parquet", "00001.parquet"]
    assert list(out.glob(".*.part"))  # what was being written
    kept = (out / "00001.npy").stat().st_mtime_ns
    preprocess(index, split, out, HERE, preparation=SMALL)
    assert (out / "00001.npy").stat().st_mtime_ns == kept
    assert contents(out) == contents(prepared)


def test_a_full_disk_is_named_and_the_next_run_goes_on(
    index: Index, split: Split, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study = module._write_study
    left = [6]

    def full(*arguments: object) -> object:
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_study(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_write_study", full)
    with pytest.raises(TrainingError, match=r"the disk is full while writing .*00001\.masks\.npy.*goes on"):
        preprocess(index, split, tmp_path, HERE, preparation=SMALL)
    assert not list(tmp_path.glob(".*.part"))
    monkeypatch.undo()
    preprocess(index, split, tmp_path, HERE, preparation=SMALL)
    assert contents(tmp_path) == contents(prepared)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    index: Index, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(TrainingError, match=r"needs 0\.0 GB more and has 0\.0 GB free"):
        preprocess(index, split, tmp_path, HERE, preparation=SMALL)
    assert not list(tmp_path.glob("*.npy"))


def test_a_file_that_vanished_or_changed_is_named(rsna: Path, index: Index, split: Split, tmp_path: Path) -> None:
    moved = Index(index.studies, index.roots | {"rsna": str(rsna)})
    first, other = (rsna / s.path for s in index.studies[0].slices[:2])
    content = first.read_bytes()
    first.unlink()
    with pytest.raises(TrainingError, match=f"{first.name}.*when the index was made"):
        preprocess(moved, split, tmp_path / "out", HERE, preparation=SMALL)
    first.write_bytes(other.read_bytes())
    with pytest.raises(TrainingError, match=f"{first.name} is now another image"):
        preprocess(moved, split, tmp_path / "out", HERE, preparation=SMALL)
    first.write_bytes(content)
    preprocess(moved, split, tmp_path / "out", HERE, preparation=SMALL)
    assert open_prepared(tmp_path / "out")


def test_a_folder_of_another_preparation_is_refused(index: Index, split: Split, copied: Path) -> None:
    for other in (replace(SMALL, dtype="float16"), replace(SMALL, profile="seed2023")):
        with pytest.raises(TrainingError, match="another index, split, profile or type"):
            preprocess(index, split, copied, HERE, preparation=other)
    with pytest.raises(TrainingError, match="another index"):
        preprocess(index, split_patients(index.studies, seed=2), copied, HERE, preparation=SMALL)
    (copied / "prepared.json").write_text("{")
    with pytest.raises(TrainingError, match="another index"):
        preprocess(index, split, copied, HERE, preparation=SMALL)


@pytest.mark.requirement("R86")
def test_slices_prepared_otherwise_are_other_content(
    index: Index, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it a test split knows whether it was opened on these data, and a checkpoint whether it goes on with them."""
    monkeypatch.setattr(module, "_write_shard", lambda task: len(task.studies))
    found = set()
    for number, how in enumerate((SMALL, replace(SMALL, dtype="float16"), replace(SMALL, max_slices=4))):
        preprocess(index, split, tmp_path / str(number), HERE, preparation=how)
        found.add(json.loads((tmp_path / str(number) / "prepared.json").read_text())["content_sha256"])
    assert len(found) == 3


@pytest.mark.parametrize(
    "corrected", [{"subtypes": ("epidural",)}, {"lesion_area_mm2": 12.5, "mask_values": (5,)}, {"position_mm": 1000.0}]
)
def test_a_folder_made_before_an_index_was_corrected_is_refused(
    index: Index, split: Split, copied: Path, corrected: dict[str, object]
) -> None:
    first, *others = index.studies
    *slices, last = first.slices
    changed = replace(first, slices=(*slices, replace(last, **corrected)))  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="another index"):
        preprocess(Index((changed, *others), index.roots), split, copied, HERE, preparation=SMALL)


def test_two_runs_into_one_folder_do_not_mix(index: Index, split: Split, copied: Path) -> None:
    with hold_alone(copied / "preprocess.lock"), pytest.raises(StoreError, match="another process"):
        preprocess(index, split, copied, HERE, preparation=SMALL)


def test_a_split_that_leaks_is_not_prepared(index: Index, split: Split, tmp_path: Path) -> None:
    twin = replace(index.studies[0], study_uid="1.2.3", patient_id="someone else")
    side = "test" if split.sides[index.studies[0].key] != "test" else "train"
    leaking = Split(1, split.shares, split.sides | {twin.key: side})
    with pytest.raises(LeakageError, match="pixels"):
        preprocess(Index((*index.studies, twin), index.roots), leaking, tmp_path / "out", HERE)
    assert not (tmp_path / "out").exists()


def test_a_split_of_another_index_is_refused(index: Index, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no study of this index"):
        preprocess(index, Split(1, (0.7, 0.15, 0.15), {}), tmp_path, HERE)


@pytest.mark.parametrize("how", [Preparation(dtype="float64"), Preparation(studies_per_shard=0)])
def test_what_cannot_be_stored_is_refused(index: Index, split: Split, tmp_path: Path, how: Preparation) -> None:
    with pytest.raises(TrainingError, match="not possible"):
        preprocess(index, split, tmp_path, HERE, preparation=how)


# Opening


def test_a_damaged_shard_is_named(copied: Path) -> None:
    (copied / "00003.masks.npy").write_bytes((copied / "00003.masks.npy").read_bytes()[:500])
    with pytest.raises(TrainingError, match=r"shard 00003 in .* is damaged"):
        open_prepared(copied)


def test_shards_that_do_not_fit_their_rows_are_named(copied: Path) -> None:
    np.save(copied / "00003.masks.npy", np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(TrainingError, match=r"shard 00003 in .* do not hold"):
        open_prepared(copied)


def test_slices_of_another_preprocessing_version_are_refused(copied: Path) -> None:
    described = json.loads((copied / "prepared.json").read_text())
    (copied / "prepared.json").write_text(json.dumps(described | {"profile_sha256": "0" * 64}))
    with pytest.raises(TrainingError, match="another version of the preprocessing"):
        open_prepared(copied)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no prepared slices"):
        open_prepared(tmp_path)


def test_training_is_stopped_when_the_leak_is_put_back(copied: Path) -> None:
    """The same study under another side, as random splits of slices or of copies make it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(copied / "00000.parquet")
    sides = rows["side"].to_pylist()
    sides[0] = "test" if sides[0] != "test" else "train"
    pq.write_table(rows.set_column(0, "side", pa.array(sides)), copied / "00000.parquet")
    with pytest.raises(LeakageError, match="study"):
        open_prepared(copied)


# Elsewhere


def refuse(_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_worker_that_is_killed_ends_the_run_with_an_error() -> None:
    with pytest.raises(TrainingError, match="a worker process died"):
        list(Workers(processes=2).run(refuse, [1, 2, 3], title="killed"))


def test_an_error_in_a_worker_process_arrives_as_it_was_raised(rsna: Path, index: Index, split: Split) -> None:
    moved = Index(index.studies, index.roots | {"rsna": str(rsna)})
    gone = rsna / index.studies[0].slices[0].path
    gone.unlink()
    with pytest.raises(TrainingError, match=f"{gone.name}.*when the index was made.*Restore it"):
        preprocess(moved, split, rsna / "out", Workers(processes=2), preparation=SMALL)


@pytest.mark.integration
def test_two_processes_make_the_same_shards(index: Index, split: Split, prepared: Path, tmp_path: Path) -> None:
    preprocess(index, split, tmp_path, Workers(processes=2), preparation=SMALL)
    assert contents(tmp_path) == contents(prepared)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # distributed's own, on its way up and down
def test_a_dask_cluster_of_two_workers_makes_the_same_shards(
    index: Index, split: Split, prepared: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        preprocess(index, split, tmp_path, Workers(dask=cluster.scheduler_address), preparation=SMALL)
    assert contents(tmp_path) == contents(prepared)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
def test_a_dask_worker_that_is_killed_ends_the_run_with_an_error_too() -> None:
    distributed = pytest.importorskip("dask.distributed")
    dask = pytest.importorskip("dask")
    local = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(**local) as cluster,
        pytest.raises(TrainingError, match=r"Dask cluster at .* lost its workers"),
    ):
        list(Workers(dask=cluster.scheduler_address).run(refuse, [1], title="killed"))


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_does_not_answer_is_named() -> None:
    pytest.importorskip("dask.distributed")
    with pytest.raises(TrainingError, match="no Dask scheduler answers at nonsense"):
        list(Workers(dask="nonsense://nowhere:1").run(refuse, [1], title="none"))
