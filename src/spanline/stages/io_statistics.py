"""Frames and bytes by interval of time, as tshark's -z io,stat counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, table_of
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.schema import Column

INTERVAL = Column("relative_start", "", "duration", "Start", "ns", "of the interval, since the capture's first frame")
IO = (
    INTERVAL,
    Column("start", "", "time", "Time", "ns", "of the interval, UTC"),
    Column("frames", "", "uint64", "Frames"),
    Column("bytes", "", "uint64", "Bytes", "byte", "wire length"),
)
"""The Table "io", a row for each interval with frames in it."""

MEMORY = 1 << 28
_ENTRY = np.dtype([("interval", "i8"), ("frames", "u8"), ("bytes", "u8")])

_MICROSECOND = 1000
_FURTHEST = np.iinfo(np.int64).max


class IoStatistics:
    """Counts frames and bytes by interval, of which only those with frames take memory.

    interval  in ns, a multiple of 1000
    memory    bytes that all intervals may take; beyond, the frames of later ones are counted as `others`
    shard     (n, of): count only the frames of flows of the n-th, from 0, of so many parts; merge() joins the parts

    Intervals follow one another from the capture's first frame on; times are rounded to whole microseconds. A frame
    that is earlier than the one before it counts in the latest interval that there was, as in tshark.
    """

    def __init__(self, interval: int = 10**9, *, memory: int = MEMORY, shard: tuple[int, int] = (0, 1)) -> None:
        number, of = shard
        if interval < _MICROSECOND or interval % _MICROSECOND:
            raise UsageError(f"an interval of {interval} ns makes no sense", hint="give a whole number of microseconds")
        if not 0 <= number < of:
            raise UsageError(f"shard {number} of {of}: there is none")
        self.interval = interval
        self.start: int | None = None
        """Time of the capture's first frame, ns."""
        self.duration = 0
        """ns from the first frame to the latest one, 0 when none is later."""
        self.others = (0, 0)
        """(frames, bytes) of intervals for which there was no room."""
        self._most = max(memory // _ENTRY.itemsize, 1)
        self._shard = shard
        self._latest = 0
        self._parts: list[npt.NDArray[np.void]] = []
        self._count = 0

    def update(self, batch: Batch) -> None:
        packets = batch.packets
        if not len(packets):
            return
        times = np.ascontiguousarray(packets["timestamp"])
        if self.start is None:
            self.start = batch.begun
        first, last = self._intervals(np.array([times.min(), times.max()])).tolist()
        if first == last:  # as in most batches
            intervals = np.full(len(times), max(first, self._latest))
        else:
            intervals = self._intervals(times)
            intervals[0] = max(intervals[0], self._latest)
            np.maximum.accumulate(intervals, out=intervals)
        self._latest = int(intervals[-1])
        number, of = self._shard
        octets = packets["wire_length"].astype(np.uint64)
        if of > 1:
            own = (packets["flow_hash"] & np.uint64(0xFFFFFFFF)) * np.uint64(of) >> np.uint64(32) == number
            intervals, octets = intervals[own], octets[own]
        if len(intervals):
            self._add(intervals, octets)

    def _intervals(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of the interval of each time; `duration` grows to the latest one."""
        assert self.start is not None
        # An int64 has room for the difference, and for what is added to round it.
        latest = min(_FURTHEST, self.start + _FURTHEST - _MICROSECOND)
        since = np.clip(times, self.start, latest) - self.start
        self.duration = max(self.duration, int(since.max()))
        return (since + _MICROSECOND // 2) // self.interval

    def _add(self, intervals: npt.NDArray[np.int64], octets: npt.NDArray[np.uint64]) -> None:
        """Counts frames, in the order of their intervals."""
        starts = np.flatnonzero(np.r_[True, intervals[1:] != intervals[:-1]])
        entries = np.empty(len(starts), _ENTRY)
        entries["interval"] = intervals[starts]
        entries["frames"] = np.diff(np.append(starts, len(intervals)))
        entries["bytes"] = np.add.reduceat(octets, starts)
        if self._parts and self._parts[-1]["interval"][-1] == entries["interval"][0]:
            for name in ("frames", "bytes"):
                self._parts[-1][name][-1] += entries[name][0]
            entries = entries[1:]
        self._keep(entries)

    def _keep(self, entries: npt.NDArray[np.void]) -> None:
        room = self._most - self._count
        if len(entries) > room:
            frames, octets = self.others
            rest = entries[room:]
            self.others = frames + int(rest["frames"].sum()), octets + int(rest["bytes"].sum())
            entries = entries[:room]
        if len(entries):
            self._parts.append(entries)
            self._count += len(entries)

    def entries(self) -> npt.NDArray[np.void]:
        """Intervals with frames, in their order: a structured array of interval (its number, from 0), frames, bytes."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0] if self._parts else np.empty(0, _ENTRY)

    def merge(self, other: IoStatistics) -> None:
        """Adds what another part of the same capture counted, which saw the same time pass.

        Raises UsageError when its intervals are not the same.
        """
        if self.interval != other.interval or (None not in (self.start, other.start) and self.start != other.start):
            raise UsageError("these are other intervals", hint="merge parts of one analysis")
        self.start = other.start if self.start is None else self.start
        self.duration = max(self.duration, other.duration)
        self._latest = max(self._latest, other._latest)
        self.others = self.others[0] + other.others[0], self.others[1] + other.others[1]
        both = np.concatenate([self.entries(), other.entries()])
        intervals, which = np.unique(both["interval"], return_inverse=True)
        entries = np.zeros(len(intervals), _ENTRY)
        entries["interval"] = intervals
        for name in ("frames", "bytes"):
            np.add.at(entries[name], which, both[name])
        self._parts, self._count = [], 0
        self._keep(entries)

    def state(self) -> dict[str, Any]:
        known = {name: getattr(self, name) for name in ("interval", "start", "duration", "others", "_latest")}
        return {**known, "entries": self.entries().tobytes()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where state() was taken: for a new stage. Raises UsageError when its interval is another one."""
        if state["interval"] != self.interval:
            raise UsageError("this state is of another interval")
        for name in ("start", "duration", "others", "_latest"):
            setattr(self, name, state[name])
        self._keep(np.frombuffer(state["entries"], _ENTRY).copy())

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: another part may have counted in the same intervals."""
        return {}

    def tables(self) -> Mapping[str, pa.Table]:
        entries = self.entries()
        starts = entries["interval"] * self.interval
        return {
            "io": table_of(
                IO,
                {
                    "relative_start": column(starts),
                    "start": column(starts + (self.start or 0)),
                    "frames": column(entries["frames"]),
                    "bytes": column(entries["bytes"]),
                },
            )
        }
