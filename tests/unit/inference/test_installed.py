"""The folder of installed bundles: whole or not at all, one rename at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError, StoreError
from edge_app.inference import installed
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.installed import BundleStore, with_installed_bundle
from edge_app.inference.manifest import IMAGE_FILE
from edge_app.inference.signature import TrustedKeys
from tests.bundles import write_tiny_bundle

KEYS = TrustedKeys(development=True)


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


def made(folder: Path, version: str = "1.0") -> Bundle:
    return load_bundle(write_tiny_bundle(folder / f"source-{version}", version=version), KEYS)


def run(store: BundleStore, bundle: Bundle) -> str:
    """Install a bundle and let it become the one that runs."""
    name = store.add(bundle, KEYS)
    store.ask_for(name)
    store.begin_trial()
    store.keep_trial()
    return name


def test_an_installed_bundle_is_the_one_that_was_given_with_its_signature(store: BundleStore, tmp_path: Path) -> None:
    bundle = made(tmp_path)
    name = store.add(bundle, KEYS)
    copy = load_bundle(store.root / name, KEYS)
    assert copy.identity == bundle.identity and name == f"tiny-1.0-{bundle.sha256[:8]}"
    assert not store.has("current") and not store.has("next")
    assert store.add(bundle, KEYS) == name


def test_a_copy_that_fails_leaves_nothing_behind(
    store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = made(tmp_path)
    (bundle.path / IMAGE_FILE).write_bytes(b"changed meanwhile")
    with pytest.raises(BundleError, match="changed while it was copied"):
        store.add(bundle, KEYS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installed, "_copy", full)
    with pytest.raises(StoreError, match="No space"):
        store.add(made(tmp_path, "2.0"), KEYS)
    assert [path.name for path in store.root.iterdir()] == [".lock"]


def test_what_a_killed_installer_left_is_removed_by_the_next(store: BundleStore, tmp_path: Path) -> None:
    (store.root / ".installing-dead").mkdir(parents=True)
    name = store.add(made(tmp_path), KEYS)
    assert {path.name for path in store.root.iterdir()} == {".lock", name}


def test_an_installed_bundle_that_was_damaged_since_is_not_called_installed(store: BundleStore, tmp_path: Path) -> None:
    name = store.add(made(tmp_path), KEYS)
    (store.root / name / IMAGE_FILE).write_bytes(b"damaged")
    with pytest.raises(BundleError, match=IMAGE_FILE):
        store.add(made(tmp_path), KEYS)


def test_the_one_before_is_kept_and_older_ones_go_with_their_engines(store: BundleStore, tmp_path: Path) -> None:
    first = run(store, made(tmp_path, "1.0"))
    (store.root / f"{first}.engines").mkdir()
    second = run(store, made(tmp_path, "2.0"))
    assert (store.name("current"), store.name("previous")) == (second, first)
    third = run(store, made(tmp_path, "3.0"))
    assert (store.name("current"), store.name("previous")) == (third, second)
    assert {path.name for path in store.root.iterdir()} == {".lock", "current", "previous", second, third}


def test_a_bundle_that_another_ones_switch_removed_is_not_asked_for(store: BundleStore, tmp_path: Path) -> None:
    """Between copying and asking lies the building of engines, which takes long enough."""
    slow = store.add(made(tmp_path, "1.0"), KEYS)
    run(store, made(tmp_path, "2.0"))
    with pytest.raises(BundleError, match=r"removed meanwhile.* Install it again"):
        store.ask_for(slow)
    assert not store.has("next")


def test_going_back_and_forth_swaps_the_two(store: BundleStore, tmp_path: Path) -> None:
    first, second = run(store, made(tmp_path, "1.0")), run(store, made(tmp_path, "2.0"))
    for wanted, other in ((first, second), (second, first)):
        store.ask_for(store.name("previous"))
        store.begin_trial()
        store.keep_trial()
        assert (store.name("current"), store.name("previous")) == (wanted, other)


def test_a_refusal_is_kept_until_the_next_switch(store: BundleStore, tmp_path: Path) -> None:
    first = run(store, made(tmp_path, "1.0"))
    second = store.add(made(tmp_path, "2.0"), KEYS)
    store.ask_for(second)
    store.begin_trial()
    store.end_trial("it answers otherwise")
    refusal = store.refusal
    assert refusal is not None and (refusal["name"], refusal["why"]) == (second, "it answers otherwise")
    assert store.name("current") == first and not store.has("trial")
    run(store, made(tmp_path, "3.0"))
    assert store.refusal is None


def test_settings_that_name_a_bundle_are_kept_to(store: BundleStore, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert with_installed_bundle(settings).bundle == ""
    run(store, made(tmp_path))
    assert with_installed_bundle(settings).bundle == str(tmp_path / "bundles" / "current")
    fixed = settings.replaced(analysis={"bundle": "/elsewhere"})
    assert with_installed_bundle(fixed).bundle == "/elsewhere"


def test_a_bundle_stays_the_same_when_the_link_it_was_opened_by_is_turned(store: BundleStore, tmp_path: Path) -> None:
    first = made(tmp_path, "1.0")
    run(store, first)
    opened = load_bundle(store.root / "current", KEYS)
    run(store, made(tmp_path, "2.0"))
    assert opened.read(IMAGE_FILE) == first.read(IMAGE_FILE)


def test_there_is_nothing_to_go_back_to_at_first(store: BundleStore) -> None:
    with pytest.raises(BundleError, match="no previous bundle"):
        store.path("previous")
