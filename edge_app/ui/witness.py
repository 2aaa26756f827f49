"""What follows from the screen having shown something: an audit record of it, and a cue for the ear."""

from __future__ import annotations

from PySide6.QtCore import QObject

from edge_app.ui.controller import Controller
from edge_app.ui.cues import cue_between
from edge_app.ui.reader import StoreReader
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.sound import Player

__all__ = ["Witness"]


class Witness(QObject):
    """Watches what a controller shows."""

    def __init__(self, controller: Controller, reader: StoreReader, player: Player) -> None:
        super().__init__()
        self._reader, self._player = reader, player
        self._before: ScreenModel | None = None
        controller.shown.connect(self._on_shown)

    def _on_shown(self, model: ScreenModel) -> None:
        before, self._before = self._before, model
        if before is None or _what(before) != _what(model):
            self._reader.audit("screen_shown", _what(model))
        self._player.poll()
        cue = cue_between(before, model)
        if cue is not None and not model.muted:
            self._player.play(cue)


def _what(model: ScreenModel) -> dict[str, object]:
    """Return what must be known to build the screen again from the ledger (R82)."""
    return {
        "state": model.state.value,
        "study_uid": model.study_uid,
        "revision": model.revision,
        "sheet": model.sheet.name if model.sheet else "",
        "full": model.full,
        "heat_map": bool(model.view.caption),
    }
