"""The build's progress on a terminal: one line per step, one bar per phase that TensorRT is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from export.engine.process import OnEvent

__all__ = ["show_progress"]


@contextmanager
def show_progress() -> Iterator[tuple[Callable[[str], None], OnEvent]]:
    """Show bars on stderr for the time of the block; give the functions that are told of steps and events."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as progress:

        def on_step(text: str) -> None:
            for bar in bars.values():
                progress.remove_task(bar)
            bars.clear()
            progress.console.print(text)

        def on_event(event: dict[str, Any]) -> None:
            name = event.get("name", "")
            if event["event"] == "phase":
                if name in bars:
                    progress.remove_task(bars[name])
                bars[name] = progress.add_task(("  " if event["parent"] else "") + name[:60], total=event["steps"])
            elif event["event"] == "step" and name in bars:
                progress.update(bars[name], completed=event["step"] + 1)
            elif event["event"] == "finish" and name in bars:
                progress.remove_task(bars.pop(name))

        yield on_step, on_event
