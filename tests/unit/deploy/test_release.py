"""A release is made, checked before it is unpacked, switched to between cases, and gone back from."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_app.cli import main
from edge_app.core.config import Settings
from edge_app.core.errors import BundleError, ConfigError, MsuError, ProcessError, StoreError
from edge_app.core.types import StudyStatus
from edge_app.deploy.release import RELEASE_FILE, load_release, version_key
from edge_app.deploy.update import UpdateOptions, find_release, install_release
from edge_app.inference.signature import DEVELOPMENT_KEY, SIGNATURE_FILE, TrustedKeys
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from export.release_make import make_release
from tests.bundles import write_tiny_bundle

KEYS = TrustedKeys(development=True)
SWITCH = Path(__file__).parents[3] / "deploy" / "msu-release"

INSTALLER = """#!/bin/sh
# Does of install.sh what the update needs: a release beside the one that runs.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
name=$(sed -n 's/.*"name": *"\\([^"]*\\)".*/\\1/p' "$here/medium.json")
echo "$@" >"$MSU_ROOT/installed-with"
mkdir -p "$MSU_ROOT/releases/$name/deploy/systemd"
cp "$here/deploy/check.sh" "$MSU_ROOT/releases/$name/deploy"
echo '{}' >"$MSU_ROOT/releases/$name/release.json"
"""

SYSTEMCTL = """#!/bin/sh
# Everything is ready at once; engines fail where a file says so.
echo "$@" >>"$MSU_ROOT/systemctl-said"
case "$1 $2" in "start msu-engines@"*) [ ! -f "$MSU_ROOT/no-engines" ] ;; esac
"""


class Vehicle:
    """A root folder with a running release, the real switch, and a systemd that says yes."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = folder / "opt", folder
        (self.root / "releases" / "0.1.0-old").mkdir(parents=True)
        (self.root / "releases" / "0.1.0-old" / "release.json").write_text("{}")
        (self.root / "current").symlink_to("releases/0.1.0-old")
        shutil.copy(SWITCH, self.root / "msu-release")
        self.systemctl = script(self.root / "systemctl", SYSTEMCTL)
        self.settings = Settings(data=folder / "store")

    def medium(self, version: str = "0.2.0", check: str = "exit 0", *, bundle: bool = True) -> Path:
        medium = self.folder / f"medium-{version}"
        about = {"schema": 1, "name": f"{version}-abcd1234", "version": version, "target": "debian12"}
        (medium / "wheels").mkdir(parents=True)
        (medium / "wheels" / "one.whl").write_bytes(b"wheel" * 1000)
        (medium / "medium.json").write_text(json.dumps(about, indent=2))
        (medium / "deploy").mkdir()
        script(medium / "deploy" / "install.sh", INSTALLER)
        script(medium / "deploy" / "check.sh", f"#!/bin/sh\n{check}\n")
        if bundle:
            write_tiny_bundle(medium / "bundle")
        return medium

    def install(self, source: Path, **changes: object) -> str:
        options = UpdateOptions(
            root=self.root, check=f"{self.root}/current/deploy/check.sh", systemctl=str(self.systemctl), wait_s=0.0
        )
        return install_release(source, self.settings, replace(options, **changes))  # type: ignore[arg-type]

    @property
    def running(self) -> str:
        return (self.root / "current").readlink().name

    @property
    def touched(self) -> bool:
        """Whether anything of a release was run or is left unpacked."""
        return (self.root / "installed-with").exists() or bool(list(self.root.glob(".incoming-*")))


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def vehicle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vehicle:
    vehicle = Vehicle(tmp_path)
    for name, value in {
        "MSU_ROOT": vehicle.root,
        "MSU_SYSTEMCTL": vehicle.systemctl,
        "MSU_UNITS": tmp_path / "units",
        "MSU_STEADY_S": 0,
    }.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "units").mkdir()
    return vehicle


@pytest.fixture
def release(vehicle: Vehicle) -> Path:
    path, _ = make_release(vehicle.medium(), DEVELOPMENT_KEY)
    return path


def repacked(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Return a release with other content under the same signature."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_a_release_says_what_it_brings_and_keeps_what_is_executable(release: Path, tmp_path: Path) -> None:
    found = load_release(release, KEYS)
    assert (found.manifest.name, found.manifest.target) == ("0.2.0-abcd1234", "debian12")
    assert found.manifest.bundle is not None and found.manifest.bundle.name == "tiny"
    (tmp_path / "out").mkdir()
    found.unpack(tmp_path / "out")
    assert (tmp_path / "out" / "deploy" / "install.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "wheels" / "one.whl").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "out" / SIGNATURE_FILE).exists()


def test_an_update_is_installed_switched_to_tested_and_kept(vehicle: Vehicle, release: Path) -> None:
    assert vehicle.install(release.parent, install=("--no-kiosk",)) == "0.2.0-abcd1234"
    assert vehicle.running == "0.2.0-abcd1234"
    assert (vehicle.root / "previous").readlink().name == "0.1.0-old"
    assert (vehicle.root / "installed-with").read_text() == "--no-activate --no-kiosk\n"
    assert "start msu-engines@0.2.0-abcd1234.service" in (vehicle.root / "systemctl-said").read_text()
    assert not list(vehicle.root.glob(".incoming-*"))


def test_an_update_that_fails_its_self_test_gives_way_to_the_one_before(vehicle: Vehicle) -> None:
    path, _ = make_release(vehicle.medium(check="exit 1"), DEVELOPMENT_KEY)
    with pytest.raises(ProcessError, match="did not pass; what ran before runs again"):
        vehicle.install(path)
    assert vehicle.running == "0.1.0-old" and not (vehicle.root / "trial").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update({"wheels/one.whl": b"worm" * 1250}), r"one\.whl does not have the hash"),
        (lambda c: c.update({"deploy/more.sh": b"#!/bin/sh"}), r"more\.sh is in the release but not in"),
        (lambda c: c.pop("wheels/one.whl"), r"one\.whl is in release\.json but not in the release"),
        (lambda c: c.update({"../evil": b"x"}), "would leave the release"),
        (lambda c: c.update({RELEASE_FILE: c[RELEASE_FILE].replace(b"debian12", b"jetpack6")}), "does not fit"),
        (lambda c: c.pop(SIGNATURE_FILE), "is not signed"),
        (lambda c: c.pop(RELEASE_FILE), r"release\.json is missing"),
    ],
)
def test_what_was_changed_is_refused_before_anything_is_unpacked(
    vehicle: Vehicle, release: Path, change: Callable[[dict[str, bytes]], object], named: str
) -> None:
    with pytest.raises(BundleError, match=named):
        vehicle.install(repacked(release, change))
    assert vehicle.running == "0.1.0-old" and not vehicle.touched


def test_a_file_that_is_no_release_or_not_there_is_refused(vehicle: Vehicle, tmp_path: Path) -> None:
    (tmp_path / "noise.msu").write_bytes(b"noise")
    with pytest.raises(BundleError, match="cannot be read"):
        vehicle.install(tmp_path / "noise.msu")
    with pytest.raises(BundleError, match="does not exist"):
        vehicle.install(tmp_path / "gone.msu")
    (tmp_path / "stick").mkdir()
    with pytest.raises(StoreError, match="no release"):
        vehicle.install(tmp_path / "stick")


def test_a_release_of_a_stranger_is_refused_and_so_is_a_strangers_bundle_in_ours(vehicle: Vehicle) -> None:
    path, _ = make_release(vehicle.medium("0.3.0"), Ed25519PrivateKey.generate())
    with pytest.raises(BundleError, match="not trusted here"):
        vehicle.install(path)
    medium = vehicle.medium("0.4.0", bundle=False)
    write_tiny_bundle(medium / "bundle", key=Ed25519PrivateKey.generate())
    path, _ = make_release(medium, DEVELOPMENT_KEY)
    with pytest.raises(BundleError, match=r"bundle .* not trusted here"):
        vehicle.install(path)
    assert vehicle.running == "0.1.0-old" and not vehicle.touched


def test_a_stick_that_changes_while_it_is_unpacked_is_found(vehicle: Vehicle, release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unzipped"
    with zipfile.ZipFile(release) as archive:
        archive.extractall(folder)
    found = load_release(folder, KEYS)
    (folder / "wheels" / "one.whl").write_bytes(b"worm")
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match="has changed since it was checked"):
        found.unpack(tmp_path / "out")


def test_nothing_is_switched_while_a_case_is_under_way(vehicle: Vehicle, release: Path) -> None:
    with Ledger(StorePaths(vehicle.settings.data), "work") as ledger:
        ledger.put_study("1.2.3", StudyStatus.RECEIVING)
        with pytest.raises(StoreError, match="a study is receiving: nothing was switched"):
            vehicle.install(release)
        assert vehicle.running == "0.1.0-old"
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            ledger.put_study("1.2.3", StudyStatus.NO_RESULT)

        vehicle.install(release, wait_s=60.0, pause=pause)
    assert len(pauses) == 1 and vehicle.running == "0.2.0-abcd1234"


def test_an_older_release_must_be_asked_for(vehicle: Vehicle) -> None:
    path, _ = make_release(vehicle.medium("0.0.9"), DEVELOPMENT_KEY)
    with pytest.raises(StoreError, match=r"older than 0\.1\.0-old"):
        vehicle.install(path)
    assert not vehicle.touched
    vehicle.install(path, older=True)
    assert vehicle.running == "0.0.9-abcd1234"


def test_without_its_engines_nothing_is_switched(vehicle: Vehicle, release: Path) -> None:
    (vehicle.root / "no-engines").touch()
    with pytest.raises(ProcessError, match=r"engines .* were not built"):
        vehicle.install(release)
    assert vehicle.running == "0.1.0-old"
    vehicle.install(release, engines=False)
    assert vehicle.running == "0.2.0-abcd1234"


def test_without_room_nothing_is_unpacked(vehicle: Vehicle, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_app.deploy.update._ROOM", 1e12)
    with pytest.raises(StoreError, match="the release needs"):
        vehicle.install(release)
    assert not vehicle.touched


def test_a_machine_without_an_installation_or_a_full_disk_is_told_in_words(
    vehicle: Vehicle, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="nothing can be put into"):
        vehicle.install(release, root=vehicle.folder / "nowhere")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_app.deploy.release.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        vehicle.install(release)
    assert vehicle.running == "0.1.0-old" and not vehicle.touched


def test_an_installer_that_fails_leaves_what_runs(vehicle: Vehicle) -> None:
    medium = vehicle.medium()
    script(medium / "deploy" / "install.sh", "#!/bin/sh\nexit 3\n")
    path, _ = make_release(medium, DEVELOPMENT_KEY)
    with pytest.raises(ProcessError, match=r"could not be installed.*exit code 3"):
        vehicle.install(path)
    assert vehicle.running == "0.1.0-old" and not vehicle.touched


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda m: (m / "medium.json").unlink(), r"medium\.json is missing"),
        (lambda m: (m / "deploy" / "install.sh").unlink(), r"install\.sh is missing"),
        (lambda m: (m / "medium.json").write_text('{"name": "../x", "version": "1", "target": "t"}'), "name"),
        (lambda m: (m / "bundle" / SIGNATURE_FILE).unlink(), "bundle .* is not signed"),
        (lambda m: (m / "bundle" / "image.onnx").write_bytes(b"x"), "image.onnx"),
    ],
)
def test_a_folder_that_is_no_whole_medium_makes_no_release(
    vehicle: Vehicle, spoil: Callable[[Path], object], named: str
) -> None:
    medium = vehicle.medium()
    spoil(medium)
    with pytest.raises(MsuError, match=named):
        make_release(medium, DEVELOPMENT_KEY)
    assert not list(vehicle.folder.glob("*.msu")) and not list(vehicle.folder.glob(".*.part"))


def test_the_newest_release_on_a_stick_is_meant(tmp_path: Path) -> None:
    for number, name in enumerate(("b.msu", "a.msu")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number, number))
    assert find_release(tmp_path).name == "a.msu"


def test_what_a_mac_leaves_on_a_stick_is_no_release(tmp_path: Path) -> None:
    for seconds, name in enumerate(("a.msu", "._a.msu")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    assert find_release(tmp_path).name == "a.msu"
    (tmp_path / "a.msu").unlink()
    with pytest.raises(StoreError, match="no release"):
        find_release(tmp_path)


def test_versions_are_compared_by_number() -> None:
    assert version_key("0.10.0") > version_key("0.9.1") and version_key("1.0rc1") == (1, 0)


def test_make_and_verify_from_the_command_line(vehicle: Vehicle, capsys: pytest.CaptureFixture[str]) -> None:
    out = vehicle.folder / "r.msu"
    assert main(["release", "make", str(vehicle.medium()), "--development", "--out", str(out)]) == 0
    assert main(["release", "verify", str(out)]) == 0
    said = capsys.readouterr().out
    assert "OK 0.2.0-abcd1234 for debian12, bundle tiny 0.0.1, signed by DEVELOPMENT KEY" in said
    strict = vehicle.folder / "strict.toml"
    strict.write_text("[analysis]\ndevelopment_key = false\n")
    assert main(["release", "verify", str(out), "--config", str(strict)]) == 3
    with pytest.raises(ConfigError):
        make_release(vehicle.folder / "nowhere", DEVELOPMENT_KEY)
