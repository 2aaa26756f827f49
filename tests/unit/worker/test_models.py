from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import BackendError, BundleError
from edge_app.worker.models import load_models
from tests.bundles import FEATURES, image_network, write_tiny_bundle


def load(folder: Path) -> None:
    with load_models(AnalysisSettings(bundle=str(folder), threads=1)):
        pass


def test_a_whole_bundle_opens_and_names_model_and_backend(bundle: Path) -> None:
    with load_models(AnalysisSettings(bundle=str(bundle), threads=1)) as models:
        assert models.identity.name == "tiny"
        assert models.profile.name == "msu1"
        assert models.backend_name.startswith("onnxruntime-cpu")


def test_a_bundle_for_another_version_of_the_preprocessing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"E-101 .*preprocessing\.sha256"):
        load(write_tiny_bundle(tmp_path, profile_sha256="0" * 64))


def test_a_bundle_for_an_unknown_preprocessing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"preprocessing\.profile.*'nobody'"):
        load(write_tiny_bundle(tmp_path, profile="nobody", profile_sha256="0" * 64))


def test_a_network_that_is_not_the_one_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="features"):
        load(write_tiny_bundle(tmp_path, image=image_network(features=FEATURES + 1)))


def test_a_network_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="E-103"):
        load(write_tiny_bundle(tmp_path, patient=b"no network"))
