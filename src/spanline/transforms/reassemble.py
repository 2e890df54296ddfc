"""Reassembly of IP fragments: the frame that completes a datagram shows all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spanline._decode import Reassembly
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.pool import Pool
from spanline.schema import FRAGMENT_DTYPE

MEMORY = 16 << 20
"""Bytes of fragments kept. Bookkeeping for datagrams takes about half as much again."""

TIMEOUT = 60.0
"""Seconds after its first fragment for a datagram to be complete (RFC 1122 section 3.3.2, RFC 8200 section 4.5)."""


@dataclass(frozen=True, slots=True)
class ReassemblyCounters:
    """What became of fragmented datagrams."""

    completed: int = 0
    timed_out: int = 0
    """Not complete within TIMEOUT, by the time of the packets."""
    evicted: int = 0
    """Given up, the oldest first, because MEMORY was full."""
    overlapping: int = 0
    """Of the completed: two fragments had the same bytes, or a fragment came twice."""
    refused: int = 0
    """A fragment would have reached beyond 65,535 bytes, or was inside the fourth datagram that one frame completed."""
    pending: int = 0
    """Not complete yet."""


class Reassemble:
    """Puts fragmented datagrams together. A Transform: the first one, for batches of a Decode(reassemble=True).

    feed() gives the batch it got. The row of the frame that completes a datagram, which is the last to arrive and not
    always the last in order, is decoded as if the datagram had come in it: ports, payload (in the batch's buffers[1]),
    tunnels inside, flow. Its time and lengths, `ip_id` and `fragment_offset` stay those of the frame. Rows of the other
    fragments end with IP: no ports, and their part of the datagram as payload.

    Where fragments overlap, the bytes are from the one that begins first, and of several that begin together from the
    one that came first; the first fragment without "more fragments" tells the length. This is Wireshark's policy. A
    fragment of which the capture has only a part is not used. What is decoded is the same however frames are cut into
    batches.

    memory    bytes of fragments kept, at least 256 KiB; when they are full, the datagram begun first goes
    timeout   seconds after which an unfinished datagram goes, by the packets' timestamps

    Raises UsageError when memory is too small.
    """

    def __init__(self, *, memory: int = MEMORY, timeout: float = TIMEOUT) -> None:
        try:
            self._table = Reassembly(memory, round(timeout * 1e9))
        except ValueError as error:
            raise UsageError(str(error)) from error
        self._pool = Pool()

    @property
    def counters(self) -> ReassemblyCounters:
        return ReassemblyCounters(*self._table.counters)

    def feed(self, batch: Batch) -> Iterable[Batch]:
        if batch.fragments:
            batch.reassemble(self._table, self._pool)
        return (batch,)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every batch was given out at once. What is unfinished stays `pending`."""
        return ()

    def state(self) -> dict[str, Any]:
        """All that is unfinished: {"counters": numbers by name, "fragments": rows of schema.FRAGMENT, oldest datagram
        first, "octets": their bytes one after another, uint8}."""
        fragments, octets = self._table.save()
        return {
            "counters": asdict(self.counters),
            "fragments": np.frombuffer(fragments, FRAGMENT_DTYPE),
            "octets": np.frombuffer(octets, np.uint8),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where another one's state() was. Raises UsageError when it is damaged."""
        counters = ReassemblyCounters(**state["counters"])
        numbers = [counters.completed, counters.timed_out, counters.evicted, counters.overlapping, counters.refused]
        try:
            self._table.load(state["fragments"].tobytes(), state["octets"].tobytes(), numbers)
        except ValueError as error:
            raise UsageError(str(error)) from error
