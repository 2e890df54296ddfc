"""A live source that gives the frames of a capture file: what is analysed live is analysed as from the file."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spanline.chunk import Chunk, Interface, Interfaces
from spanline.pool import Pool
from spanline.schema import RECORD_DTYPE
from spanline.sources.capture_file import CaptureFile
from spanline.sources.live import Arrivals, Gap, LiveOptions

OVERWRITTEN = 0xA5


class Replayed:
    """The frames of `path`, some at a time, each time in memory that is overwritten once the next are asked for.

    frames     in a chunk
    idle       chunks without frames between two with some; their clock goes on by `pause` ns each
    tail       the same at the end
    overwrites  whether it overwrites what it lent: not where several threads have some at the same time
    borrows     whether it says so
    ends       whether chunks() is over after the last frame, or waits for stop()
    lost       frames of which it says that the ring dropped them
    most_lent  chunks whose memory somebody had at the same time
    longer     frames of which it says that they are longer than the link's
    """

    def __init__(
        self,
        path: Path,
        *,
        frames: int = 7,
        idle: int = 0,
        tail: int = 0,
        pause: int = 0,
        ends: bool = True,
        overwrites: bool = True,
        borrows: bool = False,
        lost: int = 0,
        gaps: tuple[Gap, ...] = (),
    ) -> None:
        self._path = path
        self._frames = frames
        self._idle = idle
        self._tail = tail
        self._pause = pause
        self._ends = ends
        self._overwrites = overwrites
        self._borrows = borrows
        self._lost = lost
        self._told = gaps
        self._stopped = threading.Event()
        self.opened: list[LiveOptions] = []
        self.most_lent = self.longer = 0
        self._lent: list[weakref.ref[np.ndarray[Any, Any]]] = []

    def open(self, name: str, interfaces: Interfaces, options: LiveOptions) -> Replayed:
        """What stands for sources.opening.open_source()."""
        self.name = name
        self.opened.append(options)
        self._options = options
        self._interfaces = interfaces
        self._number = interfaces.add(Interface(name, 1, options.snaplen, 1e-9, name=name))
        self.arrivals, self.gaps = Arrivals(), []
        self._stopped.clear()
        return self

    def chunks(self) -> Iterator[Chunk]:
        clock = 0
        for chunk in self._frames_of_file():
            first = int(chunk.records["timestamp"][0])
            for _ in range(self._idle if clock else 0):
                clock = max(clock, min(clock + self._pause, first - 1))
                yield self._empty(clock)
            if self._stopped.is_set():
                return
            clock = chunk.clock = int(chunk.records["timestamp"].max())
            self.arrivals.read += len(chunk.records)
            self.arrivals.offered += len(chunk.records)
            self._lent.append(weakref.ref(chunk.buffer))
            yield chunk
            self._count_lent()
            if self._overwrites:
                chunk.buffer[:] = OVERWRITTEN
                chunk.records.view(np.uint8)[:] = OVERWRITTEN
        self.arrivals.offered += self._lost
        self.arrivals.dropped["ring"] = self._lost
        self.gaps += self._told
        while not self._ends and not self._stopped.wait(0.05):
            yield self._empty(clock)
        for _ in range(self._tail):
            clock += self._pause
            yield self._empty(clock)

    def _frames_of_file(self) -> Iterator[Chunk]:
        for whole in CaptureFile(str(self._path), Interfaces(), [], Pool()).chunks():
            for first in range(0, len(whole.records), self._frames):
                records = whole.records[first : first + self._frames].copy()
                records["interface"] = self._number
                yield Chunk(whole.buffer.copy(), records, self._interfaces, borrowed=self._borrows)

    def _count_lent(self) -> None:
        self._lent = [one for one in self._lent if one() is not None]
        self.most_lent = max(self.most_lent, len(self._lent))

    def _empty(self, clock: int) -> Chunk:
        return Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces, clock)

    def stop(self) -> None:
        self._stopped.set()

    def refresh(self) -> None:
        """`arrivals` is up to date."""

    def close(self) -> None:
        """Nothing is held."""
