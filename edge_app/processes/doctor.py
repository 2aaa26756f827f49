"""`msu doctor`: is this machine fit for duty? Each finding names what was looked at and the remedy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pydicom.pixels import get_decoder  # type: ignore[attr-defined]
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from edge_app.core.config import Settings
from edge_app.core.errors import MsuError
from edge_app.core.findings import Finding
from edge_app.inference.installed import BundleStore, with_installed_bundle
from edge_app.watch.clocks import check_clock, chrony_offset_s
from edge_app.watch.keys import check_keys
from edge_app.watch.machine import ask_smart, check_heat, check_memory, check_wear
from edge_app.worker.models import load_models

__all__ = ["Finding", "examine"]

_NEEDED = ("numpy", "pydicom", "pynetdicom", "opencv-python-headless", "onnxruntime", "PySide6-Essentials", "pydantic")


def examine(settings: Settings) -> list[Finding]:
    """Look at everything the processes need; nothing is changed and nothing is raised."""
    software = (_python, _packages, _decoders, _bundle)
    machine = (_store, _space, _memory, _heat, _wear, _clock, check_keys, _display)
    return [check(settings) for check in (*software, *machine)]


def _guard(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except MsuError as error:
        return Finding(name, False, f"{error.code} {error.message}", error.remedy)
    except (OSError, ImportError) as error:
        return Finding(name, False, str(error), "Install msu-triage again, or check the folder's permissions.")


def _python(_: Settings) -> Finding:
    found = f"{platform.python_version()} on {platform.machine()}"
    return Finding(
        "Python", sys.version_info >= (3, 10), found, "" if sys.version_info >= (3, 10) else "Use 3.10 or newer."
    )


def _packages(_: Settings) -> Finding:
    return _guard("Packages", lambda: ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _NEEDED))


def _decoders(_: Settings) -> Finding:
    syntaxes = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
    missing = [uid.name for uid in syntaxes if not get_decoder(uid).is_available]
    remedy = "Install python-gdcm, pylibjpeg-openjpeg and pyjpegls." if missing else ""
    return Finding("Image decoders", not missing, f"missing: {', '.join(missing)}" if missing else "all there", remedy)


def _bundle(settings: Settings) -> Finding:
    def look() -> str:
        with load_models(with_installed_bundle(settings)) as models:
            identity = models.identity
            mark = " SYNTHETIC" * identity.synthetic + " DEVELOPMENT KEY" * identity.development_key
            found = f"{identity.name} {identity.version}{mark}, {identity.sha256[:8]}, {models.backend_name}"
            refusal = BundleStore.of(settings).refusal
            refused = (f"{refusal['name']} was refused: {refusal['why']}",) if refusal else ()
            return "; ".join((found, *models.remarks, *refused))

    return _guard("Model bundle", look)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _store(settings: Settings) -> Finding:
    folder = _existing(settings.data)
    ok = folder.is_dir() and os.access(folder, os.W_OK)
    return Finding("Store", ok, str(settings.data), "" if ok else f"Make {folder} a folder this user may write to.")


def _space(settings: Settings) -> Finding:
    usage = shutil.disk_usage(_existing(settings.data))
    ok = usage.free >= settings.receiver.min_free_bytes
    remedy = "" if ok else "Free space: below receiver.min_free_bytes new images are refused (0xA700)."
    return Finding("Disk", ok, f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB", remedy)


def _memory(_: Settings) -> Finding:
    return check_memory()


def _heat(_: Settings) -> Finding:
    return check_heat()


def _wear(_: Settings) -> Finding:
    return check_wear(smartctl=ask_smart)


def _clock(_: Settings) -> Finding:
    return check_clock(offset_s=chrony_offset_s)


def _display(_: Settings) -> Finding:
    def look() -> str:
        version = importlib.metadata.version("PySide6-Essentials")
        display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
        return f"Qt {version}, {'display ' + display if display else 'no display: draws offscreen'}"

    return _guard("Screen", look)
