"""What a worker analyses: of its own ring and of all others what is its share, in order of time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spanline import _exchange
from spanline.batch import Decode
from spanline.chunk import Chunk, Interfaces
from spanline.schema import RECORD_DTYPE
from spanline.sources.live import TICK
from spanline.sources.merge import interleave
from spanline.workers.queues import Lane, readable

PATIENCE = 1.0
"""Seconds after which nobody waits any longer for a worker that tells nothing."""

NEVER = 2**63 - 1
"""Clock of whom nobody has to wait for."""

_TICK = 0.02
"""Seconds between two looks at what others sent, when the own source is over."""


class _Input:
    """Frames of one worker that wait for those of others.

    clock  up to when all of them are here
    """

    def __init__(self) -> None:
        self.clock = 0
        self.octets = 0
        self._waiting: deque[tuple[npt.NDArray[np.int64], Chunk]] = deque()
        self._newest = -(2**63)
        self._heard = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        if chunk.clock is not None and chunk.clock > self.clock:
            self.clock = chunk.clock
            self._heard = time.monotonic()
        if len(chunk.records):
            # Within a ring the order is that of the ring, whatever the times say.
            keys = np.maximum(np.maximum.accumulate(chunk.records["timestamp"]), self._newest)
            self._newest = int(keys[-1])
            self.octets += len(chunk.buffer)
            self._waiting.append((keys, chunk))

    def keeps_waiting(self) -> bool:
        """Whether the others go on without it."""
        return time.monotonic() - self._heard > PATIENCE

    @property
    def newest(self) -> int:
        return self._newest

    @property
    def oldest(self) -> int:
        """When the first frame that waits came; NEVER when there is none."""
        return int(self._waiting[0][0][0]) if self._waiting else NEVER

    def take(self, horizon: int, *, whole: bool) -> Iterator[tuple[npt.NDArray[np.int64], Chunk]]:
        """What came up to then; only in chunks as they came, when `whole`."""
        while self._waiting:
            keys, chunk = self._waiting[0]
            count = int(np.searchsorted(keys, horizon, "right"))
            if count == 0 or (whole and count < len(keys)):
                return
            if count < len(keys):
                self._waiting[0] = keys[count:], replace(chunk, records=chunk.records[count:])
                yield keys[:count], replace(chunk, records=chunk.records[:count])
                return
            self._waiting.popleft()
            self.octets -= len(chunk.buffer)
            yield keys, chunk


class Exchange:
    """The frames of worker `number` of so many.

    chunks        of its own source
    lanes         to and from the other workers, by number
    decode        a Decode(reassemble=True): only to find out whose frames are
    most_waiting  bytes that may wait; beyond, nobody waits for others any longer

    moved    frames that went to others
    dropped  frames for which there was no room on the way
    """

    def __init__(
        self,
        number: int,
        workers: int,
        chunks: Iterator[Chunk],
        lanes: Mapping[int, Lane],
        decode: Decode,
        interfaces: Interfaces,
        most_waiting: int,
    ) -> None:
        self._number = number
        self._workers = workers
        self._chunks = chunks
        self._lanes = dict(lanes)
        self._decode = decode
        self._interfaces = interfaces
        self._most_waiting = most_waiting
        self._own = _Input()
        self._inputs = {other: _Input() for other in self._lanes}
        self._clock = 0
        self._given = 0.0
        self._totals = np.zeros((2, 64), np.uint64)
        self.moved = 0
        self.dropped = 0
        self.between: Callable[[], None] = lambda: None
        """Called between two looks at what there is, for who has to do something regularly."""

    def join(self, other: int, lane: Lane) -> None:
        """Goes on with a worker that takes the place of one that died."""
        if other in self._lanes:
            self._lanes[other].close()
        self._lanes[other] = lane
        self._inputs[other] = _Input()
        lane.greet()

    def chunks(self) -> Iterator[Chunk]:
        """The worker's share; the clock says up to when it is complete. Over when all workers' sources are."""
        for chunk in self._chunks:
            yield from self._step(chunk)
        self._own.clock = NEVER
        while True:
            others = [lane for lane in self._lanes.values() if not lane.died]
            told = [lane.end() for lane in others]
            active = [lane for lane in others if not lane.ended]
            if active or not all(told):
                readable([lane.fileno() for lane in active], _TICK)
            yield from self._step(None)
            if not active and all(told):
                return

    def _step(self, chunk: Chunk | None) -> Iterator[Chunk]:
        if chunk is not None:
            self._own.add(self._shared_out(chunk))
        for other, lane in self._lanes.items():
            for one in lane.receive(self._interfaces):
                self._inputs[other].add(one)
            if lane.ended or lane.died:
                self._inputs[other].clock = NEVER
        self.between()
        yield from self._in_order()

    def _shared_out(self, chunk: Chunk) -> Chunk:
        """Sends what is others', and gives what is left."""
        clock = chunk.clock or 0
        if not len(chunk.records):
            for lane in self._lanes.values():
                lane.send(chunk, _NO_OWNERS, 0, 0, 0, clock)
            return chunk
        packets = self._decode(chunk).packets
        owners = np.empty(len(packets), np.uint8)
        _exchange.owners(packets.view(np.uint8), self._workers, owners, self._totals)
        frames, octets = self._totals.tolist()
        for_all = frames[_exchange.ALL], octets[_exchange.ALL]
        if for_all[0] and not self._all_have_room(frames, octets):
            # A fragment goes to all or to nobody: else one worker would count it and another one could not.
            self.dropped += for_all[0]
            owners[owners == _exchange.ALL] = _NOBODY
            for_all = 0, 0
        for other, lane in self._lanes.items():
            count = frames[other] + for_all[0]
            if lane.send(chunk, owners, other, count, octets[other] + for_all[1], clock):
                self.moved += frames[other]
            elif not lane.died:  # what its death cost is the parent's to count
                self.dropped += frames[other]
        own = (owners == self._number) | (owners == _exchange.HERE) | (owners == _exchange.ALL)
        if not own.all():
            records = chunk.records.view(f"V{RECORD_DTYPE.itemsize}")[own].view(RECORD_DTYPE)
            return replace(chunk, records=records)
        return chunk

    def _all_have_room(self, frames: Sequence[int], octets: Sequence[int]) -> bool:
        every = _exchange.ALL
        return all(
            lane.died or lane.has_room(frames[other] + frames[every], octets[other] + octets[every])
            for other, lane in self._lanes.items()
        )

    def _in_order(self) -> Iterator[Chunk]:
        """What is complete by now."""
        inputs = [self._own, *self._inputs.values()]
        horizon = min((one.clock for one in inputs if not one.keeps_waiting()), default=NEVER)
        complete = horizon
        if sum(one.octets for one in inputs) > self._most_waiting:
            horizon = max(one.newest for one in inputs)
        # To cut a chunk in two makes twice the work; only what others have to come between is worth it.
        whole = sum(one.oldest < NEVER for one in inputs) <= 1
        parts = [(one, part) for one in inputs for part in one.take(horizon, whole=whole)]
        complete = min(complete, *(one.oldest - 1 for one in inputs))
        clock = self._clock
        self._clock = max(clock, complete) if complete < NEVER - 1 else clock
        if len({id(one) for one, _ in parts}) > 1:
            together = interleave([part for _, part in parts])
            together.clock = self._clock
            yield together
            return
        for n, (_, (_, chunk)) in enumerate(parts):
            chunk.clock = self._clock if n == len(parts) - 1 else clock
            yield chunk
        if not parts and time.monotonic() - self._given > TICK / 5:
            self._given = time.monotonic()
            yield Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces, self._clock)


_NO_OWNERS = np.empty(0, np.uint8)
_NOBODY = 255
