"""TOML into frozen settings, read once and passed as arguments.

An unknown key, a wrong type or a value out of range is refused, naming file, key and value. Every key has a default,
so that `msu serve --data DIR` runs without a file; `deploy/` ships an example with each key, unit and default.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_app.core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "AnalysisSettings",
    "CompletenessSettings",
    "DeliverySettings",
    "ReceiverSettings",
    "ScreenSettings",
    "Settings",
    "load_settings",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReceiverSettings(_Section):
    """The DICOM port the scanner pushes to."""

    aet: str = Field("MSU1", min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$")
    host: str = "127.0.0.1"
    port: int = Field(11112, ge=0, le=65535)
    """0 lets the system choose; the READY line tells which."""
    max_associations: int = Field(10, ge=1, le=100)
    max_pdu_bytes: int = Field(1 << 20, ge=4096)
    network_timeout_s: float = Field(60.0, gt=0)
    min_free_bytes: int = Field(2 << 30, ge=0)
    """Below this much free space new instances are refused with 0xA700."""


class CompletenessSettings(_Section):
    """When a series counts as complete (SCREEN.md R09)."""

    quiet_s: float = Field(5.0, ge=0.1, le=30)
    """Quiet time when the geometry is complete but the sender's associations do not tell."""
    quiet_released_s: float = Field(0.3, ge=0.05, le=30)
    """Quiet time when the geometry is complete and the one association that sent the series was released."""
    quiet_incomplete_s: float = Field(15.0, ge=0.1, le=120)
    """Quiet time after which a series is judged although its geometry is not complete."""


class AnalysisSettings(_Section):
    """Which model runs, and what may be said of it."""

    bundle: str = ""
    """Folder or zip of the model bundle; empty for the SYNTHETIC demo bundle that the package ships."""
    engines: str = ""
    """Folder of the TensorRT engines (`msu engine build`); empty: beside the bundle."""
    threads: int = Field(0, ge=0, le=64)
    """Threads of the CPU backend; 0 leaves it to the machine."""
    ischaemia_output: Literal["off", "research", "on"] = "research"
    """SCREEN.md R06: `research` shows ischaemic signs marked UNVALIDATED, `off` hides them."""
    timeout_s: float = Field(120.0, gt=0)


class DeliverySettings(_Section):
    """Where images and results go, and how stubbornly."""

    destination: str = Field("", pattern=r"^$|^[\x20-\x3F\x41-\x5B\x5D-\x7E]{1,16}@[^@\s]+:[0-9]{1,5}$")
    """``AE@HOST:PORT`` of the stroke centre; empty: nothing is sent, and the heartbeat says so."""
    calling_aet: str = Field("MSU1", min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$")
    """Our AE title towards the destination."""
    retry_first_s: float = Field(10.0, gt=0, le=3600)
    """Pause after the first failure; it doubles with each further one."""
    retry_longest_s: float = Field(300.0, gt=0, le=3600)
    """Longest pause between two tries."""
    connect_timeout_s: float = Field(10.0, gt=0)
    """A destination that has not answered the association request by then counts as out of reach."""
    stalled_timeout_s: float = Field(60.0, gt=0)
    """A connection on which nothing moves for so long is given up."""
    answer_timeout_s: float = Field(600.0, gt=0)
    """Longest time for one object and its answer; a CT slice takes 70 s at 64 kbit/s."""
    refusals_max: int = Field(6, ge=1, le=100)
    """An object refused this often is given up (`failed`, shown); one that never got through is not."""


class ScreenSettings(_Section):
    """The triage screen."""

    theme: Literal["day", "night"] = "night"
    language: Literal["en", "de"] = "en"
    panel: Literal["10.1", "12.1", "13.3"] = "12.1"
    """Diagonal of the panel in inches: 10.1 and 12.1 are 1280×800, 13.3 is 1920×1080."""
    full_screen: bool = False


class Settings(_Section):
    """Everything the processes are told at their start."""

    data: Path = Field(Path("msu-data"), strict=False)
    """The store's folder."""
    receiver: ReceiverSettings = ReceiverSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    delivery: DeliverySettings = DeliverySettings()
    screen: ScreenSettings = ScreenSettings()

    def replaced(self, **sections: Mapping[str, object]) -> Settings:
        """Return settings with some keys of some sections replaced, as a command line does.

        Raises
        ------
        ConfigError
            If a value is out of range.
        """
        values = self.model_dump()
        for section, changes in sections.items():
            values[section] = {**values[section], **changes}
        return _validated(values, "command line")

    def to_toml(self) -> str:
        """Return the settings as a file that `load_settings` reads back as equal settings."""
        values = self.model_dump(mode="json")
        # JSON's strings, numbers and booleans are TOML's as well.
        lines = [f"data = {json.dumps(values.pop('data'))}"]
        for section, keys in values.items():
            lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        return "\n".join(lines) + "\n"


def _validated(raw: dict[str, object], source: str) -> Settings:
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{source}: key '{key}' = {first.get('input')!r}: {first['msg']}",
            remedy="deploy/settings.example.toml lists every key with its unit and default.",
        ) from error


def load_settings(path: Path) -> Settings:
    """Read settings from a TOML file; a relative `data` folder is taken from the file's own folder.

    Raises
    ------
    ConfigError
        If the file cannot be read or a key is unknown, of the wrong type or out of range.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"settings file {path} cannot be read: {error}", remedy="Check the path given to --config."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"settings file {path} is not valid TOML: {error}", remedy="Correct the line named."
        ) from error
    settings = _validated(raw, f"settings file {path}")
    return settings.model_copy(update={"data": (path.parent / settings.data).resolve()})
