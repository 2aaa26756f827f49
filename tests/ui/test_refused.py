"""The screen says which setting is refused, and ends when the file has been mended."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from edge_app.core.config import load_settings
from edge_app.core.errors import ConfigError
from edge_app.processes.screen import run_refused
from edge_app.ui.refused import refusal_model
from edge_app.ui.window import MainWindow
from tests.ui.harness import open_scene

MANY_LOOKS = 100


def test_the_screen_says_which_setting_the_receiver_refused(tmp_path: Path, qapp: object) -> None:
    with open_scene("receiver_refused", tmp_path) as screen:
        assert screen.model.result.headline == ("RECEIVER", "STOPPED")
        assert screen.model.result.tag == "E-001"
        assert screen.model.result.note.startswith("Settings refused: key 'receiver.tls_port' = 70000")


def test_settings_that_cannot_be_read_are_named_without_their_path() -> None:
    model = refusal_model(ConfigError("settings file /etc/x.toml: key 'receiver.prot' = 1: no such key", remedy="See."))
    assert model.result.note == "Settings refused: key 'receiver.prot' = 1: no such key"
    assert model.result.tag == "E-001"


def refused(config: Path) -> ConfigError:
    config.write_text("[receiver]\nprot = 1\n")
    with pytest.raises(ConfigError) as refusal:
        load_settings(config)
    return refusal.value


def window() -> MainWindow:
    return next(
        widget for widget in QApplication.topLevelWidgets() if isinstance(widget, MainWindow) and widget.isVisible()
    )


def test_a_refusal_stays_until_the_file_can_be_read_and_offers_no_button(tmp_path: Path, qapp: object) -> None:
    config, stop, offered, looks = tmp_path / "settings.toml", threading.Event(), [], 0
    error = refused(config)

    def alive() -> None:
        nonlocal looks
        looks += 1
        offered.extend(window().buttons)
        if looks == 5:
            assert not stop.is_set(), "the file has been looked at and is still refused"
            config.write_text("[receiver]\nport = 11112\n")
        elif looks > MANY_LOOKS:
            stop.set()

    ready = threading.Event()
    run_refused(error, config, stop=stop, ready=ready.set, alive=alive)
    assert ready.is_set() and looks > 5 and not stop.is_set(), "it ended by itself, after the file was mended"
    assert offered == []


def test_a_refusal_ends_when_it_is_told_to(tmp_path: Path, qapp: object) -> None:
    stop = threading.Event()
    run_refused(refused(tmp_path / "settings.toml"), tmp_path / "settings.toml", stop=stop, ready=stop.set)
    assert stop.is_set()
