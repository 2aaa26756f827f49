"""Known holes in the vehicle's packages, as pip-audit finds them; and whether it could look at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Audit", "audit", "audit_with_pip_audit", "read_answer"]

_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known about one list of packages."""

    looked_up: int
    holes: tuple[str, ...] = ()
    skipped: str = ""
    """Why nothing can be said; "" where something can."""


def audit_with_pip_audit(requirements: Path) -> str:
    """Return pip-audit's JSON answer, "" where it has none.

    Raises
    ------
    FileNotFoundError
        If pip-audit is not installed.
    """
    program = shutil.which("pip-audit", path=str(Path(sys.executable).parent)) or shutil.which("pip-audit")
    if program is None:
        raise FileNotFoundError("pip-audit")
    command = [
        program, "--requirement", str(requirements), "--no-deps", "--disable-pip", "--format", "json",
        "--progress-spinner", "off",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    return done.stdout


def audit(requirements: Path, ask: Callable[[Path], str] = audit_with_pip_audit) -> Audit:
    """Return what is known about a list; nothing is raised where nobody can be asked."""
    try:
        answer = ask(requirements)
    except FileNotFoundError:
        return Audit(0, skipped="pip-audit is not installed (pip install pip-audit)")
    except subprocess.TimeoutExpired:
        return Audit(0, skipped="pip-audit did not answer")
    return read_answer(answer)


def read_answer(answer: str) -> Audit:
    """Return what pip-audit's answer says. A package it could not look up is not one without holes."""
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return Audit(0, skipped="pip-audit cannot reach its service")
    known = [package for package in packages if "vulns" in package]
    if not known:
        return Audit(0, skipped="pip-audit cannot reach its service")
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}"
        + (f", mended in {', '.join(hole['fix_versions'])}" if hole.get("fix_versions") else "")
        for package in known
        for hole in package["vulns"]
    ]
    return Audit(len(known), tuple(holes))
