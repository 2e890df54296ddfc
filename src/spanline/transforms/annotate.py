"""Annotate: which stream each frame is of, what its TCP segment means there, and which applications it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spanline._applications import BYTES_PER_STREAM, Applications
from spanline._decode import SEED
from spanline._streams import StreamTable
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.pool import Pool
from spanline.schema import (
    ANALYSIS_DTYPE,
    MESSAGE_DTYPE,
    OTHER_STREAM_DTYPE,
    SEGMENT_DTYPE,
    STREAM_DTYPE,
    STREAM_RECORD_DTYPE,
)

MEMORY = 512 << 20
"""Bytes for what is known of streams: some two million of them."""


_MESSAGES = 16 << 20
"""Bytes of them for the beginnings of messages that are not whole yet."""


@dataclass(frozen=True, slots=True)
class AnnotateCounters:
    """What became of streams."""

    tcp_streams: int = 0
    udp_streams: int = 0
    evicted: int = 0
    """Streams given up, the least recently used first, because MEMORY was full. More of one of them is a new stream."""
    forgotten: int = 0
    """TCP segments that nobody had acknowledged when there was no room for more."""
    packets: int = 0
    clock: int = 0
    """Goes on by one every 1,024 packets: who was used when."""
    hand: int = 0
    """The next stream whose segments will be forgotten."""


class Annotate:
    """Numbers streams, analyses TCP and names applications. A Transform: behind those that put together, remove or
    reorder frames.

    feed() gives the batch it got, with its `streams` and `other_streams`, and with `analysis` when `details` are
    wanted. `steps` are its two halves. Numbers and analysis are those of Wireshark 4.0 reading the same capture once,
    with default preferences: a stream is what two ends (address and port) say to one another, whatever the tunnel, the
    VLAN or the time, until a SYN comes with another initial sequence number. What is said of a frame depends only on
    those before it, and not on how frames are cut into batches.

    A packet's `application` says what Wireshark finds behind its transport header: a message that TCP splits is the
    segment's that completes it.

    details       fill `analysis`, too
    applications  fill `application`; without it, streams are all that is found
    messages      fill `messages`, too, and buffers[2] with those of them that came in several segments
    memory        bytes for what is known of streams, at least 16 MiB; when they are full, the least recently used go

    Raises UsageError when memory is too small.
    """

    def __init__(
        self, *, details: bool = False, applications: bool = True, messages: bool = False, memory: int = MEMORY
    ) -> None:
        if memory < 1 << 24:
            raise UsageError(f"{memory} bytes are too few for streams", hint="at least 16 MiB")
        self._pending = min(_MESSAGES, memory // 8)
        share = STREAM_RECORD_DTYPE.itemsize / (STREAM_RECORD_DTYPE.itemsize + BYTES_PER_STREAM)
        self._table = StreamTable(int((memory - self._pending) * share), seed=SEED)
        self._applications: Applications | None = None
        self._details = details
        self._messages = messages
        self._streams = Pool()
        self._analysis = Pool()
        if applications or messages:
            self._want_applications()

    def _want_applications(self) -> Applications:
        if self._applications is None:
            from spanline.protocols.tables import application_set  # takes longer to make than many a capture

            self._applications = Applications(application_set(), self._pending)
        return self._applications

    @property
    def counters(self) -> AnnotateCounters:
        return AnnotateCounters(*self._table.counters)

    def require(self, names: Collection[str]) -> None:
        """Finds out at least these: of "streams", which it always does, "application", "analysis" and "messages"."""
        self._details |= "analysis" in names
        self._messages |= "messages" in names
        if "application" in names or self._messages:
            self._want_applications()

    @property
    def steps(self) -> tuple[Callable[[Batch], Iterable[Batch]], ...]:
        return (self._find_streams, self._find_applications) if self._applications else (self._find_streams,)

    def feed(self, batch: Batch) -> Iterable[Batch]:
        for step in self.steps:
            step(batch)
        return (batch,)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every batch was given out at once."""
        return ()

    def _find_streams(self, batch: Batch) -> Iterable[Batch]:
        batch.streams = self._streams.take_rows(STREAM_DTYPE, len(batch))
        if self._details:
            batch.analysis = self._analysis.take_rows(ANALYSIS_DTYPE, len(batch))
        others = self._table.update(
            batch.packets.view(np.uint8),
            batch.numbers,
            batch.tunnels.view(np.uint8),
            batch.buffers,
            batch.streams.view(np.uint8),
            batch.analysis.view(np.uint8) if self._details else None,
        )
        batch.other_streams = others.view(OTHER_STREAM_DTYPE)
        return (batch,)

    def _find_applications(self, batch: Batch) -> Iterable[Batch]:
        assert self._applications is not None
        found = self._applications.update(
            batch.packets.view(np.uint8),
            batch.streams.view(np.uint8),
            self._table.slots,
            batch.buffers,
            batch.paths.last_protocols(),
            self._messages,
        )
        batch.applications = self._applications
        if found:
            messages, assembled = found
            batch.messages = messages.view(MESSAGE_DTYPE)
            batch.buffers = [*batch.buffers[:2], *[assembled[:0]] * (2 - len(batch.buffers)), assembled]
        return (batch,)

    def state(self) -> dict[str, Any]:
        """All that is known of streams: {"counters": numbers by name, "records": rows of STREAM_RECORD_DTYPE, each in
        its slot, "segments": rows of SEGMENT_DTYPE, by slot, direction and age, "applications": what waits
        in them, as bytes, None where they are not wanted}."""
        records, segments = self._table.save()
        return {
            "counters": asdict(self.counters),
            "records": records.view(STREAM_RECORD_DTYPE),
            "segments": segments.view(SEGMENT_DTYPE),
            "applications": self._applications.save() if self._applications else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where another one's state() was. Raises UsageError when it is damaged."""
        counters = AnnotateCounters(**state["counters"])
        try:
            self._table.load(
                state["records"].view(np.uint8), state["segments"].view(np.uint8), tuple(asdict(counters).values())
            )
            if state["applications"] is not None:
                self._want_applications().load(*state["applications"])
        except ValueError as error:
            raise UsageError(str(error)) from error
