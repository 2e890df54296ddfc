"""Several threads that each carry a batch through all steps; a step takes one batch at a time, in their order.

What a batch is made of stays in the cache of one core that way, from the read to the last table. The steps are C that
has let go of the interpreter.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Step = Callable[[Item], None]

_WAITING = 1
"""Items that may wait for the consumer: each keeps its memory."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Relay(Generic[Item]):
    def __init__(self, source: Iterator[Item], steps: Sequence[Step[Item]]) -> None:
        self._source = source
        self._steps = steps
        # One for the source, one for each step, and one for handing over. A thread lets go of a step when it has got
        # the next one: so nobody overtakes.
        self._locks = [threading.Lock() for _ in range(len(steps) + 2)]
        self.done: queue.Queue[Item | BaseException | None] = queue.Queue(_WAITING)
        self.stopped = False

    def run(self) -> None:
        """What each thread does."""
        try:
            while self._carry():
                pass
        except BaseException as error:
            self.stopped = True
            self.done.put(error)
        else:
            self.done.put(None)

    def _carry(self) -> bool:
        """Takes the next item through; False when there is none."""
        held = self._locks[0]
        held.acquire()
        try:
            item = None if self.stopped else next(self._source, None)
            if item is None:
                return False
            for step, lock in zip((*self._steps, self.done.put), self._locks[1:], strict=True):
                lock.acquire()
                held.release()
                held = lock
                if self.stopped:
                    return False
                step(item)
        finally:
            held.release()
        return True


def relay(source: Iterator[Item], steps: Sequence[Step[Item]], threads: int) -> Iterator[Item]:
    """The items of `source`, in order, after all `steps`; what `source` or a step raises is raised here."""
    if threads == 1:
        for item in source:
            for step in steps:
                step(item)
            yield item
        return
    carried = _Relay(source, steps)
    running = [threading.Thread(target=carried.run, name="spanline") for _ in range(threads)]
    for thread in running:
        thread.start()
    left = threads
    try:
        while left:
            got = carried.done.get()
            if isinstance(got, BaseException):
                left -= 1
                raise got
            if got is None:
                left -= 1
            else:
                yield got
    finally:
        carried.stopped = True
        while left:  # those that wait to hand something over
            left -= not _is_item(carried.done.get())
        for thread in running:
            thread.join()


def _is_item(item: object) -> bool:
    return item is not None and not isinstance(item, BaseException)
