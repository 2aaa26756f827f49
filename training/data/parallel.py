"""One function over many tasks: on all local cores, or on a Dask cluster that is already there.

At most a few tasks per worker are under way at once, so that memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

from edge_app.core.errors import TrainingError

__all__ = ["Workers"]

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 3
"""Tasks handed out for each worker: one runs, the others keep it from waiting."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Where work is done.

    Attributes
    ----------
    processes
        Local processes; 0 takes one for each core, 1 works in this process.
    dask
        Address of a Dask scheduler (``tcp://host:8786``); "" for none. Its workers must have this package installed
        and see the same folders under the same names.
    """

    processes: int = 0
    dask: str = ""

    def run(
        self, function: Callable[[T], R], tasks: Sequence[T], *, title: str, sizes: Sequence[int] | None = None
    ) -> Iterator[R]:
        """Yield the results in the order in which they are done, under a progress bar.

        Parameters
        ----------
        function
            Importable by name; an exception it raises ends the run.
        tasks, sizes
            What to do, and how much each task adds to the progress bar (1).
        title
            In front of the progress bar.

        Raises
        ------
        TrainingError
            If a worker dies (out of memory, killed), or the cluster cannot be reached.
        """
        amounts = sizes or [1] * len(tasks)
        done = self._on_dask if self.dask else self._here if self._count() == 1 else self._local
        with tqdm(total=sum(amounts), desc=title, mininterval=0.5, disable=None) as bar:
            for index, result in done(function, tasks):
                bar.update(amounts[index])
                yield result

    def _count(self) -> int:
        return self.processes or os.cpu_count() or 1

    def _here(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        for index, task in enumerate(tasks):
            yield index, function(task)

    def _local(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        count = min(self._count(), max(1, len(tasks)))
        # Spawned, not forked: a fork of a process with threads (OpenCV, torch) may hang.
        with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            waiting = iter(enumerate(tasks))
            running: dict[Future[R], int] = {}
            try:
                while True:
                    for index, task in waiting:
                        running[pool.submit(function, task)] = index
                        if len(running) >= _AHEAD * count:
                            break
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(future), future.result()
            except BrokenProcessPool as error:
                raise TrainingError(
                    "a worker process died: killed, or out of memory",
                    remedy="Run the command again; use fewer --processes if memory is short.",
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _on_dask(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        try:
            distributed: Any = import_module("dask.distributed")
        except ImportError as error:
            raise TrainingError(
                f"--dask {self.dask} needs dask.distributed", remedy="Install it: pip install 'dask[distributed]'."
            ) from error
        try:
            client = distributed.Client(self.dask, timeout=10)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"no Dask scheduler answers at {self.dask}: {error}", remedy="Start it, or work without --dask."
            ) from error
        with client:
            threads = sum(client.nthreads().values())
            if not threads:
                raise TrainingError(f"the Dask cluster at {self.dask} has no workers", remedy="Start dask workers.")
            waiting = iter(enumerate(tasks))
            numbers: dict[str, int] = {}
            running = distributed.as_completed()

            def hand_out() -> None:
                for index, task in waiting:
                    # Pure functions of files: the key must differ by task, not by content of a mutable folder.
                    future = client.submit(function, task, pure=False)
                    numbers[future.key] = index
                    running.add(future)
                    return

            for _ in range(_AHEAD * threads):
                hand_out()
            for future in running:
                try:
                    result = future.result()
                except (distributed.KilledWorker, CancelledError) as error:
                    raise TrainingError(
                        f"the Dask cluster at {self.dask} lost its workers or its scheduler: {error}",
                        remedy="Look at their logs, give them more memory if it was short, and run the command again.",
                    ) from error
                index = numbers.pop(future.key)
                future.release()
                hand_out()
                yield index, result


def _one_thread() -> None:
    """Keep OpenCV to one thread a process: the processes already fill the cores."""
    cv2.setNumThreads(1)
