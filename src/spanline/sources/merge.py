"""Several capture files as one: those that overlap in time are merged by timestamp, others follow one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

try:
    import resource
except ImportError:  # Windows, where files have no such limit
    resource = None  # type: ignore[assignment]

import numpy as np
import numpy.typing as npt

from spanline.chunk import Chunk
from spanline.sources.capture_file import CaptureFile


@dataclass(slots=True)
class _Reading:
    """A file that is being read: what is left of its current chunk.

    `keys` are its timestamps made monotonic, because merging must never change the order within a file.
    """

    chunks: Iterator[Chunk]
    chunk: Chunk
    keys: npt.NDArray[np.int64]
    newest: int

    def advance(self) -> bool:
        """Goes on to the next chunk; False when there is none."""
        chunk = next(self.chunks, None)
        if chunk is None:
            return False
        self.chunk = chunk
        self.keys = np.maximum(_keys(chunk), self.newest)
        self.newest = int(self.keys[-1])
        return True

    def cut(self, count: int) -> Chunk:
        """Takes the first `count` records away."""
        taken = Chunk(self.chunk.buffer, self.chunk.records[:count], self.chunk.interfaces)
        self.chunk = Chunk(self.chunk.buffer, self.chunk.records[count:], self.chunk.interfaces)
        self.keys = self.keys[count:]
        return taken


def _keys(chunk: Chunk) -> npt.NDArray[np.int64]:
    return np.maximum.accumulate(chunk.records["timestamp"])


def merge(files: Sequence[CaptureFile]) -> Iterator[Chunk]:
    """The chunks of all `files` in order of time. Files without any record come first."""
    _allow_open_files(len(files))
    if len(files) == 1:
        yield from files[0].chunks()
        return
    starts = [(-1 if time is None else 0, time or 0, n) for n, time in enumerate(f.first_timestamp() for f in files)]
    waiting = [(time, files[n]) for _, time, n in sorted(starts)]
    reading: list[_Reading] = []
    while waiting or reading:
        if not reading:
            _start(reading, waiting.pop(0)[1])
            continue
        horizon = min(one.newest for one in reading)
        if waiting and waiting[0][0] < horizon:
            _start(reading, waiting.pop(0)[1])
            continue
        parts = []
        for one in reading:
            count = int(np.searchsorted(one.keys, horizon, "right"))
            if count:
                parts.append((one.keys[:count], one.cut(count)))
        yield parts[0][1] if len(parts) == 1 else interleave(parts)
        reading = [one for one in reading if len(one.keys) or one.advance()]


def _allow_open_files(count: int) -> None:
    """Captures that overlap in time are open together, and the usual limit is 1024 or 256 files."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + 100
        if soft < wanted and soft != resource.RLIM_INFINITY:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _start(reading: list[_Reading], file: CaptureFile) -> None:
    chunks = file.chunks()
    chunk = next(chunks, None)
    if chunk is not None:
        keys = _keys(chunk)
        reading.append(_Reading(chunks, chunk, keys, int(keys[-1])))


def _lengths(records: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Bytes of each frame, and of the options behind it."""
    captured, options = (records[name].astype(np.int64) for name in ("captured_length", "options"))
    return np.where(options, (captured + 3) // 4 * 4 + 4 * options, captured)


def interleave(parts: list[tuple[npt.NDArray[np.int64], Chunk]]) -> Chunk:
    """One chunk of several: their bytes one after another, their records by time."""
    buffers, records, at = [], [], 0
    for _, chunk in parts:
        offsets = chunk.records["offset"].astype(np.int64)
        first = int(offsets.min())
        last = int((offsets + _lengths(chunk.records)).max())
        moved = chunk.records.copy()
        moved["offset"] = offsets - first + at
        buffers.append(chunk.buffer[first:last])
        records.append(moved)
        at += last - first
    order = np.argsort(np.concatenate([keys for keys, _ in parts]), kind="stable")
    return Chunk(np.concatenate(buffers), np.concatenate(records)[order], parts[0][1].interfaces)
