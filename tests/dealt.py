"""Frames of a capture, dealt out among sources as by a kernel that knows nothing of flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spanline.chunk import Chunk, Interface, Interfaces
from spanline.pool import Pool
from spanline.schema import RECORD_DTYPE
from spanline.sources.capture_file import CaptureFile
from spanline.sources.live import Arrivals, Gap, LiveOptions


class Dealt:
    """Those of `path` that chance gives to source `number` of `of`, 50 of all at a time; `seed` is of the chance.

    Like a ring, it is opened before processes are forked, and read in one of them.
    """

    def __init__(
        self, path: Path, number: int, of: int, interfaces: Interfaces, options: LiveOptions, seed: int
    ) -> None:
        self.name = options.filter or "live:dealt"
        self.arrivals = Arrivals(dropped={"ring": 0})
        self.gaps: list[Gap] = []
        self.kernel_filters = True
        self.warnings = ["offloads are on"]
        self._interfaces = interfaces
        self._stopped = False
        self._chunks: list[Chunk] = []
        chance = np.random.default_rng(seed)
        interfaces.add(Interface(self.name, 1, options.snaplen, 1e-9, name=self.name))
        for whole in CaptureFile(str(path), Interfaces(), [], Pool()).chunks():
            for first in range(0, len(whole.records), 50):
                records = whole.records[first : first + 50].copy()
                records["interface"] = 0
                begin = int(records["offset"].min())
                end = int((records["offset"] + records["captured_length"]).max())
                records["offset"] -= begin
                mine = chance.integers(0, of, len(records)) == number
                clock = int(records["timestamp"].max())
                self._chunks.append(Chunk(whole.buffer[begin:end].copy(), records[mine], interfaces, clock))

    def chunks(self) -> Iterator[Chunk]:
        for chunk in self._chunks:
            self.arrivals.offered += len(chunk.records)
            self.arrivals.read += len(chunk.records)
            yield chunk
        last = self._chunks[-1].clock if self._chunks else 0
        yield Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces, last)

    def stop(self) -> None:
        self._stopped = True

    def refresh(self) -> None:
        """`arrivals` is up to date."""

    def close(self) -> None:
        """Nothing is held."""

    def take_over(self, gives_up: bool) -> None:
        """Nothing was read by anybody else."""

    def fileno(self) -> int:
        return -1


class Dealing:
    """What stands for sources.ring.RingSource: each that is opened is the next of those that share."""

    def __init__(self, path: Path, of: int, seed: int = 1) -> None:
        self._path, self._of, self._seed = path, of, seed
        self._opened = 0

    def __call__(self, interface: str, interfaces: Interfaces, options: LiveOptions, **_: Any) -> Dealt:
        self._opened += 1
        return Dealt(self._path, self._opened - 1, self._of, interfaces, options, self._seed)
