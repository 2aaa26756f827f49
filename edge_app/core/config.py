"""TOML into frozen settings, read once and passed as arguments.

An unknown key, a wrong type or a value out of range is refused, naming file, key and value. Every key has a default,
so that `msu serve --data DIR` runs without a file; `deploy/` ships an example with each key, unit and default.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    "WatchSettings",
    "WorklistSettings",
    "load_settings",
]

_AET = r"[\x20-\x3F\x41-\x5B\x5D-\x7E]{1,16}"
_DICOM_PEER = rf"{_AET}@[^@\s]+:[0-9]{{1,5}}"
"""``AE@HOST:PORT``."""
_DESTINATION = rf"((dicoms?://)?{_DICOM_PEER}|hl7s?://[^@\s/:]+:[0-9]{{1,5}}|(stow|fhir|notify)\+https?://[^\s@]+)"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _check_address(peer: str) -> str:
    ipaddress.ip_network(peer.partition("@")[2].partition("#")[0], strict=False)  # a ValueError names the address
    return peer


Peer = Annotated[str, Field(pattern=rf"^{_AET}@[0-9A-Fa-f.:/]+(#[0-9a-f]{{64}})?$"), AfterValidator(_check_address)]
"""``AE@ADDRESS`` on the plain port, ``AE@ADDRESS#SHA256`` on the TLS port; see `edge_app.receiver.peers`."""


class ReceiverSettings(_Section):
    """The DICOM ports the scanner pushes to."""

    aet: str = Field("MSU1", min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$")
    host: str = "127.0.0.1"
    port: int = Field(11112, ge=0, le=65535)
    """0 lets the system choose; the READY line tells which."""
    access: Literal["open", "listed"] = "open"
    """`open` lets everybody in and is for a loopback address only; `listed` lets in `peers` and nobody else."""
    peers: tuple[Peer, ...] = Field((), strict=False)
    plain: bool = True
    """Listen on `port` without TLS: for the isolated cable to the scanner."""
    tls: bool = False
    """Listen on `tls_port` with TLS and ask for the peer's certificate (PS3.15 Annex B.9, B.10)."""
    tls_port: int = Field(2762, ge=0, le=65535)
    tls_certificate: str = ""
    tls_key: str = ""
    tls_authority: str = ""
    """Certificates of the authorities whose peers are let in, and that issued ours."""
    max_associations: int = Field(10, ge=1, le=100)
    max_pdu_bytes: int = Field(1 << 20, ge=4096, le=16 << 20)
    max_instance_bytes: int = Field(256 << 20, ge=1 << 20)
    """Larger objects are cut off while they arrive; they never fill the memory."""
    max_memory_bytes: int = Field(1 << 30, ge=1 << 20)
    """What all objects that are just arriving may hold together."""
    request_timeout_s: float = Field(10.0, gt=0)
    """A connection must have asked for an association by then, TLS handshake included."""
    pdu_timeout_s: float = Field(30.0, gt=0)
    """A PDU that was begun must be complete by then."""
    message_timeout_s: float = Field(300.0, gt=0)
    """An object that was begun must be complete by then."""
    network_timeout_s: float = Field(60.0, gt=0)
    min_free_bytes: int = Field(2 << 30, ge=0)
    """Below this much free space new instances are refused with 0xA700."""
    commitment_peers: tuple[Annotated[str, Field(pattern=f"^{_DICOM_PEER}$")], ...] = Field((), strict=False)
    """Where reports of storage commitment go when the association that asked for them is gone."""

    @model_validator(mode="after")
    def _is_safe(self) -> ReceiverSettings:
        if not (self.plain or self.tls):
            raise ValueError("neither receiver.plain nor receiver.tls: there is no port to listen on")
        if self.tls and not (self.tls_certificate and self.tls_key and self.tls_authority):
            raise ValueError("receiver.tls needs tls_certificate, tls_key and tls_authority (`msu certs` makes some)")
        if self.access == "open" and not _is_loopback(self.host):
            raise ValueError("receiver.access = 'open' is for a loopback host only: list the scanner in receiver.peers")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WorklistSettings(_Section):
    """The hospital's Modality Worklist, to tell whose order a study belongs to."""

    peer: str = Field("", pattern=rf"^$|^(dicoms?://)?{_DICOM_PEER}$")
    """``AE@HOST:PORT`` of the worklist server, ``dicoms://AE@HOST:PORT`` over TLS; empty: orders are not asked for."""
    tls_authority: str = ""
    """Certificates of the authorities that a worklist over TLS is trusted by."""
    tls_certificate: str = ""
    tls_key: str = ""
    """Our own certificate and its key (PS3.15 Annex B.9 asks both sides for one)."""
    calling_aet: str = Field("MSU1", min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$")
    station_aet: str = Field("", max_length=16)
    """Only orders scheduled for this station; empty: for any."""
    modality: str = Field("CT", max_length=16)
    period_s: float = Field(60.0, ge=1, le=3600)
    timeout_s: float = Field(10.0, gt=0, le=120)
    orders_max: int = Field(200, ge=1, le=5000)
    """Most orders that are taken from one answer."""

    @property
    def secure(self) -> bool:
        """Say whether the worklist is asked over TLS."""
        return self.peer.startswith("dicoms://")

    @model_validator(mode="after")
    def _has_certificates(self) -> WorklistSettings:
        if self.secure and not (self.tls_certificate and self.tls_key and self.tls_authority):
            raise ValueError("a worklist over TLS needs tls_certificate, tls_key and tls_authority")
        return self


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
    """Folder or zip of the model bundle. Empty: the one that `msu bundle install` put into the store, or, where there
    is none, the SYNTHETIC demo bundle that the package ships."""
    trusted_keys: tuple[str, ...] = Field((), strict=False)
    """Files with the public keys (PEM, Ed25519) whose bundles and releases run here."""
    development_key: bool = True
    """Bundles signed with the DEVELOPMENT KEY, which everybody has, run too; the screen then says so, always."""
    switch_quiet_s: float = Field(60.0, ge=0, le=3600)
    """A bundle that was installed is taken up when no case has been under way for so long."""
    engines: str = ""
    """Folder of the TensorRT engines (`msu engine build`); empty: beside the bundle."""
    threads: int = Field(0, ge=0, le=64)
    """Threads of the CPU backend; 0 leaves it to the machine."""
    ischaemia_output: Literal["off", "research", "on"] = "research"
    """SCREEN.md R06: `research` shows ischaemic signs marked UNVALIDATED, `off` hides them."""
    timeout_s: float = Field(120.0, gt=0)
    validated_scanners: tuple[Annotated[str, Field(pattern=r"^[^|]+\|[^|]+\|[^|]+$")], ...] = Field((), strict=False)
    """``MANUFACTURER | MODEL | KERNEL`` of scanners this site has validated the model on, beside those the bundle
    names (SCREEN.md R21)."""
    unvalidated_scanner: Literal["show", "withhold"] = "show"
    """`show` gives results of other scanners with a band, `withhold` gives none (Q-21)."""


class DeliverySettings(_Section):
    """Where images and results go, and how stubbornly."""

    destination: str = Field("", pattern=rf"^$|^{_DESTINATION}$")
    """The stroke centre, as ``AE@HOST:PORT`` or one of the addresses of `edge_app.delivery.address`; empty: nothing is
    sent, and the heartbeat says so."""
    alternatives: tuple[Annotated[str, Field(pattern=rf"^{_DESTINATION}$")], ...] = Field((), strict=False)
    """Centres that the run may be diverted to; what is held then follows."""
    also: tuple[Annotated[str, Field(pattern=rf"^{_DESTINATION}$")], ...] = Field((), strict=False)
    """Destinations beside the centre that get everything too, each with a queue of its own."""
    tls_authority: str = ""
    """Certificates (PEM) of the authorities that destinations' certificates come from; empty: the system's."""
    tls_certificate: str = ""
    tls_key: str = ""
    """Our own certificate and its key, for destinations that ask for one."""
    credentials: str = ""
    """A netrc file with user and password for HTTP destinations; empty: none are sent."""
    compress_below_kbit_s: float = Field(4000.0, ge=0)
    """A link slower than this gets uncompressed images compressed without loss, if the peer takes it; 0: never."""
    standby: bool = True
    """Hold an association to DICOM destinations open while a result is expected: its message is there sooner."""
    commitment: bool = True
    """Ask DICOM destinations for Storage Commitment; where they have none, they are asked what they hold."""
    commitment_port: int = Field(0, ge=0, le=65535)
    """Where reports of storage commitment come in that do not come on the association that asked; 0: nowhere."""
    commitment_wait_s: float = Field(5.0, ge=0, le=60)
    """How long that association is kept open for the report."""
    commitment_patience_s: float = Field(600.0, gt=0)
    """A report that has not come by then is not waited for: the destination is asked what it holds."""
    acknowledgement_poll_s: float = Field(10.0, gt=0)
    """How often a ``notify`` destination is asked whether somebody has seen the result."""
    audit_server: str = Field("", pattern=r"^$|^[^@\s/]+:[0-9]{1,5}$")
    """``HOST:PORT`` of the hospital's audit repository (syslog over TLS, usually port 6514); empty: none."""
    parametric_maps: bool = False
    """Send where the model looked on the key slices, as Parametric Maps; off: what it shows is not validated."""
    keep_days: float = Field(0.0, ge=0, le=3650)
    """Images are kept at least so many days after their delivery was proved."""
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

    theme: Literal["day", "night", "auto"] = "auto"
    """`auto` follows the light sensor; without one it is night."""
    language: Literal["en", "de"] = "en"
    panel: Literal["10.1", "12.1", "13.3"] = "12.1"
    """Diagonal of the panel in inches: 10.1 and 12.1 are 1280×800, 13.3 is 1920×1080."""
    full_screen: bool = False
    centre: str = Field("", max_length=40)
    """Name of the stroke centre, as the crew says it."""
    window_min: int = Field(270, ge=180, le=540)
    """Length of the time window that is counted down from last known well (SCREEN.md R57)."""
    read_first: bool = False
    """The crew enters its own reading before NO HAEMORRHAGE DETECTED is revealed (SCREEN.md R35)."""
    pin: str = Field("", pattern=r"^$|^[0-9]{4,6}$")
    """Unlocks the screen; empty: a tap does. What it keeps out is a passer-by, not a thief."""
    badges: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field((), strict=False)
    """Badges that unlock the screen: SHA-256 of what the reader types, in hexadecimal."""
    volume_percent: int = Field(70, ge=20, le=100)
    """Of the three cues; they can be muted for two minutes, and never for good (SCREEN.md R73)."""
    lock_after_s: float = Field(600.0, ge=60, le=86400)
    """Without a touch and without a case for so long, the screen locks (SCREEN.md R81)."""


class WatchSettings(_Section):
    """Looking after the vehicle's fitness for duty (`msu watch`)."""

    self_test: bool = False
    """Send a phantom through the DICOM port at the start; the screen is READY only when its answer was right. Needs
    MSU-SELFTEST among `receiver.peers`."""
    self_test_hours: float = Field(24.0, gt=0, le=24 * 31)
    """The self-test is repeated this often, when there is no case."""
    self_test_timeout_s: float = Field(120.0, gt=0, le=600)
    """A phantom without a result by then has failed."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port on loopback for /metrics (Prometheus) and /healthz; 0: none."""
    metrics_file: str = ""
    """File for the node exporter's textfile collector, written anew after each round; empty: none."""


class Settings(_Section):
    """Everything the processes are told at their start."""

    data: Path = Field(Path("msu-data"), strict=False)
    """The store's folder."""
    receiver: ReceiverSettings = ReceiverSettings()
    worklist: WorklistSettings = WorklistSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    delivery: DeliverySettings = DeliverySettings()
    screen: ScreenSettings = ScreenSettings()
    watch: WatchSettings = WatchSettings()

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
    """Read settings from a TOML file; relative paths in it are taken from the file's own folder.

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
    sections = {
        name: section.model_copy(update={key: _beside(path, getattr(section, key)) for key in keys})
        for name, section, keys in (
            ("receiver", settings.receiver, ("tls_certificate", "tls_key", "tls_authority")),
            ("worklist", settings.worklist, ("tls_certificate", "tls_key", "tls_authority")),
            ("delivery", settings.delivery, ("tls_certificate", "tls_key", "tls_authority", "credentials")),
            ("analysis", settings.analysis, ("bundle", "engines", "trusted_keys")),
            ("watch", settings.watch, ("metrics_file",)),
        )
    }
    return settings.model_copy(update={"data": (path.parent / settings.data).resolve(), **sections})


def _beside(path: Path, value: Any) -> Any:
    """Return a path, or several, as seen from the settings file; an empty one stays empty."""
    if isinstance(value, tuple):
        return tuple(_beside(path, one) for one in value)
    return str((path.parent / value).resolve()) if value else value
