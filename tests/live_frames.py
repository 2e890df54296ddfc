"""What a live source gives, and what was sent to it: a reader, numbered frames, whether the counters agree."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from spanline.chunk import Chunk, Interfaces
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import LiveOptions
from tests.craft import ethernet, ipv4, udp
from tests.lab.hosts import wait_for
from tests.own_network import NEAR

SMALL = LiveOptions(block_bytes=1 << 20, blocks=4)
TINY = LiveOptions(block_bytes=1 << 18, blocks=2)
PATIENCE = 20.0


@contextmanager
def opened(options: LiveOptions = SMALL, interface: str = NEAR) -> Iterator[PcapSource]:
    source = PcapSource(interface, Interfaces(), options)
    try:
        yield source
    finally:
        source.close()


class Reader:
    """What a source gives, taken by a thread of its own."""

    def __init__(self, source: PcapSource) -> None:
        self.source = source
        self.frames: list[bytes] = []
        self.chunks: list[Chunk] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for chunk in self.source.chunks():
            self.chunks.append(replace(chunk, records=chunk.records.copy()))
            self.frames += frames_of(chunk)

    def wait(self, count: int) -> None:
        wait_for(f"{count} frames", lambda: len(self.frames) >= count)

    def stop(self) -> list[bytes]:
        self.source.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.frames


@contextmanager
def reading(options: LiveOptions = SMALL, interface: str = NEAR) -> Iterator[Reader]:
    with opened(options, interface) as source:
        reader = Reader(source)
        try:
            yield reader
        finally:
            reader.stop()


def frames_of(chunk: Chunk) -> list[bytes]:
    ends = chunk.records["offset"].astype(np.int64) + chunk.records["captured_length"]
    return [chunk.buffer[begin:end].tobytes() for begin, end in zip(chunk.records["offset"], ends, strict=True)]


def numbered(number: int, size: int = 60) -> bytes:
    head = bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2", identification=number % 65536) / udp())
    return head + random.Random(number).randbytes(size - len(head))


def agree(source: PcapSource, sent: int) -> None:
    """offered = read + dropped, and it is what was sent."""
    arrivals = source.arrivals
    assert arrivals.offered == arrivals.read + sum(arrivals.dropped.values())
    assert arrivals.offered == sent
