"""What lies in an engine folder, and whether it may run: for a person at the device, and for the fleet's matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_app.core.errors import BackendError
from edge_app.inference.bundle import Bundle
from edge_app.inference.device import Fingerprint
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.passport import (
    NETWORKS,
    Network,
    Passport,
    check_passport,
    engines_folder,
    onnx_file,
    passport_path,
    read_passport,
    read_plan,
    specs_of,
)
from edge_app.inference.tensorrt_backend import TensorRtBackend
from export.engine.measure import measure
from export.gate import GateLimits, GateReport, judge, score_patients, score_slices
from export.golden import GoldenSet

__all__ = ["EngineStatus", "bench", "look", "verify"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One network's engine."""

    network: Network
    state: Literal["ready", "stale", "missing", "not checked"]
    problems: tuple[str, ...]
    passport: Passport | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "network": self.network,
            "state": self.state,
            "problems": list(self.problems),
            "passport": self.passport.model_dump(mode="json") if self.passport else None,
        }


def look(bundle: Bundle, engines: Path | None, fingerprint: Fingerprint | None) -> list[EngineStatus]:
    """Return the state of both networks' engines; without a fingerprint (no GPU here) a whole one is "not checked"."""
    folder = engines_folder(bundle.path, bundle.sha256, engines)
    return [_look_at(folder, network, bundle, fingerprint) for network in NETWORKS]


def _look_at(folder: Path, network: Network, bundle: Bundle, fingerprint: Fingerprint | None) -> EngineStatus:
    if not passport_path(folder, network).exists():
        return EngineStatus(network, "missing", ("not built",), None)
    try:
        passport = read_passport(passport_path(folder, network))
        read_plan(folder, passport)
    except BackendError as error:
        return EngineStatus(network, "stale", (error.message,), None)
    problems = tuple(check_passport(passport, network, bundle, fingerprint or passport.fingerprint))
    if problems:
        return EngineStatus(network, "stale", problems, passport)
    return EngineStatus(network, "ready" if fingerprint else "not checked", (), passport)


def verify(
    bundle: Bundle, engines: Path | None, fingerprint: Fingerprint, golden: GoldenSet, limits: GateLimits
) -> list[tuple[EngineStatus, GateReport | None]]:
    """Check the engines as the vehicle does when it loads them, then run the accuracy gate again.

    Raises
    ------
    BackendError
        If the FP32 networks do not run in ONNX Runtime.
    """
    found: list[tuple[EngineStatus, GateReport | None]] = []
    manifest = bundle.manifest
    statuses = look(bundle, engines, fingerprint)
    if all(status.state != "ready" for status in statuses):
        return [(status, None) for status in statuses]
    with (
        OnnxBackend(bundle.read(onnx_file("image", "fp32"))) as image,
        OnnxBackend(bundle.read(onnx_file("patient", "fp32"))) as patient,
    ):
        slices = score_slices(golden, image, manifest)
        reference = score_patients(golden, slices, patient, manifest)
        for status in statuses:
            if status.state != "ready":
                found.append((status, None))
                continue
            with _open(bundle, engines, status) as engine:
                if status.network == "image":
                    report = judge(
                        reference,
                        lambda: score_patients(golden, score_slices(golden, engine, manifest), patient, manifest),
                        limits,
                    )
                else:
                    report = judge(reference, lambda: score_patients(golden, slices, engine, manifest), limits)
            found.append((status, report))
    return found


def bench(bundle: Bundle, engines: Path | None, fingerprint: Fingerprint, *, runs: int) -> list[dict[str, Any]]:
    """Time each engine that may run against the FP32 network in ONNX Runtime, in one run."""
    rows = []
    for status in look(bundle, engines, fingerprint):
        if status.passport is None or status.state != "ready":
            continue
        openers: tuple[Callable[[], TensorRtBackend | OnnxBackend], ...] = (
            lambda status=status: _open(bundle, engines, status),  # type: ignore[misc]
            lambda status=status: OnnxBackend(bundle.read(onnx_file(status.network, "fp32"))),  # type: ignore[misc]
        )
        for opener in openers:
            with opener() as backend:
                for batch in (None, 8) if status.network == "image" else (None,):
                    latency = measure(backend, status.passport.profile, batch, runs)
                    rows.append({"network": status.network, "backend": backend.name, **latency.model_dump()})
    return rows


def _open(bundle: Bundle, engines: Path | None, status: EngineStatus) -> TensorRtBackend:
    if status.passport is None:
        raise BackendError(f"there is no {status.network} engine", remedy="Build it: `msu engine build`.")
    passport = status.passport
    folder = engines_folder(bundle.path, bundle.sha256, engines)
    return TensorRtBackend(
        read_plan(folder, passport), specs_of(passport.inputs), specs_of(passport.outputs), label=passport.precision
    )
