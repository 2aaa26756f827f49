"""Zone 7 and the other buttons that are always there: which, with which word, and whether they are lit. No Qt."""

from __future__ import annotations

from edge_app.ui.desk import IMPRESSIONS, OPINIONS, Desk, Sheet
from edge_app.ui.model_facts import ModelFacts
from edge_app.ui.notice_texts import is_outdated
from edge_app.ui.review import opinion_of
from edge_app.ui.screen_model import ActionButton
from edge_app.ui.series_choice import can_choose
from edge_app.ui.snapshot import StudyView
from edge_app.ui.states import RESULT_STATES, TERMINAL_STATES, ScreenState
from edge_app.ui.strings import text

__all__ = ["ACTION_SLOTS", "actions", "heat_map_possible"]

ACTION_SLOTS = 7
"""Places in zone 7, from the left; each keeps its place when it is empty."""

_NOTHING = ActionButton("", "")


def actions(
    state: ScreenState,
    study: StudyView | None,
    desk: Desk,
    *,
    previous: bool,
    awaited: bool = False,
    locked: bool = False,
) -> tuple[ActionButton, ...]:
    """Return the buttons of zone 7, one for each place; `awaited` is a patient who was announced.

    A screen that is `locked` may be in any state without a case, and unlocks in all of them (R81).
    """

    def button(action: str, key: str, *, lit: bool = False) -> ActionButton:
        return ActionButton(action, text(f"action.{key}", desk.language), lit)

    first = _NOTHING, _NOTHING, _NOTHING
    if state is ScreenState.READ_FIRST:
        seen, not_seen, unsure = (button(f"impression:{word}", word) for word in IMPRESSIONS)
        first = seen, not_seen, unsure
    elif locked:
        first = button("unlock", "unlock"), _NOTHING, _NOTHING
    elif state in RESULT_STATES and study is not None and study.result is not None:
        entry = opinion_of(study)
        held = entry.body.get("opinion") if entry else None
        agree, disagree, unsure = (button(f"opinion:{word}", word, lit=word == held) for word in OPINIONS)
        first = agree, disagree, unsure
    elif state is ScreenState.NO_AI_RESULT and can_choose(study) and not previous:
        first = button(f"open:{Sheet.SERIES.value}", "series"), _NOTHING, _NOTHING
    elif study is None and state is not ScreenState.STARTING:
        new = button("announce:over", "no_case") if awaited else button("announce", "announce")
        first = new, _NOTHING, _NOTHING
    notify = hand_over = _NOTHING
    if previous:
        notify = button("current", "current")
    elif study is not None:
        sent, old = "notify" in study.crew, is_outdated(study)
        notify = button(f"open:{Sheet.NOTIFY.value}", "notify_revised" if old else "notify", lit=sent and not old)
    if study is not None and state in TERMINAL_STATES:
        hand_over = button(f"open:{Sheet.HAND_OVER.value}", "hand_over", lit=desk.sheet is Sheet.HAND_OVER)
    cases = _NOTHING if locked else button("cases", "cases")
    menu = _NOTHING if locked else button(f"open:{Sheet.MENU.value}", "menu", lit=desk.sheet is Sheet.MENU)
    return (*first, notify, hand_over, cases, menu)


def heat_map_possible(state: ScreenState, facts: ModelFacts | None) -> bool:
    """Return whether there may be a heat map.

    Never for "not detected" (R37), never without a result, never of a model whose maps were not released (R38).
    """
    finding = state in RESULT_STATES and state is not ScreenState.NONE_DETECTED
    return finding and facts is not None and facts.heat_maps
