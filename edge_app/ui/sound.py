"""Cues played by the system's own player (PipeWire, PulseAudio or ALSA), so that no sound library is needed. No Qt.

Where there is no player, or none that works, the screen is silent, and nothing else changes.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_app.core.logs import get_logger
from edge_app.ui.cues import Cue, cue_wav

__all__ = ["PLAYERS", "Player"]

PLAYERS: tuple[tuple[str, ...], ...] = (("pw-play",), ("paplay",), ("aplay", "-q"))
"""Commands that play a WAV file, best first."""

_STOP_S = 0.5

_log = get_logger(__name__)


class Player:
    """Plays one cue at a time without ever waiting; `commands` are tried until one works, and that one is kept."""

    def __init__(self, volume_percent: int, commands: Sequence[Sequence[str]] = PLAYERS) -> None:
        self._commands = [tuple(command) for command in commands if shutil.which(command[0])]
        self._folder = TemporaryDirectory(prefix="msu-cues-")
        self._worked: set[tuple[str, ...]] = set()
        self._playing: tuple[Cue, int, subprocess.Popen[bytes]] | None = None
        self._waiting: Cue | None = None
        for cue in Cue if self._commands else ():
            self._path(cue).write_bytes(cue_wav(cue, volume_percent))

    @property
    def can_play(self) -> bool:
        """Return whether there is a player left that may work."""
        return bool(self._commands)

    @property
    def busy(self) -> bool:
        """Return whether a cue is being played."""
        return self._playing is not None

    def play(self, cue: Cue) -> None:
        """Play a cue, if there is something to play it with, and after one that is still to be heard."""
        self._waiting = cue
        self.poll()

    def poll(self) -> None:
        """See whether the cue has ended; one that could not be played goes to the next player, then one that waits."""
        if self._playing is not None:
            cue, number, process = self._playing
            code = process.poll()
            if code is None:
                return
            self._playing = None
            if code == 0:
                self._worked.add(self._commands[number])
            else:
                self._try_the_next(cue, number, code)
        if self._playing is None and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._try(waiting, 0)

    def stop(self) -> None:
        """End what is being played and remove the files."""
        if self._playing is not None:
            *_, process = self._playing
            self._playing = None
            process.kill()
            process.wait(_STOP_S)
        self._folder.cleanup()

    def _try(self, cue: Cue, number: int) -> None:
        if number >= len(self._commands):
            return
        command = [*self._commands[number], str(self._path(cue))]
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)
        except OSError:
            self._try_the_next(cue, number, -1)
        else:
            self._playing = (cue, number, process)

    def _try_the_next(self, cue: Cue, number: int, code: int) -> None:
        """Forget a player that has never worked; one that has is only passed over, as sound may come back."""
        command = self._commands[number]
        _log.info("%s has not played a cue (exit code %d)", command[0], code)
        if command in self._worked:
            number += 1
        else:
            del self._commands[number]
        self._try(cue, number)

    def _path(self, cue: Cue) -> Path:
        return Path(self._folder.name) / f"{cue.value}.wav"
