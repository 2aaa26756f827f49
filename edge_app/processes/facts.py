"""What the reports say of the model, from the bundle that is configured, if that is the one that answered."""

from __future__ import annotations

from pathlib import Path

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError
from edge_app.core.logs import get_logger
from edge_app.core.types import ModelIdentity
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.installed import with_installed_bundle
from edge_app.reports import ModelFacts

__all__ = ["FactsOfModels"]

_log = get_logger(__name__)


class FactsOfModels:
    """Looks facts up by model; the bundle is loaded once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bundle: Bundle | None = None

    def of(self, model: ModelIdentity | None) -> ModelFacts | None:
        """Return the operating points and test results of the model, or None if its bundle is no longer there."""
        if model is None:
            return None
        if self._bundle is None or self._bundle.sha256 != model.sha256:
            try:
                named = with_installed_bundle(self._settings).bundle
                self._bundle = load_bundle(Path(named) if named else None)
            except BundleError as error:
                _log.event(407, "operating points left out of the reports", problem=error.message)
                return None
        if self._bundle.sha256 != model.sha256:
            return None
        manifest = self._bundle.manifest
        points = manifest.operating_points
        return ModelFacts(
            operating_points={label: (point.t_lo, point.t_hi) for label, point in points.items()},
            performance={label: rates for label in points if (rates := manifest.performance(label)) is not None},
            heat_maps=manifest.heat_maps,
        )
