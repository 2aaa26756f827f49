from __future__ import annotations

import enum

import pytest

from edge_app.core.errors import ExportError
from export.engine.api import record
from export.engine.api.dump import describe, signatures
from export.engine.api.surface import load_surface, recorded_versions


class Colour(enum.Enum):
    RED = 0


class Base:
    def own(self) -> None:
        """own(self: tensorrt_bindings.tensorrt.Base, flags: int = 0) -> tensorrt_bindings.tensorrt.Base"""


class Derived(Base):
    limit = property(lambda self: 1, lambda self, value: None)
    fixed = property(lambda self: 1)


class Module:
    """Stands for a module of bindings."""

    Colour, Base, Derived = Colour, Base, Derived
    answer = 42


def test_a_module_is_described_by_kind() -> None:
    surface = describe(Module)
    assert surface["enums"] == {"Colour": ["RED"]} and surface["values"] == ["answer"]
    assert surface["classes"]["Derived"] == {
        "bases": ["Base"],
        "attributes": {"fixed": "read", "limit": "write"},
    }
    assert surface["classes"]["Base"]["attributes"]["own"] == ["(self, flags: int = 0) -> Base"]


def test_overloads_are_listed_without_the_line_that_says_nothing() -> None:
    doc = "f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: X, a: int) -> bool\n\n2. f(self: X) -> bool\n"
    assert signatures("f", doc) == ["(self, a: int) -> bool", "(self) -> bool"]
    assert signatures("f", None) == []


def test_the_recordings_are_those_of_the_supported_versions_and_small() -> None:
    assert recorded_versions() == tuple(record.WHEELS)
    for version in recorded_versions():
        surface = load_surface(version)
        assert surface.version == version and len(surface.classes) > 100 and surface.has("Builder.create_network")


def test_a_step_of_the_recording_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(record.sys, "executable", "/bin/false")
    with pytest.raises(ExportError, match="failed"):
        record.record("10.3.0", tmp_path)  # type: ignore[arg-type]


def test_an_unknown_version_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        record.main(["9.9"])
    assert "unknown version 9.9" in capsys.readouterr().err
