from __future__ import annotations

from pathlib import Path

from edge_app.core.errors import ConfigError
from edge_app.ui.refused import refusal_model
from tests.ui.harness import open_scene


def test_the_screen_says_which_setting_the_receiver_refused(tmp_path: Path, qapp: object) -> None:
    with open_scene("receiver_refused", tmp_path) as screen:
        assert screen.model.result.headline == ("RECEIVER", "STOPPED")
        assert screen.model.result.tag == "E-001"
        assert screen.model.result.note.startswith("Settings refused: key 'receiver.tls_port' = 70000")


def test_settings_that_cannot_be_read_are_named_without_their_path() -> None:
    model = refusal_model(ConfigError("settings file /etc/x.toml: key 'receiver.prot' = 1: no such key", remedy="See."))
    assert model.result.note == "Settings refused: key 'receiver.prot' = 1: no such key"
    assert model.result.tag == "E-001"
