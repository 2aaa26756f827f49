"""The two networks of a bundle, opened and fit for this program's preprocessing.

The stages never import each other, so it is here that a bundle meets the preprocessing whose hash it names.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import BundleError
from edge_app.core.reasons import FALLBACK_REMARK
from edge_app.core.types import ModelIdentity
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.installed import trusted_keys
from edge_app.inference.manifest import MODEL_CARD_FILE, Manifest
from edge_app.inference.passport import engines_folder
from edge_app.inference.predict import ImagePredictor, PatientPredictor
from edge_app.inference.select import Choice, open_bundle_network
from edge_app.preprocessing import PROFILES, Profile, profile_hash

__all__ = ["Models", "load_models", "open_models", "vital_signs"]


@dataclass(frozen=True, eq=False, slots=True)
class Models:
    """Everything between a prepared slice and a patient's scores; use as a context manager."""

    bundle: Bundle
    identity: ModelIdentity
    manifest: Manifest
    card: str
    """The model card, Markdown."""
    profile: Profile
    image: ImagePredictor
    patient: PatientPredictor
    backend_name: str
    remarks: tuple[str, ...]
    """What is said with every result of these models: which engine does not run, and why."""
    engines: Path
    """Where their engines lie, or would."""
    _resources: ExitStack

    def __enter__(self) -> Models:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of both networks; harmless when done before."""
        self._resources.close()


def open_models(bundle: Bundle, *, threads: int, engines: Path | None = None) -> Models:
    """Open both networks of a bundle, on TensorRT where a proven engine is there (`edge_app.inference.select`).

    Raises
    ------
    BundleError
        If the bundle names a preprocessing that this program does not have in exactly that form.
    BackendError
        If a network cannot be opened, or has other inputs and outputs than the manifest describes.
    """
    wanted = bundle.manifest.preprocessing
    profile = PROFILES.get(wanted.profile)
    if profile is None:
        raise _refusal(bundle, "profile", f"'{wanted.profile}' is not one of {', '.join(sorted(PROFILES))}")
    if (own := profile_hash(profile)) != wanted.sha256:
        raise _refusal(bundle, "sha256", f"{wanted.sha256} is not this program's {own} for '{wanted.profile}'")
    with ExitStack() as resources:
        image = open_bundle_network(bundle, "image", threads=threads, engines=engines)
        resources.enter_context(image.backend)
        patient = open_bundle_network(bundle, "patient", threads=threads, engines=engines)
        resources.enter_context(patient.backend)
        return Models(
            bundle=bundle,
            identity=bundle.identity,
            manifest=bundle.manifest,
            card=bundle.read(MODEL_CARD_FILE).decode("utf-8", "replace"),
            profile=profile,
            image=ImagePredictor(image.backend, bundle.manifest),
            patient=PatientPredictor(patient.backend, bundle.manifest),
            backend_name=image.backend.name,
            remarks=_remarks(image, patient),
            engines=engines_folder(bundle.path, bundle.sha256, engines),
            _resources=resources.pop_all(),
        )


def load_models(settings: AnalysisSettings) -> Models:
    """Open the bundle that the settings name, if a key that they trust has signed it.

    Raises
    ------
    BundleError
        As `load_bundle` and `open_models` say.
    """
    bundle = load_bundle(Path(settings.bundle) if settings.bundle else None, trusted_keys(settings))
    engines = Path(settings.engines) if settings.engines else None
    return open_models(bundle, threads=settings.threads, engines=engines)


def vital_signs(models: Models | None, problem: str, canary: dict[str, object] | None = None) -> dict[str, object]:
    """Return what the worker's heartbeat says: which model runs on what, or why none does, and the canary's word."""
    identity = models.identity if models else None
    return {
        "model": {
            "name": identity.name,
            "version": identity.version,
            "sha256": identity.sha256,
            "synthetic": identity.synthetic,
            "development_key": identity.development_key,
        }
        if identity
        else None,
        "backend": models.backend_name if models else None,
        "problem": problem,
        "fallback": models.remarks[0] if models and models.remarks else "",
        "canary": canary,
    }


def _remarks(image: Choice, patient: Choice) -> tuple[str, ...]:
    why = [choice.fallback for choice in (image, patient) if choice.fallback]
    return (f"{FALLBACK_REMARK}: {why[0]} (msu engine build)",) if why else ()


def _refusal(bundle: Bundle, field: str, what: str) -> BundleError:
    return BundleError(
        f"bundle {bundle.path}: manifest.json: field 'preprocessing.{field}': {what}",
        remedy="The model was trained on other inputs than this program makes: install the version that made it.",
    )
