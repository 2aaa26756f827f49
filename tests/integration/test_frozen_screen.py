"""A screen that freezes or dies comes back by itself as it was (R48): real supervisor, real screen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.core.types import Verdict
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from tests.integration.conftest import start_serving, stop_serving
from tests.ui.staging import Scene
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def _screen(ledger: Ledger, than: int = 0) -> int:
    """Return the pid of the screen that beats, if it is another one `than`; else 0."""
    beat = ledger.heartbeats().get("screen")
    return beat.pid if beat is not None and beat.pid != than else 0


def _shown(ledger: Ledger, after: int = 0) -> list[tuple[int, str]]:
    return ledger.read("SELECT seq, body FROM audit WHERE event = 'screen_shown' AND seq > ? ORDER BY seq", after)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Ledger]:
    from edge_app.store.paths import StorePaths

    with Ledger(StorePaths(tmp_path / "store"), "work") as ledger:
        scene = Scene(ledger).receive().conclude(Verdict.HEMORRHAGE)
        note_crew(ledger, scene.study_uid, "opinion", {"opinion": "agree", "by": "nurse", "revision": 1})
        yield ledger


@pytest.mark.requirement("R48")
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_screen_that_freezes_or_dies_comes_back_with_the_same_case(
    how: signal.Signals, case: Ledger, tmp_path: Path
) -> None:
    serving = start_serving(tmp_path / "store")
    try:
        first = wait_until(lambda: _screen(case), "the screen")
        before = wait_until(lambda: _shown(case), "what it shows")
        hit_s = time.monotonic()
        os.kill(first, how)
        wait_until(lambda: _screen(case, than=first), "another screen")
        after = wait_until(lambda: _shown(case, after=before[-1][0]), "what that shows")
        print(f"\nback {time.monotonic() - hit_s:.1f} s after {how.name}")  # noqa: T201
        assert after[-1][1] == before[-1][1]
        assert '"haemorrhage"' in after[-1][1]
    finally:
        stop_serving(serving)
