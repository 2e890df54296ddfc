"""A worker: a process that analyses its share, and tells its parent what is finished."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.chunk import Chunk
from spanline.errors import Problem
from spanline.sources.live import TICK, Gap, LiveSource
from spanline.transforms.own_rows import OwnRows
from spanline.transforms.reassemble import ReassemblyCounters
from spanline.workers.exchange import Exchange
from spanline.workers.queues import Lane

COUNTS_DTYPE = np.dtype(
    [(name, "i8") for name in ("offered", "ring", "queue", "read", "undecodable", "filtered_out")]
    + [(name, "i8") for name in ("moved", "longer", "octets", "bytes", "live")]
)
"""What each worker tells at any time, in memory that it has in common with the parent."""

STOP, JOIN = b"stop", b"join"
LENGTH = struct.Struct("=Q")


class Share(Protocol):
    """The part of a stage that workers do."""

    def update(self, batch: Batch) -> None: ...

    def hand_over(self, over: bool) -> tuple[int, Any]:
        """How many frames are counted in it, and what is finished, as plain values, and is then forgotten; None when
        there is nothing. When the traffic is `over`, all that there is, in several parts.
        """

    def forget(self) -> None:
        """What is finished is for another process to tell."""


class Divided(Protocol):
    """A stage that several processes can share: each does `share`, and one takes what they have finished."""

    @property
    def share(self) -> Share: ...

    def take_over(self, finished: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """What the stages' shares have finished, in their order; None where there is nothing.

    frames  that it counts: they are not lost when the worker dies
    """

    frames: int
    parts: list[Any]


@dataclass(frozen=True, slots=True)
class News:
    """What else is told when it changes."""

    gaps: list[Gap]
    problems: list[Problem]
    reassembly: ReassemblyCounters


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker is over before its time."""

    error: BaseException
    where: str


class Analysis(Protocol):
    """What of a capture a worker does: pipeline.Capture, in a process of its own."""

    problems: list[Problem]
    counters: Any

    @property
    def reassembly(self) -> ReassemblyCounters: ...

    def analyse(
        self, chunks: Generator[Chunk], stages: Sequence[Any], transforms: Sequence[Any], own: Sequence[Any]
    ) -> Iterator[Batch]: ...


class Worker:
    """What the process does after the fork.

    counts  COUNTS_DTYPE[1]: its row
    lanes   from a channel to another worker to its Lane: for those that join later
    """

    def __init__(
        self,
        exchange: Exchange,
        source: LiveSource,
        own: OwnRows,
        control: socket.socket,
        counts: npt.NDArray[np.void],
        lane: Callable[[int, socket.socket], Lane],
    ) -> None:
        self._exchange = exchange
        self._source = source
        self._own = own
        self._control = control
        self._counts = counts
        self._lane = lane
        self._outgoing: deque[memoryview] = deque()
        self._told: News | None = None
        self._octets = self._bytes = 0
        control.setblocking(False)
        exchange.between = self._look

    def run(self, capture: Analysis, stages: Sequence[Divided], transforms: Sequence[Any]) -> NoReturn:
        """All of it. Never returns: what the parent has begun is not this process's to end."""
        code = 1
        try:
            # Whoever interrupts a group of processes means the parent, which ends the workers in order.
            signal.set_wakeup_fd(-1)
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
            self._run(capture, stages, transforms)
            code = 0
        except BaseException as error:
            self._say(Failed(error, traceback.format_exc()))
        finally:
            self._finish_saying()
            os._exit(code)

    def _run(self, capture: Analysis, stages: Sequence[Divided], transforms: Sequence[Any]) -> None:
        shares = [stage.share for stage in stages]
        for share in shares:
            share.forget()  # what the parent has taken over from others by now
        due = 0.0
        for batch in capture.analyse(self._counted(), shares, transforms, [self._own]):
            self._count(capture, shares)
            # What is not handed over yet waits in the stages, where memory is bounded.
            if not self._outgoing and time.monotonic() >= due:
                due = time.monotonic() + TICK / 2
                self._hand_over(shares, over=False)
            del batch
        while self._hand_over(shares, over=True):
            self._finish_saying()
        self._source.refresh()
        self._count(capture, shares)
        self._tell_news(capture)

    def _counted(self) -> Generator[Chunk]:
        for chunk in self._exchange.chunks():
            wire, captured = chunk.octets
            self._octets += wire
            self._bytes += captured
            yield chunk

    def _count(self, capture: Analysis, shares: Sequence[Share]) -> None:
        arrivals, counters = self._source.arrivals, capture.counters
        self._counts[0] = (
            arrivals.offered,
            arrivals.lost,
            self._exchange.dropped,
            counters.read - self._own.others,
            counters.undecodable,
            counters.filtered_out,
            self._exchange.moved,
            getattr(self._source, "longer", 0),
            self._octets,
            self._bytes,
            sum(getattr(share, "live", 0) for share in shares),
        )
        if self._told is None or len(self._told.gaps) != len(self._source.gaps) or self._told.gaps != self._source.gaps:
            self._tell_news(capture)

    def _tell_news(self, capture: Analysis) -> None:
        self._told = News(list(self._source.gaps), list(capture.problems), capture.reassembly)
        self._say(self._told)

    def _hand_over(self, shares: Sequence[Share], *, over: bool) -> bool:
        """False when there was nothing."""
        frames, parts = zip(*(share.hand_over(over) for share in shares), strict=True)
        if all(part is None for part in parts):
            return False
        self._say(Finished(max(frames), list(parts)))
        return True

    def _look(self) -> None:
        """What the parent says, what it has not taken yet, and what the kernel told, which tells nothing twice."""
        arrivals = self._source.arrivals
        self._counts["offered"], self._counts["ring"] = arrivals.offered, arrivals.lost
        self._flush()
        try:
            message, channels, _, _ = socket.recv_fds(self._control, 64, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            message = b""
        if not message:
            os._exit(1)  # nobody is there whom the results could be for
        if message == STOP:
            self._source.stop()
        elif message.startswith(JOIN):
            other = int(message[len(JOIN) :])
            self._exchange.join(other, self._lane(other, socket.socket(fileno=channels[0])))

    def _say(self, what: object) -> None:
        octets = pickle.dumps(what, protocol=pickle.HIGHEST_PROTOCOL)
        message = LENGTH.pack(len(octets)) + octets
        self._outgoing += [memoryview(message)[at : at + _PART] for at in range(0, len(message), _PART)]
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                self._control.send(self._outgoing[0])
                self._outgoing.popleft()
        except BlockingIOError:
            return
        except ConnectionError:
            os._exit(1)

    def _finish_saying(self) -> None:
        self._control.setblocking(True)
        self._flush()
        self._control.setblocking(False)


_PART = 1 << 16
"""Bytes of a message: the kernel keeps their bounds, and has them whole or not at all."""
