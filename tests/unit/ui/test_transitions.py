"""R39: every event in every situation, against the written table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import pytest

from edge_app.ui.facts import Disk, Facts, Life, Phase
from edge_app.ui.rules import RULES, state_from
from edge_app.ui.states import LOOKS, ScreenState
from edge_app.ui.transitions import EVENTS, TRANSITIONS, Event

BOTH = (False, True)


AXES = (BOTH, tuple(Life), tuple(Life), tuple(Disk), BOTH, BOTH, BOTH, BOTH, BOTH)
"""Everything but the case and the watch, in the order of `Facts`."""

WELL = (False, Life.ALIVE, Life.ALIVE, Disk.OK, False, False, False, False, False)

WATCHED = ((True, ()), (False, ("F-09",)), (True, ("F-09",)))
"""What the watch may say beside "all is well"."""


def situations() -> Iterator[Facts]:
    for phase in Phase:
        for newer in (False,) if phase is Phase.NONE else BOTH:
            for others in itertools.product(*AXES):
                yield Facts(phase, newer, *others)
                # With the watch's word, two other things at a time: all of them together would take a minute.
                if sum(value != well for value, well in zip(others, WELL, strict=True)) <= 2:
                    for untested, unfit in WATCHED:
                        yield Facts(phase, newer, *others, untested=untested, unfit=unfit)


@lru_cache(maxsize=1)
def states() -> dict[Facts, ScreenState]:
    return {facts: state_from(facts) for facts in situations()}


@pytest.mark.requirement("R39")
def test_every_transition_is_in_the_table_and_every_one_in_the_table_happens() -> None:
    happened: dict[Event, set[tuple[ScreenState, ScreenState]]] = {event: set() for event in Event}
    known = states()
    for facts, before in known.items():
        for event, change in EVENTS.items():
            after = state_from(change(facts))
            if after is not before:
                happened[event].add((before, after))
    written = {
        event: {(start, end) for starts, ends in rows for start in starts for end in ends if start is not end}
        for event, rows in TRANSITIONS.items()
    }
    assert happened == written
    assert sum(map(len, happened.values())) > 400


@pytest.mark.requirement("R39")
def test_every_state_is_reached_and_every_rule_is_needed() -> None:
    reached, used = set(), set()
    for facts in situations():
        number = next(number for number, (_, holds) in enumerate(RULES) if holds(facts))
        used.add(number)
        reached.add(RULES[number][0])
    assert reached == set(ScreenState) == set(LOOKS)
    assert used == set(range(len(RULES)))


@pytest.mark.requirement("R39")
def test_what_nobody_knows_is_a_failure() -> None:
    for facts in states():
        assert states()[EVENTS[Event.UNKNOWN](facts)] is ScreenState.FAILED


@pytest.mark.requirement("R35", "R41")
def test_only_not_detected_waits_for_the_crew_and_a_lock_never_hides_a_case() -> None:
    for facts, state in states().items():
        if state is ScreenState.READ_FIRST:
            assert facts.phase is Phase.NONE_DETECTED
        if state is ScreenState.LOCKED:
            assert facts.phase is Phase.NONE
