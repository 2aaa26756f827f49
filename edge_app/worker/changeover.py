"""Which bundle the worker runs, and how it takes up another one between cases.

A bundle that was installed (`edge_app.inference.installed`) is loaded and tried on its golden set only when no study is
under way; until it has passed, the one that ran is what runs again. One that cannot be loaded at a start gives way to
the one before it. Engines that were built while the CPU ran in their place are taken up in the same way. Each switch
and each refusal is in the log and in the audit trail.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError
from edge_app.core.logs import get_logger
from edge_app.inference.bundle import load_bundle
from edge_app.inference.installed import BundleStore, trusted_keys, with_installed_bundle
from edge_app.inference.passport import NETWORKS, passport_path
from edge_app.store.ledger import Ledger
from edge_app.worker.golden_check import check_golden_answers
from edge_app.worker.models import Models, load_models, open_models
from edge_app.worker.publish import publish_model

__all__ = ["Changeover", "try_bundle"]

TRIED_PATIENTS = 3
"""Golden patients that are run before a bundle is taken up: no images are analysed meanwhile. `msu bundle install`
has run them all."""

_log = get_logger(__name__)


def try_bundle(
    path: Path, settings: Settings, *, patients: int | None = None, alive: Callable[[], None] | None = None
) -> tuple[Models, str]:
    """Open a bundle as the worker would, and ask it its golden questions; return it opened, and what was found.

    `alive` is called after each slice.

    Raises
    ------
    BundleError
        If it is not signed, does not load, or does not answer as it should.
    """
    analysis = settings.analysis
    bundle = load_bundle(path, trusted_keys(analysis))
    models = open_models(bundle, threads=analysis.threads, engines=Path(analysis.engines) if analysis.engines else None)
    try:
        return models, check_golden_answers(bundle, models, patients=patients, alive=alive)
    except BaseException:
        models.close()
        raise


class Changeover:
    """The worker's bundle: `models` is None where none can be loaded, and `problem` says why."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.models: Models | None = None
        self.problem = ""
        self._settings = settings
        self._ledger = ledger
        self._store = BundleStore.of(settings)
        self._engines: tuple[int, ...] = ()
        self._follows = not settings.analysis.bundle
        """Whether what was installed runs here: settings that name a bundle are kept to."""

    def start(self) -> None:
        """Open what runs; a trial that was never ended killed the worker that made it."""
        if self._follows and self._store.has("trial"):
            self._refuse("the worker died while it tried it")
        if self._follows and self._store.has("next") and not self._store.has("current"):
            self.take_up()
        else:
            self._open()

    def due(self, quiet_s: float) -> bool:
        """Return whether another bundle, or new engines, are to be taken up now: no case was under way for so long."""
        if not 0 < quiet_s >= self._settings.analysis.switch_quiet_s:
            return False
        return self._asked() or self._engines != _passports(self.models)

    def take_up(self, alive: Callable[[], None] | None = None) -> None:
        """Try the bundle that was asked for; afterwards it runs, or the one that ran before does again."""
        self.close()  # first: two models may be more than the memory holds
        if not self._asked():
            self._open()
            return
        name = self._store.name("next")
        try:
            path = self._store.begin_trial()
            self.models, found = try_bundle(path, self._settings, patients=TRIED_PATIENTS, alive=alive)
        except BundleError as error:
            self._refuse(error.message)
            self._open()
            return
        self._store.keep_trial()
        self._tell(321, "bundle_taken_up", name, found, logging.INFO)
        self._opened(self.models)

    def close(self) -> None:
        """Let go of the networks."""
        if self.models is not None:
            self.models.close()
            self.models = None

    def _open(self) -> None:
        try:
            self.models = self._load()
        except BundleError as error:
            self.problem = str(error)
            self._engines = ()  # what engines there are is looked at again when a bundle can be loaded
            _log.event(320, "no model", level=logging.ERROR, problem=self.problem)
        else:
            self._opened(self.models)

    def _load(self) -> Models:
        try:
            return load_models(with_installed_bundle(self._settings))
        except BundleError as error:
            if not (self._follows and self._store.has("previous")):
                raise
            name = self._store.name("current")
            self._store.fall_back(error.message)
            self._tell(323, "bundle_rolled_back", name, error.message, logging.ERROR)
            return load_models(with_installed_bundle(self._settings))

    def _asked(self) -> bool:
        return self._follows and self._store.has("next")

    def _opened(self, models: Models) -> None:
        self.problem = ""
        self._engines = _passports(models)
        publish_model(self._ledger.paths, models)

    def _refuse(self, why: str) -> None:
        name = self._store.name("trial")
        self._store.end_trial(why)
        self._tell(322, "bundle_refused", name, why, logging.ERROR)

    def _tell(self, number: int, event: str, name: str, found: str, level: int) -> None:
        _log.event(number, event.replace("_", " "), level=level, bundle=name, found=found)
        self._ledger.audit(event, {"bundle": name, "found": found})


def _passports(models: Models | None) -> tuple[int, ...]:
    """Return what tells the passports of a model's engines from later ones; nothing where engines run, or no model."""
    if models is None or not models.remarks:
        return ()
    paths = [passport_path(models.engines, network) for network in NETWORKS]
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())
