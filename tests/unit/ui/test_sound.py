from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_app.ui.cues import Cue
from edge_app.ui.sound import Player
from tests.waiting import wait_until


def script(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


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


@pytest.mark.requirement("R73")
def test_a_player_that_has_worked_is_not_given_up_when_it_fails_once(tmp_path: Path) -> None:
    log, fails = tmp_path / "log", tmp_path / "fails"
    first = script(tmp_path / "first", f'test -e "{fails}" && exit 1; echo first >> "{log}"')
    second = script(tmp_path / "second", f'echo second >> "{log}"')
    player = Player(50, commands=((first,), (second,)))

    def heard() -> list[str]:
        player.play(Cue.RESULT)
        wait_until(lambda: settled(player), "the end of the cue")
        return log.read_text().split()

    assert heard() == ["first"]
    fails.touch()
    assert heard() == ["first", "second"], "the next one takes this cue over"
    fails.unlink()
    assert heard() == ["first", "second", "first"]
    player.stop()


@pytest.mark.requirement("R73")
def test_a_result_that_comes_while_the_last_cue_sounds_is_heard_after_it(tmp_path: Path) -> None:
    log, ends = tmp_path / "log", tmp_path / "ends"
    os.mkfifo(ends)
    end = os.open(ends, os.O_RDWR)
    player = Player(50, commands=((script(tmp_path / "player", f'basename "$1" >> "{log}"; read word < "{ends}"'),),))
    player.play(Cue.COMPLETE)
    player.play(Cue.RESULT)
    os.write(end, b"one\ntwo\n")
    wait_until(lambda: settled(player), "the end of both cues")
    os.close(end)
    assert log.read_text().split() == ["complete.wav", "result.wav"]
    player.stop()


def test_what_is_playing_ends_with_the_screen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    player = Player(50, commands=((script(tmp_path / "endless", f'echo $$ "$1" > "{log}"; exec sleep 60'),),))
    player.play(Cue.RESULT)
    pid, cue = wait_until(lambda: log.exists() and log.read_text().split(), "the player's start")
    assert Path(cue).exists()
    player.stop()
    assert not player.busy and not Path(cue).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
