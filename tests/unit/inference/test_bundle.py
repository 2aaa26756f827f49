from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_app.core.errors import BundleError
from edge_app.inference import bundle as bundle_module
from edge_app.inference import sealed as sealed_module
from edge_app.inference.bundle import inspect_bundle, load_bundle
from edge_app.inference.manifest import IMAGE_FILE, MANIFEST_FILE, MODEL_CARD_FILE
from tests.bundles import write_tiny_bundle, zip_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle", profile_sha256="0" * 64)


def edit_manifest(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = folder / MANIFEST_FILE
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def test_a_whole_bundle_loads_and_says_which_model_it_is(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert (bundle.identity.name, bundle.identity.version, bundle.identity.synthetic) == ("tiny", "0.0.1", True)
    assert len(bundle.sha256) == 64
    assert bundle.read(MODEL_CARD_FILE).startswith(b"# Tiny")


@pytest.mark.parametrize("top", ["", "bundle/"])
def test_a_zip_of_the_folder_is_the_same_bundle(folder: Path, tmp_path: Path, top: str) -> None:
    zipped = load_bundle(zip_bundle(folder, tmp_path / "bundle.zip", top=top))
    assert zipped.identity == load_bundle(folder).identity
    assert zipped.read(IMAGE_FILE) == (folder / IMAGE_FILE).read_bytes()


def test_inspecting_names_hash_operating_points_and_evaluation(folder: Path) -> None:
    bundle = load_bundle(folder)
    shown = inspect_bundle(bundle)
    assert shown["sha256"] == bundle.sha256
    assert {"name", "version", "operating_points", "evaluation", "synthetic", "path"} <= set(shown)


def test_a_changed_file_is_refused_by_name(folder: Path) -> None:
    (folder / IMAGE_FILE).write_bytes(b"other weights")
    with pytest.raises(BundleError, match=r"E-101 .*image\.onnx"):
        load_bundle(folder)


def test_a_file_changed_after_loading_is_not_handed_out(folder: Path) -> None:
    bundle = load_bundle(folder)
    (folder / IMAGE_FILE).write_bytes(b"other weights")
    with pytest.raises(BundleError, match="changed"):
        bundle.read(IMAGE_FILE)


def test_a_file_that_vanished_after_loading_is_a_bundle_error(folder: Path) -> None:
    bundle = load_bundle(folder)
    (folder / IMAGE_FILE).unlink()
    with pytest.raises(BundleError, match=r"image\.onnx"):
        bundle.read(IMAGE_FILE)


def test_only_files_of_the_manifest_are_handed_out(folder: Path) -> None:
    with pytest.raises(BundleError, match="passwd"):
        load_bundle(folder).read("../passwd")


@pytest.mark.parametrize("name", [IMAGE_FILE, MANIFEST_FILE, MODEL_CARD_FILE])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_a_file_that_the_manifest_does_not_list_is_refused(folder: Path) -> None:
    (folder / "extra.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.onnx"):
        load_bundle(folder)


def test_a_link_in_the_folder_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to(folder / IMAGE_FILE)
    with pytest.raises(BundleError, match="link"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "field",
    ["name", "version", "classes", "preprocessing", "operating_points", "calibration", "training", "evaluation",
     "synthetic", "files", "producer_commit", "schema_version"],
)  # fmt: skip
def test_a_missing_field_is_refused_by_name(folder: Path, field: str) -> None:
    edit_manifest(folder, lambda body: body.pop(field))
    with pytest.raises(BundleError, match=field):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda body: body.update(schema_version=2), "schema_version"),
        (lambda body: body.update(surprise=1), "surprise"),
        (lambda body: body.update(classes=["a", "b", "c"]), "classes"),
        (lambda body: body["operating_points"].pop("ischemic"), "ischemic"),
        (lambda body: body["operating_points"]["hemorrhage"].update(t_lo=0.9), "t_lo"),
        (lambda body: body["calibration"].update(temperature=0), "temperature"),
        (lambda body: body["calibration"].update(method="platt"), "platt"),
        (lambda body: body["patient"].update(labels="findings"), "calibration is for softmax"),
        (lambda body: body["image"].update(labels="others"), "image.labels"),
        (lambda body: body["patient"].update(distance_threshold=math.inf), "distance_threshold"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(folder: Path, change: Callable[..., object], named: str) -> None:
    edit_manifest(folder, change)
    with pytest.raises(BundleError, match=named):
        load_bundle(folder)


@pytest.mark.requirement("R22")
def test_a_bundle_of_before_that_does_not_say_how_its_logits_are_read_is_softmax(folder: Path) -> None:
    def as_before(body: dict[str, Any]) -> None:
        for network in ("image", "patient"):
            del body[network]["labels"]
        del body["calibration"]["findings"]

    edit_manifest(folder, as_before)
    manifest = load_bundle(folder).manifest
    assert (manifest.image.labels, manifest.patient.labels, manifest.calibration.labels) == ("softmax",) * 3


def test_a_manifest_that_is_no_json_or_far_too_large_is_refused(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("{")
    with pytest.raises(BundleError, match=MANIFEST_FILE):
        load_bundle(folder)
    (folder / MANIFEST_FILE).write_bytes(b" " * (sealed_module.MAX_INDEX_BYTES + 1))
    with pytest.raises(BundleError, match=MANIFEST_FILE):
        load_bundle(folder)


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a\\..\\evil", "c:evil", "x/../../evil"])
def test_a_zip_entry_that_would_leave_the_bundle_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(name, b"x")
    with pytest.raises(BundleError, match="leave the bundle"):
        load_bundle(archive)


def test_a_zip_with_a_name_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(archive, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr(IMAGE_FILE, b"x")
    with pytest.raises(BundleError, match="twice"):
        load_bundle(archive)


def test_a_link_in_a_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(link, b"/etc/passwd")
    with pytest.raises(BundleError, match="link"):
        load_bundle(archive)


def test_a_file_that_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(path)


def test_a_damaged_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    content = bytearray(archive.read_bytes())
    content[60:90] = b"\0" * 30
    archive.write_bytes(content)
    with pytest.raises(BundleError):
        load_bundle(archive)


def test_a_bundle_larger_than_any_model_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", 100)
    with pytest.raises(BundleError, match="100"):
        load_bundle(folder)
