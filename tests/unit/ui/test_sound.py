from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.ui.cues import Cue
from edge_app.ui.sound import Player
from tests.waiting import wait_until


def settled(player: Player) -> bool:
    player.poll()
    return not player.busy


@pytest.mark.requirement("R73")
def test_a_player_that_plays_nothing_makes_room_for_the_next_and_none_is_no_harm(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no program")
    broken.chmod(0o755)
    player = Player(50, commands=(("no-such-player",), (str(broken),), ("false",), ("true",)))
    player.play(Cue.RESULT)
    assert player.busy
    player.play(Cue.PROBLEM)
    wait_until(lambda: settled(player), "the end of the cue")
    assert player.can_play
    player.stop()
    silent = Player(50, commands=(("no-such-player",), ("false",)))
    silent.play(Cue.PROBLEM)
    wait_until(lambda: settled(silent), "the end of the try")
    assert not silent.can_play
    silent.play(Cue.PROBLEM)
    assert not silent.busy
    silent.stop()


def test_what_is_playing_ends_with_the_screen() -> None:
    player = Player(50, commands=(("sleep", "60"),))
    player._path(Cue.RESULT).unlink()
    player.play(Cue.RESULT)
    player.stop()
    assert not player.busy
