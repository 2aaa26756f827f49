"""Search for hyperparameters with Optuna: many workers on one study, killed and taken up again at will.

The study lives in a database, SQLite in the search's folder unless another is named. Whoever starts the same command
becomes one more worker. A worker's heartbeat tells that it lives; the trial of one that died is queued again, and goes
on from its checkpoint where its folder can be seen. Validation alone decides: the test split is never opened.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GridSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from edge_app.core.errors import ConfigError, TrainingError
from edge_app.store.lock import hold_in_turn
from training.search_spaces import Choice, Drawn, Space, draw, grid_size
from training.stopping import DivergedError, Watch

__all__ = ["Search", "TrialRunner", "folder_of", "open_study", "run_search"]

TrialRunner = Callable[[Drawn, Path, Watch], float]
"""Trains what was drawn into a folder and returns the best validation loss."""

RETRIES = 3
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_GRACE = 4
"""Heartbeats missed before a worker counts as dead."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to search, and where it is written down."""

    kind: str
    recipe: str
    space: Space
    out: Path
    trials: int
    """Finished and pruned ones of all workers together."""
    storage: str = ""
    """URL of Optuna's; "" for SQLite in `out`."""
    seed: int = 2023
    heartbeat_s: int = 30

    @property
    def name(self) -> str:
        """Of the study in the database."""
        return f"msu-{self.kind}-{self.recipe}-{self.out.resolve().name}"


def run_search(search: Search, identity: dict[str, Any], train: TrialRunner) -> Study:
    """Work on the search until its number of trials is reached; return the study.

    Parameters
    ----------
    search
        What to search.
    identity
        Of the data and settings: a search of other data is not gone on with.
    train
        Trains one trial.

    Raises
    ------
    ConfigError
        If the storage cannot be opened.
    TrainingError
        If the study is of other data or settings, or a trial fails for a reason that would fail the next one too. What
        was found stays, and the same command goes on.
    """
    grid = grid_size(search.space)
    wanted = min(search.trials, grid) if grid else search.trials
    study = open_study(search, identity)
    while len(study.get_trials(deepcopy=False, states=DONE)) < wanted:
        with _quiet():
            study.optimize(lambda trial: _try(trial, search, train), n_trials=1)
        _keep_only_the_best(study, search)
    return study


def open_study(search: Search, identity: dict[str, Any]) -> Study:
    """Open the study, or begin it.

    Raises
    ------
    ConfigError
        If the storage cannot be opened.
    TrainingError
        If the study is of something else.
    """
    search.out.mkdir(parents=True, exist_ok=True)
    url = search.storage or f"sqlite:///{(search.out / 'search.db').resolve()}"
    # In turn: two workers that make the tables of one database at the same moment get in each other's way.
    with hold_in_turn(search.out / "search.lock"), _quiet():
        try:
            storage = RDBStorage(
                url,
                engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
                heartbeat_interval=search.heartbeat_s,
                grace_period=_GRACE * search.heartbeat_s,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(RETRIES),
            )
            study = optuna.create_study(
                storage=storage,
                study_name=search.name,
                sampler=_sampler(search),
                pruner=optuna.pruners.MedianPruner(),
                load_if_exists=True,
            )
        except (SQLAlchemyError, ImportError, ValueError, optuna.exceptions.OptunaError) as error:
            reason = str(error).strip().splitlines()
            raise ConfigError(
                f"the storage of the search cannot be opened: {reason[0] if reason else type(error).__name__}",
                remedy="Give --storage as a URL: sqlite:////path/search.db, postgresql://user:password@host/base …",
            ) from error
        known = study.user_attrs.get("identity")
        if known is None:
            study.set_user_attr("identity", identity)
        elif known != json.loads(json.dumps(identity)):
            differing = sorted(key for key in identity if known.get(key) != json.loads(json.dumps(identity[key])))
            raise TrainingError(
                f"{search.out} holds a search with another {', '.join(differing) or 'setting'}",
                remedy="Give a new --out, or the same settings to go on.",
            )
    return study


def folder_of(trial: FrozenTrial, out: Path) -> Path:
    """Return the folder of a trial; one that is tried again has its first one's, checkpoint and all."""
    number = trial.system_attrs.get("failed_trial", trial.number)
    return out / f"trial-{number:05d}"


def _try(trial: Trial, search: Search, train: TrialRunner) -> float:
    drawn = draw(trial, search.kind, search.recipe, search.space)
    folder = folder_of(_frozen(trial), search.out)
    values = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
    sys.stderr.write(f"trial {trial.number}: {values}\n")

    def watch(epoch: int, loss: float) -> None:
        trial.report(loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned(f"loss {loss:.4f} in epoch {epoch + 1}")

    try:
        return train(drawn, folder, watch)
    except DivergedError as error:
        trial.set_user_attr("ended", str(error.message))
        raise optuna.TrialPruned(str(error.message)) from error
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        trial.set_user_attr("ended", "out of memory")
        raise optuna.TrialPruned("out of memory") from error
    except optuna.TrialPruned:
        raise
    except BaseException:
        # Not this trial's fault (interrupted, disk full): it waits in the queue for whoever goes on.
        with _quiet():
            RetryHeartbeatStaleTrialCallback(RETRIES)(trial.study, _frozen(trial))
        raise


def _keep_only_the_best(study: Study, search: Search) -> None:
    """Delete the folders of ended trials, the best one's excepted: a hundred checkpoints would fill a disk."""
    ended = study.get_trials(deepcopy=False, states=DONE)
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = min(complete, key=lambda trial: (trial.value, trial.number), default=None)
    for trial in ended:
        if trial is not best and (folder := folder_of(trial, search.out)).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _frozen(trial: Trial) -> FrozenTrial:
    found = trial.study.get_trials(deepcopy=False)
    return next(other for other in found if other.number == trial.number)


def _sampler(search: Search) -> BaseSampler:
    if grid_size(search.space):
        choices = {name: list(c.values) for name, c in search.space.items() if isinstance(c, Choice)}
        return GridSampler(choices, seed=search.seed)
    return _SeededByTrial(search.seed)


class _SeededByTrial(BaseSampler):
    """TPE whose chance follows from seed and trial number: workers never repeat each other, and one can be repeated."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner = self._for(0)

    def _for(self, number: int) -> TPESampler:
        chance = np.random.SeedSequence([self._seed, number]).generate_state(1)[0]
        with _quiet():
            return TPESampler(seed=int(chance), constant_liar=True)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner = self._for(trial.number)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna calls what it has had for years experimental, and logs each trial, which we do ourselves."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _short(value: object) -> str:
    return f"{value:.2e}" if isinstance(value, float) else str(value)
