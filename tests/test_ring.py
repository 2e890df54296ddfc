"""Frames out of Linux' ring: all of them, as they were sent, or counted.

Oracles: the frames that were sent, byte for byte, and how many; tcpdump beside, on the same interface.
"""

from __future__ import annotations

import gc
import os
import shutil
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanline.batch import Batch, Decode
from spanline.chunk import Interfaces
from spanline.errors import UsageError
from spanline.sources.live import LiveOptions
from spanline.sources.ring import RingSource
from tests.craft import ethernet, ipv4, ipv6, tcp, udp, vlan
from tests.lab.hosts import wait_for
from tests.live_frames import frames_of
from tests.own_network import MTU, NEAR, Sender, impossible
from tests.ring_frames import LENGTHS, SMALL, TINY, Tcpdump, frame, opened, read, tags

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump")
def test_frames_are_those_that_were_sent(cable: Sender, tmp_path: Path) -> None:
    """Of every length, with and without VLAN tags, also those that are for others. Oracles: what was sent, tcpdump."""
    sent = [frame(n, length) for n, length in enumerate(LENGTHS * 3)] + tags()
    tcpdump = Tcpdump(tmp_path)
    source = opened()
    before = time.time_ns()
    cable.send(*sent)
    found, times = [], []
    source.stop()
    for chunk in source.chunks():
        found += frames_of(chunk)
        times += chunk.records["timestamp"].tolist()
        assert (chunk.records["wire_length"] == chunk.records["captured_length"]).all()
        assert chunk.borrowed
    assert found == sent
    assert found == tcpdump.frames(len(sent))
    assert before <= min(times) <= max(times) <= time.time_ns()
    assert source.arrivals.offered == source.arrivals.read == len(sent)
    source.close()


def test_frames_come_soon(cable: Sender) -> None:
    """A block that is not full goes out by itself, and before it the clock does not pass what waits."""
    source = opened()
    chunks = source.chunks()
    sender = threading.Timer(0.2, cable.send, [frame(1)])
    sender.start()
    chunk = next(chunks)
    sender.join()
    assert frames_of(chunk) == [frame(1)]
    idle = next(chunks)
    assert len(idle.records) == 0
    assert not idle.borrowed
    assert idle.clock is not None
    assert chunk.clock is not None
    assert chunk.clock <= chunk.records["timestamp"][-1] < idle.clock < time.time_ns()
    source.close()


@pytest.mark.parametrize("kept", [False, True], ids=["given back", "kept"])
def test_what_is_lost_is_counted(cable: Sender, kept: bool) -> None:
    """A reader that does not read, before and while it holds everything: what it holds stays as it was."""
    source = opened(TINY)
    sent = [frame(n) for n in range(6000)]
    cable.send(*sent[:3000])
    chunks = source.chunks()
    held = [next(chunks)] if kept else []
    before = [frames_of(chunk) for chunk in held]
    cable.send(*sent[3000:])
    source.stop()
    for chunk in chunks:
        before.append(frames_of(chunk))
        held += [chunk] if kept else []
    arrivals = source.arrivals
    found = [one for part in before for one in part]
    assert arrivals.offered == len(sent)
    assert arrivals.read == len(found) > 0
    assert arrivals.dropped["ring"] == len(sent) - len(found) > 0
    assert set(found) <= set(sent)
    assert len(set(found)) == len(found)
    assert [frames_of(chunk) for chunk in held] == before[: len(held)]
    source.close()


def test_memory_goes_back(cable: Sender) -> None:
    """While one block is kept the ring drops when its turn comes; when it is forgotten everything comes again."""
    source = opened(TINY)
    chunks = source.chunks()
    cable.send(frame(0))
    kept = next(chunks)
    cable.send(*(frame(n) for n in range(1, 2001)))
    while len(next(chunks).records):
        pass
    source.refresh()
    dropped = source.arrivals.lost
    assert dropped > 0
    assert frames_of(kept) == [frame(0)]
    view = kept.buffer[100:].view()
    del kept
    gc.collect()
    cable.send(frame(3000))
    assert len(next(chunks).records) == 0, "a view of it is still held"
    del view
    source.refresh()
    cable.send(*(frame(n) for n in range(4000, 4010)))
    found: list[bytes] = []
    while len(found) < 10:
        found += frames_of(next(chunks))
    assert found[-10:] == [frame(n) for n in range(4000, 4010)]
    assert source.arrivals.lost == dropped + 1
    source.close()


def test_a_batch_owns_what_it_is_told_to(cable: Sender) -> None:
    """Oracle: the batch before, and the frames sent. Frames that were not selected are not copied."""
    sent = [frame(n, 90) for n in range(100)] + [bytes(ethernet() / vlan(9) / ipv6() / tcp() / b"payload")]
    source = opened()
    cable.send(*sent)
    source.stop()
    (chunk,) = source.chunks()
    borrowed = Decode()(chunk)
    rows = np.arange(len(borrowed)) % 2 == 0
    layers = borrowed.layers.copy()
    assert borrowed.borrows
    owned, some = borrowed.own(), borrowed.select(rows).own()
    assert not owned.borrows
    assert owned.own() is owned
    assert borrowed.borrows
    assert borrowed.select(rows).borrows
    assert not np.shares_memory(owned.buffers[0], chunk.buffer)
    source.close()
    del borrowed, chunk
    gc.collect()

    def bytes_of(batch: Batch) -> list[bytes]:
        at, length = batch.packets["frame_offset"], batch.packets["captured_length"]
        return [batch.buffers[0][a : a + n].tobytes() for a, n in zip(at, length, strict=True)]

    assert bytes_of(owned) == sent
    assert bytes_of(some) == sent[::2]
    assert (owned.layers == layers).all()
    assert owned.packets["vlan"][-1] == 9
    payload = owned.packets["payload_offset"][-1]
    assert owned.buffers[0][payload : payload + 7].tobytes() == b"payload"


@pytest.mark.parametrize("snaplen", [1500, 262144])
@pytest.mark.parametrize("size", [1 << 12, 1 << 13, 1 << 14])
def test_blocks_that_are_too_small_are_told(cable: Sender, size: int, snaplen: int) -> None:
    """Oracle: the longest frame of the link, which the kernel cuts or does not."""
    longest = frame(0, MTU + 14)
    source = opened(LiveOptions(block_bytes=size, blocks=16, snaplen=snaplen))
    cable.send(longest)
    (found,) = read(source)
    assert bool(source.warnings) == (len(found) < min(snaplen, len(longest)))
    for line in source.warnings:
        assert f"a block of {size:,} bytes" in line
        assert line.endswith("give --block-size 16K")


@pytest.mark.parametrize("has_frames", [False, True])
def test_a_clock_that_is_set_back(cable: Sender, monkeypatch: pytest.MonkeyPatch, has_frames: bool) -> None:
    """Time goes on from where it is now: not an hour later, when flows would end between any two of their packets."""
    source, now = opened(), time.time_ns
    chunks = source.chunks()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)
        assert (next(chunks).clock or 0) > now() + 3000 * 10**9
    if has_frames:
        cable.send(frame(1))
    chunk = next(chunks)
    assert len(chunk.records) == has_frames
    assert time.time_ns() - 10 * 10**9 < (chunk.clock or 0) <= time.time_ns()
    del chunk
    chunks.close()
    source.close()


def test_counters_asked_for_often(cable: Sender) -> None:
    """The kernel forgets what it has told: what it told is added up."""
    source = opened(TINY)
    for n in range(500):
        cable.send(frame(n))
        source.refresh()
        assert source.arrivals.offered == n + 1
    assert len(read(source)) + source.arrivals.lost == 500


def test_a_child_changes_nothing(cable: Sender) -> None:
    """It closes the source and forgets the block that it inherited; in the parent both go on."""
    source = opened(TINY)
    chunks = source.chunks()
    cable.send(frame(0))
    kept = next(chunks)
    child = os.fork()
    if not child:
        source.close()
        del kept
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    cable.send(*(frame(n) for n in range(1, 2000)))
    source.stop()
    found = [one for chunk in chunks for one in frames_of(chunk)]
    assert found
    assert source.arrivals.lost
    assert source.arrivals.offered == 2000 == 1 + len(found) + source.arrivals.lost
    assert frames_of(kept) == [frame(0)]
    source.close()


def test_stopping_from_another_thread() -> None:
    """What waits for frames ends."""
    source = opened()
    stopping = threading.Timer(0.7, source.stop)
    stopping.start()
    assert all(len(chunk.records) == 0 for chunk in source.chunks())
    stopping.join()
    source.close()


def test_duration_and_idle_ticks() -> None:
    source = opened(replace(SMALL, duration=1.7))
    clocks = [chunk.clock or 0 for chunk in source.chunks()]
    assert 1 <= len(clocks) <= 3, "one each half second"
    assert clocks == sorted(clocks)
    source.close()


SIZES = (
    ({"block_bytes": 0}, "a block of the ring cannot have 0 bytes"),
    ({"block_bytes": 5000}, "a block of the ring cannot have 5,000 bytes"),
    ({"block_bytes": 1 << 31}, "a block of the ring cannot have 2,147,483,648 bytes"),
    ({"blocks": 1}, "a ring cannot have 1 blocks"),
    ({"blocks": 1 << 19}, "a ring of 524,288 blocks of 8,388,608 bytes is more than half of the free memory"),
    ({"snaplen": 0}, "0 bytes of a frame cannot be kept"),
    ({"filter": "prot 6"}, "filter 'prot 6'"),
)


@pytest.mark.parametrize(("options", "says"), SIZES)
def test_wrong_requests(options: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        opened(replace(LiveOptions(), **options))
    assert raised.value.message.startswith(says)
    assert raised.value.hint


@pytest.mark.parametrize("members", [2, 3])
def test_several_share_what_comes(cable: Sender, members: int) -> None:
    """PACKET_FANOUT: each frame comes to one of them, also while they begin, and then each flow to the same."""
    stopped = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not stopped.is_set():
            ports = 1000 + sent % 50
            cable.send(bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(ports, 53) / struct.pack("!I", sent)))
            sent += 1

    group = os.getpid() & 0xFFFF
    sender = threading.Thread(target=send)
    sender.start()
    sources = [RingSource(NEAR, Interfaces(), replace(SMALL, blocks=128), fanout=(group, 0)) for _ in range(members)]
    before = sent
    wait_for("some frames of each flow", lambda: sent > before + 200)
    stopped.set()
    sender.join()
    parts = [read(source) for source in sources]
    found = [one for part in parts for one in part]
    assert len(found) == len(set(found))
    assert sent - before <= sum(source.arrivals.offered for source in sources) <= sent
    flows = [{one[34:36] for one in part if int.from_bytes(one[42:46]) > before} for part in parts]
    assert sum(map(len, flows)) == 50
