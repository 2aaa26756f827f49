"""Which device of a fleet has which engine, and which of them are stale for a bundle.

The fleet file (TOML) names one report per device, as ``msu engine list --json`` prints it there::

    [[device]]
    name = "MSU 1"
    report = "msu-1.json"   # taken from the fleet file's folder
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_app.core.errors import ConfigError
from edge_app.inference.bundle import Bundle
from edge_app.inference.device import Fingerprint
from edge_app.inference.passport import NETWORKS, Network, Passport, check_passport

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Cell", "read_matrix"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Device(_Frozen):
    name: str = Field(min_length=1)
    report: str


class _Fleet(_Frozen):
    device: tuple[_Device, ...] = Field(min_length=1)


class _Engine(_Frozen):
    network: Network
    state: str
    problems: tuple[str, ...]
    passport: Passport | None


class _Report(_Frozen):
    bundle_sha256: str
    fingerprint: Fingerprint | None
    engines: tuple[_Engine, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One network on one device."""

    device: str
    hardware: str
    network: Network
    state: Literal["built", "stale", "missing"]
    precision: str
    built_utc: str
    p50_ms: float | None
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_matrix(fleet_file: Path, bundle: Bundle) -> list[Cell]:
    """Return a cell per device and network.

    Raises
    ------
    ConfigError
        If the fleet file or a report cannot be read.
    """
    try:
        raw: Any = tomllib.loads(fleet_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refusal(fleet_file, str(error)) from error
    cells = []
    for device in _parse(_Fleet, raw, fleet_file).device:
        path = fleet_file.parent / device.report
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _refusal(path, str(error)) from error
        report = _parse(_Report, body, path)
        engines = {engine.network: engine for engine in report.engines}
        cells += [_cell(device.name, network, engines.get(network), report, bundle) for network in NETWORKS]
    return cells


def _cell(name: str, network: Network, engine: _Engine | None, report: _Report, bundle: Bundle) -> Cell:
    hardware = str(report.fingerprint) if report.fingerprint else "no GPU"
    passport = engine.passport if engine else None
    if engine is None or passport is None:
        damaged = engine is not None and engine.state == "stale"
        problems = engine.problems if engine else ("not built",)
        return Cell(name, hardware, network, "stale" if damaged else "missing", "", "", None, problems)
    problems = tuple(engine.problems)
    if not problems:
        # The device looked at its own bundle; the one asked about may be newer.
        problems = tuple(check_passport(passport, network, bundle, report.fingerprint or passport.fingerprint))
    if not passport.whole:
        problems = (*problems, "the passport was changed")
    state: Literal["built", "stale"] = "stale" if problems else "built"
    p50_ms = passport.latencies[0].p50_ms
    return Cell(name, hardware, network, state, passport.precision, passport.created_utc, p50_ms, problems)


def _parse(model: type[Any], raw: Any, source: Path) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refusal(source, f"'{'.'.join(map(str, first['loc']))}': {first['msg']}") from error


def _refusal(source: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{source}: {what}", remedy="Take the reports with `msu engine list --json` on each device; see new-device.md."
    )
