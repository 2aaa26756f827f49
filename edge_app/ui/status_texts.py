"""The footer's right end: how scanner link, AI, disk and delivery are. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_app.ui import formats
from edge_app.ui.desk import Desk
from edge_app.ui.facts import Disk, disk_of, is_alive
from edge_app.ui.screen_model import StatusItem
from edge_app.ui.snapshot import Snapshot
from edge_app.ui.states import ScreenState
from edge_app.ui.strings import text

__all__ = ["alerts", "model_of", "status_items"]


def model_of(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the worker's heartbeat says of its model."""
    model = detail.get("model")
    return model if isinstance(model, Mapping) else detail


def status_items(snapshot: Snapshot, desk: Desk, now_s: float) -> tuple[StatusItem, ...]:
    """Return the items from the left; what is not good is marked as such."""
    items, language = [], desk.language
    if desk.muted_until_s is not None:
        left = formats.elapsed(desk.muted_until_s - now_s)
        items.append(StatusItem(text("footer.muted", language, left=left), good=False))
    for process, key in (("receive", "ct"), ("work", "ai")):
        alive = is_alive(snapshot, process, now_s)
        detail = snapshot.heartbeats[process].detail if alive else {}
        if alive is None:
            items.append(StatusItem(text("footer.waiting", language), good=True))
        elif not alive or detail.get("problem"):
            items.append(StatusItem(text(f"footer.{key}_off", language), good=False))
        elif process == "work":
            version = formats.clean(model_of(detail).get("version"), 12)
            items.append(StatusItem(text("footer.ai_ok", language, version=version).strip(), good=True))
        else:
            items.append(StatusItem(text("footer.ct_ok", language), good=True))
            items += _disk(snapshot, detail, language)
    return (*items, *_link(snapshot, language, now_s))


def _disk(snapshot: Snapshot, detail: Mapping[str, Any], language: str) -> list[StatusItem]:
    if disk_of(snapshot) is not Disk.OK:
        return [StatusItem(text("footer.disk_low", language), good=False)]
    free, total = detail.get("free_bytes"), detail.get("total_bytes")
    if isinstance(free, int) and isinstance(total, int) and total > 0:
        used = formats.percent(min(max(1.0 - free / total, 0.0), 1.0))
        return [StatusItem(text("footer.disk", language, percent=used), good=True)]
    return []


def _link(snapshot: Snapshot, language: str, now_s: float) -> list[StatusItem]:
    """Return the way to the centre: a dead deliverer is not a broken link, which mends itself."""
    beat = snapshot.heartbeats.get("deliver")
    alive = is_alive(snapshot, "deliver", now_s)
    if alive is None:
        return [StatusItem(text("footer.waiting", language), good=True)]
    if beat is None or not alive:
        return [StatusItem(text("footer.sending_off", language), good=False)]
    link = beat.detail.get("link")
    if link == "off":
        return [StatusItem(text("footer.link_off", language), good=True)]
    if link == "down":
        return [StatusItem(text("footer.link_down", language), good=False)]
    unsent = sum(study.delivery.queued > 0 for study in snapshot.studies)
    if unsent:
        return [StatusItem(text("footer.unsent", language, count=unsent), good=True)]
    return [StatusItem(text("footer.link_ok", language), good=True)]


_SAID_BY_STATE = {"receive": ScreenState.RECEIVER_STOPPED, "work": ScreenState.AI_STOPPED}


def alerts(snapshot: Snapshot, state: ScreenState, language: str, now_s: float) -> tuple[str, ...]:
    """Return what has stopped although the state does not say so, and what to do about it.

    A result stays on the screen when a process dies: what the crew can no longer count on is said beside it.
    """
    return tuple(
        text(f"alert.{process}", language)
        for process in ("receive", "work", "deliver")
        if is_alive(snapshot, process, now_s) is False and state is not _SAID_BY_STATE.get(process)
    )
