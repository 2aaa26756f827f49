"""`msu release install`: from a stick or a download to the running release, on the vehicle, as root.

Checked before it is unpacked, installed beside what runs, its engines built in the background; switched to when no case
is under way, kept only if the self-test passes, and otherwise the one before runs again. The installer and the switch
are shell scripts (deploy/README.md): they must work without the Python of either release.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import ProcessError, StoreError
from edge_app.deploy.release import Release, load_release, version_key
from edge_app.inference.bundle import load_bundle
from edge_app.inference.installed import trusted_keys
from edge_app.store.between_cases import case_under_way
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths

__all__ = ["ROOT", "UpdateOptions", "find_release", "install_release"]

ROOT = Path("/opt/msu-triage")

_POLL_S = 2.0
_ROOM = 2.5
"""Free space that is asked for, in sizes of the release: the unpacked medium, and what is installed from it."""


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """What the caller of an update decides."""

    root: Path = ROOT
    install: Sequence[str] = ()
    """Further options for install.sh, e.g. ``--no-kiosk``."""
    check: str = ""
    """Shell command that must succeed after the switch; empty: the self-test of the new release."""
    config: Path = Path("/etc/msu-triage/settings.toml")
    wait_s: float = 6 * 3600.0
    """How long to wait until no case is under way."""
    engines: bool = True
    older: bool = False
    """Take a release that is older than the one that runs."""
    systemctl: str = "systemctl"
    say: Callable[[str], None] = lambda _: None
    clock: MonotonicClock = monotonic_s
    pause: Callable[[float], object] = field(default_factory=lambda: threading.Event().wait)


def find_release(source: Path) -> Path:
    """Return the release that a path means: itself, or the newest ``*.msu`` in a folder (a stick).

    Raises
    ------
    StoreError
        If there is none.
    """
    if not source.is_dir() or (source / "release.json").is_file():
        return source
    # A Mac leaves a "._NAME.msu" beside each file that it copies to a stick, newer than the file.
    visible = (path for path in source.glob("*.msu") if not path.name.startswith("."))
    found = sorted(visible, key=lambda path: path.stat().st_mtime)
    if not found:
        raise StoreError(f"there is no release (*.msu) in {source}", remedy="Copy one there, or name the file.")
    return found[-1]


def install_release(source: Path, settings: Settings, options: UpdateOptions) -> str:
    """Install a release and run it; return its name.

    Raises
    ------
    BundleError
        If the release, or the bundle in it, is not what a trusted key has signed.
    StoreError
        If there is no room, a case stays under way, or it is older than what runs.
    ProcessError
        If it could not be installed, its engines not built, or it did not pass its self-test: what ran before runs.
    """
    path = find_release(source)
    options.say(f"checking {path}")
    keys = trusted_keys(settings.analysis)
    release = load_release(path, keys)
    name = release.manifest.name
    options.say(f"{name} for {release.manifest.target}, signed by {release.signer.name}")
    _refuse_older(release, options)
    work = _work_folder(release, options.root)
    try:
        medium = work / "medium"
        medium.mkdir()
        options.say("unpacking")
        try:
            release.unpack(medium)
        except OSError as error:
            raise StoreError(
                f"{name} cannot be unpacked: {error}", remedy="Check the disk; what ran runs on."
            ) from error
        if release.manifest.bundle is not None:
            load_bundle(medium / "bundle", keys)
        options.say("installing beside what runs")
        script = medium / "deploy" / "install.sh"
        _run([str(script), "--no-activate", *options.install], f"{name} could not be installed; what ran runs on")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.engines:
        options.say("building engines, if this machine has TensorRT")
        _run(
            [options.systemctl, "start", f"msu-engines@{name}.service"],
            f"the engines of {name} were not built (journalctl -u msu-engines@{name}); what ran runs on",
        )
    _wait_for_no_case(settings, options)
    options.say("switching")
    check = options.check or _self_test(name, options)
    _run(
        [str(options.root / "msu-release"), "activate", name, "--check", check],
        f"{name} did not pass; what ran before runs again",
    )
    return name


def _self_test(name: str, options: UpdateOptions) -> str:
    python = options.root / "releases" / name / "venv" / "bin" / "python"
    return shlex.join([str(python), "-I", "-m", "edge_app", "selftest", "--config", str(options.config)])


def _refuse_older(release: Release, options: UpdateOptions) -> None:
    current = options.root / "current"
    running = current.readlink().name if current.is_symlink() else ""
    # NAME is VERSION-HASH.
    before, now = running.rpartition("-")[0], release.manifest.version
    if before and version_key(now) < version_key(before) and not options.older:
        raise StoreError(
            f"{release.manifest.name} is older than {running}, which runs",
            remedy="Take a newer one; `msu-release rollback` goes back to the one before, --older takes this one.",
        )


def _work_folder(release: Release, root: Path) -> Path:
    """Return a folder of our own on the disk that the release goes to, if there is room on it."""
    needed = int(_ROOM * release.size_bytes)
    try:
        free = shutil.disk_usage(root).free
        if free >= needed:
            return Path(tempfile.mkdtemp(prefix=".incoming-", dir=root))
    except OSError as error:
        raise StoreError(
            f"nothing can be put into {root}: {error}",
            remedy="Run this with sudo; on a machine without an installation: MEDIUM/deploy/install.sh.",
        ) from error
    else:
        raise StoreError(
            f"{free >> 20} MiB are free in {root}, the release needs {needed >> 20} MiB",
            remedy="`msu-release prune` removes older releases.",
        )


def _wait_for_no_case(settings: Settings, options: UpdateOptions) -> None:
    paths = StorePaths(settings.data)
    if not paths.ledger.is_file():
        return
    deadline_s, told = options.clock() + options.wait_s, ""
    with closing(Ledger(paths, "update")) as ledger:
        while busy := case_under_way(ledger, settings.analysis.switch_quiet_s):
            if options.clock() >= deadline_s:
                raise StoreError(
                    f"{busy}: nothing was switched", remedy="Run the same again later; what was installed is kept."
                )
            if busy.partition(" came ")[0] != told:
                told = busy.partition(" came ")[0]
                options.say(f"waiting: {busy}")
            options.pause(_POLL_S)


def _run(command: Sequence[str], problem: str) -> None:
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise ProcessError(f"{problem}: {error}", remedy="Read the lines above.") from error
    if code:
        raise ProcessError(f"{problem} (exit code {code})", remedy="Read the lines above, and the journal.")
