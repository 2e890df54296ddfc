"""Threads that work while the next batch is read: what they run is C that has let go of the interpreter."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 6
"""Batches that may be under way at once: enough that nobody waits, few enough to stay in the cache."""

In = TypeVar("In")
Out = TypeVar("Out")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Threads that each do their own tasks in order, and never fall far behind. What a task raises, wait() raises."""

    def __init__(self, count: int) -> None:
        self._threads = [ThreadPoolExecutor(1, "spanline") for _ in range(count)]
        self._running: deque[list[Future[None]]] = deque()

    def start(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Gives the n-th thread the n-th task."""
        self._running.append([thread.submit(task) for thread, task in zip(self._threads, tasks, strict=True)])
        while len(self._running) > _AHEAD:
            self._wait_for_oldest()

    def _wait_for_oldest(self) -> None:
        for future in self._running.popleft():
            future.result()

    def wait(self) -> None:
        """Until all tasks are done."""
        while self._running:
            self._wait_for_oldest()

    def close(self) -> None:
        for thread in self._threads:
            thread.shutdown()


def ahead(function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """map() in order, with the function on a thread of its own and the next items fetched meanwhile."""
    with ThreadPoolExecutor(1, "spanline") as thread:
        running: deque[Future[Out]] = deque()
        try:
            for item in items:
                running.append(thread.submit(function, item))
                if len(running) > _AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
