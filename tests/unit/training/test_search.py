"""A search draws from the published spaces, is shared by workers, survives their death, and says what it found."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from edge_app.cli import main
from edge_app.core.errors import ConfigError, TrainingError
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.image_model import DEMO_ARCHITECTURE
from training.run_patient import load_patient
from training.search import Search, run_search
from training.search_report import FOUND, read_found, write_report
from training.search_spaces import SPACES, Choice, Drawn, Range, grid_size, space_of
from training.stopping import DivergedError, Watch

ROOT = Path(__file__).resolve().parents[3]
SPACE = {"learning_rate": Range(1e-6, 1e-3), "hidden": Choice((50, 100))}


def parabola(drawn: Drawn, folder: Path, watch: Watch) -> float:
    """Stand in for a training; the best learning rate is 1e-4."""
    loss = abs(float(torch.log10(torch.tensor(drawn.changes["learning_rate"]))) + 4.0)
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(3):
        watch(epoch, loss + 1.0 / (epoch + 1))
    return loss


def search_in(out: Path, trials: int) -> Search:
    return Search(kind="gru", recipe="seed2023", space=SPACE, out=out, trials=trials)


WORKER = """
import os, signal, sqlite3, sys
from contextlib import closing
from pathlib import Path
from tests.unit.training.test_search import parabola, search_in
from tests.waiting import wait_until
from training.search import run_search

def train(drawn, folder, watch):
    if sys.argv[3] == "dies":
        folder.mkdir()
        (folder / "checkpoint.pt").write_text(repr(sorted(drawn.changes.items())))
        # Optuna notes the sign of life on a thread of its own.
        with closing(sqlite3.connect(Path(sys.argv[1]) / "search.db")) as base:
            wait_until(lambda: base.execute("SELECT * FROM trial_heartbeats").fetchone(), "a sign of life")
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(sys.argv[1]) / f"worker-{os.getpid()}").touch()
    return parabola(drawn, folder, watch)

run_search(search_in(Path(sys.argv[1]), int(sys.argv[2])), {}, train)
"""


def worker(out: Path, trials: int, how: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", WORKER, str(out), str(trials), how]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)


def test_the_published_spaces_are_the_papers() -> None:
    image = SPACES["image", "seed2023"]
    assert image["architecture"] == Choice(
        ("resnet152", "vit_l_16", "efficientnet_v2_l", "swin_v2_b", "resnext101_32x8d")
    )
    assert (image["learning_rate"], image["weight_decay"]) == (Range(1e-6, 1e-3), Range(1e-9, 1e-6))
    transformer = SPACES["transformer", "seed2023"]
    assert grid_size(transformer) == 240
    assert transformer["heads"] == Choice((2, 4, 8))
    assert transformer["learning_rate"] == Choice((1e-4, 1e-3, 1e-2, 1e-1))
    assert not any(grid_size(space) for key, space in SPACES.items() if key != ("transformer", "seed2023"))
    assert space_of("image", "modern", ["resnet18"])["architecture"] == Choice(("resnet18",))
    with pytest.raises(ConfigError, match="no search space for gru modern"):
        space_of("gru", "modern")


def test_a_search_finds_the_best_and_can_be_repeated(tmp_path: Path) -> None:
    studies = [run_search(search_in(tmp_path / name, 16), {}, parabola) for name in ("one", "two")]
    assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]
    assert {t.state for t in studies[0].trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert studies[0].best_value < 0.2
    found = write_report(studies[0], search_in(tmp_path / "one", 16))
    assert found["best"]["loss"] == studies[0].best_value
    assert set(found["importance"]) <= {"learning_rate", "hidden"} and max(found["importance"].values()) > 0.5
    for picture in ("history.png", "importance.png"):
        assert (tmp_path / "one" / picture).read_bytes().startswith(b"\x89PNG")
    assert [folder.name for folder in (tmp_path / "one").glob("trial-*")] == [found["best"]["folder"]]


def test_a_grid_is_tried_completely_and_once(tmp_path: Path) -> None:
    space = {"heads": Choice((2, 4)), "learning_rate": Choice((1e-4, 1e-3, 1e-2))}
    search = replace(search_in(tmp_path, 99), kind="transformer", space=space)
    study = run_search(search, {}, parabola)
    tried = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(tried) == len(set(tried)) == 6
    assert len(run_search(search, {}, parabola).trials) == 6


def test_a_trial_that_diverges_or_needs_too_much_memory_does_not_end_the_search(tmp_path: Path) -> None:
    causes = [DivergedError("the loss is nan", remedy=""), torch.OutOfMemoryError("CUDA out of memory"), None]

    def train(drawn: Drawn, folder: Path, watch: Watch) -> float:
        cause = causes.pop(0)
        if cause:
            raise cause
        return parabola(drawn, folder, watch)

    study = run_search(search_in(tmp_path, 3), {}, train)
    assert [t.state for t in study.trials] == [TrialState.PRUNED, TrialState.PRUNED, TrialState.COMPLETE]
    assert [t.user_attrs.get("ended") for t in study.trials] == ["the loss is nan", "out of memory", None]


def test_a_search_without_any_result_says_so(tmp_path: Path) -> None:
    def train(drawn: Drawn, folder: Path, watch: Watch) -> float:
        raise DivergedError("the loss is nan", remedy="")

    study = run_search(search_in(tmp_path, 2), {}, train)
    with pytest.raises(TrainingError, match="none of 2 trials"):
        write_report(study, search_in(tmp_path, 2))


def test_a_trial_that_was_interrupted_is_the_next_one_to_be_tried(tmp_path: Path) -> None:
    def full(drawn: Drawn, folder: Path, watch: Watch) -> float:
        folder.mkdir()
        (folder / "checkpoint.pt").touch()
        raise TrainingError("the disk is full", remedy="")

    with pytest.raises(TrainingError, match="the disk is full"):
        run_search(search_in(tmp_path, 1), {}, full)
    seen = []

    def train(drawn: Drawn, folder: Path, watch: Watch) -> float:
        seen.append((folder / "checkpoint.pt").exists())
        return parabola(drawn, folder, watch)

    study = run_search(search_in(tmp_path, 1), {}, train)
    assert seen == [True]
    first, second = study.trials
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE) and first.params == second.params


@pytest.mark.integration
def test_workers_share_a_search_and_take_over_from_the_dead(tmp_path: Path) -> None:
    dead = worker(tmp_path, 1, "dies")
    assert dead.wait(120) == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / "search.db")) as base, base:
        assert base.execute("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-1 hour')").rowcount == 1
    workers = [worker(tmp_path, 8, "lives") for _ in range(2)]
    assert [process.wait(120) for process in workers] == [0, 0]
    study = run_search(search_in(tmp_path, 8), {}, parabola)
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    assert 8 <= len(ended) <= 9  # the other worker's last one may come on top
    assert len(list(tmp_path.glob("worker-*"))) in (1, 2)
    killed, again = (trial for trial in study.trials if trial.params == study.trials[0].params)
    assert (killed.state, again.system_attrs["failed_trial"]) == (TrialState.FAIL, killed.number)
    others = [tuple(trial.params.items()) for trial in ended]
    assert len(others) == len(set(others))


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    torch.manual_seed(0)
    save_image_network(folder, Classifier(DEMO_ARCHITECTURE), {"profile": "msu1"})
    return folder


@pytest.mark.parametrize(("arch", "recipe"), [("gru", "ours"), ("transformer", "seed2023")])
def test_a_patient_network_is_searched_for_and_trained_with_what_was_found(
    prepared: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arch: str, recipe: str
) -> None:
    sources = f"--data {prepared} --image {image_folder} --recipe {recipe} --device cpu --epochs 1"
    command = f"train search {arch} {sources} --out {tmp_path}/s --trials 2"
    assert main(command.split()) == 0
    found = json.loads((tmp_path / "s" / FOUND).read_text())
    model, description = load_patient(tmp_path / "s" / found["best"]["folder"])
    assert description["best"]["loss"] == pytest.approx(found["best"]["loss"]) and not model.training
    assert main(command.split()) == 0
    assert json.loads((tmp_path / "s" / FOUND).read_text())["log"] == found["log"]
    assert main([*command.split(), "--seed", "7"]) == 9
    assert "a search with another seed" in capsys.readouterr().err
    assert main(f"train patient --arch {arch} {sources} --out {tmp_path}/p --search {tmp_path}/s".split()) == 0
    _, again = load_patient(tmp_path / "p")
    assert (again["changes"], again["sizes"]) == (description["changes"], description["sizes"])
    with pytest.raises(ConfigError, match="not gru seed2023"):
        read_found(tmp_path / "s", "gru", "seed2023")


def test_an_image_network_is_searched_for(prepared: Path, tmp_path: Path) -> None:
    words = f"train search image --data {prepared} --out {tmp_path} --trials 2 --epochs 1 --batch 12 --device cpu"
    assert main([*words.split(), "--weights", "random", "--archs", DEMO_ARCHITECTURE]) == 0
    found = json.loads((tmp_path / FOUND).read_text())
    model, description = load_image_network(tmp_path / found["best"]["folder"])
    assert model.architecture == found["best"]["parameters"]["architecture"]
    assert description["recipe"]["learning_rate"] == found["best"]["parameters"]["learning_rate"]


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("image --storage nonsense", "storage of the search cannot be opened"),
        ("image --storage postgresql://nobody@127.0.0.1:1/x", "storage of the search cannot be opened"),
        ("image --trials 0", "--trials 0"),
        ("gru", "needs --image"),
    ],
)
def test_what_cannot_be_searched_is_said(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: str, named: str
) -> None:
    assert main(["train", "search", *extra.split(), "--data", str(prepared), "--out", str(tmp_path)]) == 78
    assert named in capsys.readouterr().err
