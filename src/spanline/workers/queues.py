"""Queues of frames between two workers, in memory that both have."""

from __future__ import annotations

import mmap
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from spanline import _exchange
from spanline.chunk import Chunk, Interfaces
from spanline.schema import RECORD_DTYPE

Bytes = npt.NDArray[np.uint8]

QUEUE_BYTES = 16 << 20
"""Of each direction: what comes in 50 ms at 300 MB/s. It is only used as far as frames wait."""

# What happened, how many (frames, or messages taken so far), clock, place and bytes in the queue's memory.
_MESSAGE = struct.Struct("=IIqQQ")
_FRAMES, _TAKEN, _END = range(3)
_LINE = 64


def memory() -> mmap.mmap:
    """What a queue is in: shared with processes that are forked from now on."""
    return mmap.mmap(-1, QUEUE_BYTES)


def readable(descriptors: Iterable[int], seconds: float) -> list[int]:
    """Those of which something can be read, or that are over, once there are any; none when that takes too long.

    Not select(), which knows no number above 1023: each of many workers has a channel to each.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]


class Lane:
    """The queues between this worker and another.

    Frames go through memory, and a message for each batch of them tells where they lie and when they were taken; the
    kernel orders the one after the other.

    waits  nothing may be written before the other one has greeted: it still reads what somebody else wrote

    ended  the other one has no more frames
    died   the other one is not there any more
    """

    def __init__(self, channel: socket.socket, out: mmap.mmap, into: mmap.mmap, *, waits: bool = False) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._out = np.frombuffer(out, np.uint8)
        self._into = np.frombuffer(into, np.uint8)
        self._sent: deque[tuple[int, int]] = deque()
        """Begin and end of what was sent and not yet taken, in order."""
        self._sent_before = 0
        self._taken = self._told = 0
        self._has_said_end = False
        self._waits = waits
        self.ended = self.died = False

    def fileno(self) -> int:
        return self._channel.fileno()

    def close(self) -> None:
        self._channel.close()

    def has_room(self, count: int, octets: int) -> bool:
        """Whether frames of so many bytes would go."""
        return not count or self._place(_size(count, octets)) is not None

    def send(self, chunk: Chunk, owners: Bytes, owner: int, count: int, octets: int, clock: int) -> bool:
        """Sends the frames of `owner` and those of all, which are so many; False when there is no room.

        clock  up to when everything has been sent then
        """
        if not count:
            return self._say(_FRAMES, 0, clock)
        size = _size(count, octets)
        place = self._place(size)
        if place is None:
            return False
        target = self._out[place : place + size]
        records = target[: count * RECORD_DTYPE.itemsize]
        bodies = target[len(records) :]
        copied = _exchange.gather(chunk.buffer, chunk.records.view(np.uint8), owners, owner, records, bodies)
        if copied != count or not self._say(_FRAMES, count, clock, place, size):
            return False
        self._sent.append((place, place + size))
        return True

    def greet(self) -> None:
        """Says that what stands in the queue is not read any more."""
        self._say(_TAKEN)

    def end(self) -> bool:
        """Says that there are no more frames; False when that has to be tried again."""
        self._has_said_end = self._has_said_end or self._say(_END)
        return self._has_said_end

    def receive(self, interfaces: Interfaces) -> list[Chunk]:
        """What has come since the last time, copied."""
        chunks = []
        while not self.died:
            try:
                message = self._channel.recv(_MESSAGE.size)
            except BlockingIOError:
                break
            except ConnectionError:
                message = b""
            if not message:
                self.died = True
                break
            kind, count, clock, place, size = _MESSAGE.unpack(message)
            self._waits = False
            if kind == _TAKEN:
                while self._sent_before < count and self._sent:
                    self._sent_before += 1
                    self._sent.popleft()
            elif kind == _END:
                self.ended = True
            else:
                octets = self._into[place : place + size].copy()
                self._taken += size > 0
                used = count * RECORD_DTYPE.itemsize
                chunks.append(Chunk(octets[used:], octets[:used].view(RECORD_DTYPE), interfaces, clock))
        if self._taken != self._told and self._say(_TAKEN, self._taken):
            self._told = self._taken
        return chunks

    def _place(self, size: int) -> int | None:
        """Where so many bytes may be written."""
        if self._waits:
            return None
        if not self._sent:
            return 0 if size <= QUEUE_BYTES else None
        first, last = self._sent[0][0], self._sent[-1][1]
        if last > first:
            if size <= QUEUE_BYTES - last:
                return last
            return 0 if size < first else None
        return last if size < first - last else None

    def _say(self, kind: int, count: int = 0, clock: int = 0, place: int = 0, size: int = 0) -> bool:
        try:
            self._channel.send(_MESSAGE.pack(kind, count & 0xFFFFFFFF, clock, place, size))
        except BlockingIOError:
            return False
        except ConnectionError:
            self.died = True
            return False
        return True


def _size(count: int, octets: int) -> int:
    """Bytes that frames take in a queue, whole cache lines."""
    return (count * RECORD_DTYPE.itemsize + octets + _LINE - 1) // _LINE * _LINE
