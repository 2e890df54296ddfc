"""Frames by libpcap, from a cable between two interfaces of a network namespace.

Oracle: the frames that the test sent, byte for byte and in number.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from spanline.batch import Decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import CaptureError, UsageError
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import TICK, LiveOptions
from tests.craft import Frame, ethernet, ipv4, udp, vlan
from tests.lab.hosts import wait_for
from tests.own_network import FAR, MTU, NEAR, Sender, impossible, ip, lay_cable, open_descriptors, own_network

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")]

SMALL = LiveOptions(block_bytes=1 << 20, blocks=4)
TINY = LiveOptions(block_bytes=1 << 18, blocks=2)
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender() as one:
        yield one


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


def tagged(*tags: Frame) -> bytes:
    frame = ethernet()
    for tag in tags:
        frame = frame / tag
    return bytes(frame / ipv4("10.0.0.1", "10.0.0.2") / udp() / bytes(range(40)))


def agree(source: PcapSource, sent: int) -> None:
    """offered = read + dropped, and it is what was sent."""
    arrivals = source.arrivals
    assert arrivals.offered == arrivals.read + sum(arrivals.dropped.values())
    assert arrivals.offered == sent


FRAMES = [
    *(numbered(size, size) for size in (60, 61, 1514, 4096, MTU)),
    tagged(vlan(5)),
    tagged(vlan(4094, priority=7)),
    tagged(vlan(7, tpid=0x88A8)),
    tagged(vlan(7, tpid=0x88A8), vlan(9)),
    bytes(ethernet(ether_type=0x88B5)) + bytes(46),
    b"\xff" * 14,
]


def test_frames_are_what_was_sent(sender: Sender) -> None:
    with reading() as reader:
        began = time.time_ns()
        sender.send(*FRAMES)
        reader.wait(len(FRAMES))
        assert reader.stop() == FRAMES
        records = np.concatenate([chunk.records for chunk in reader.chunks])
        assert records["wire_length"].tolist() == [len(frame) for frame in FRAMES]
        assert np.all(np.abs(records["timestamp"] - began) < 5_000_000_000)
        assert set(records["interface"]) == {0}
        agree(reader.source, len(FRAMES))
        assert reader.source.gaps == []


def test_many_frames_in_their_order(sender: Sender) -> None:
    """20,000 of all sizes, decoded."""
    sizes = random.Random(1).choices((60, 200, 590, 1514, 4000), k=20_000)
    frames = [numbered(number, size) for number, size in enumerate(sizes)]
    with reading(LiveOptions()) as reader:
        sender.send(*frames)
        reader.wait(len(frames))
        assert reader.stop() == frames
        agree(reader.source, len(frames))
        decode = Decode()
        rows = np.concatenate([decode(chunk).packets for chunk in reader.chunks])
        assert rows["ip_id"].tolist() == [number % 65536 for number in range(len(frames))]
        assert rows["wire_length"].tolist() == sizes
        interface = reader.chunks[0].interfaces[0]
        assert (interface.path, interface.name, interface.link_type) == (f"live:{NEAR}", NEAR, 1)


def test_snaplen_cuts_frames_and_not_their_length(sender: Sender) -> None:
    frames = [numbered(number, size) for number, size in enumerate((60, 64, 65, 1514))]
    with reading(replace(SMALL, snaplen=64)) as reader:
        sender.send(*frames)
        reader.wait(4)
        assert reader.stop() == [frame[:64] for frame in frames]
        records = np.concatenate([chunk.records for chunk in reader.chunks])
        assert records["wire_length"].tolist() == [60, 64, 65, 1514]
        assert reader.chunks[0].interfaces[0].snaplen == 64


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("udp", [0, 1, 2]),
        ("vlan 5", [1]),
        ("greater 1000", [2]),
        ("ether proto 0x88b5", [3]),
        ("tcp", []),
    ],
)
def test_filter_leaves_out_uncounted(sender: Sender, text: str, passes: list[int]) -> None:
    """Also what came before the filter was set: frames arrive all the time.

    As with tcpdump, a tag is not in the frame when the filter sees it.
    """
    frames = [numbered(1), tagged(vlan(5)), numbered(2, 1400), bytes(ethernet(ether_type=0x88B5)) + bytes(46)]
    busy = threading.Event()

    def send_tcp() -> None:
        with Sender() as other:
            while not busy.wait(0.0001):
                other.send(bytes(ethernet(ether_type=0x88B6)) + bytes(46))

    thread = threading.Thread(target=send_tcp)
    thread.start()
    try:
        with reading(replace(SMALL, filter=text)) as reader:
            sender.send(*frames * 10)
            reader.wait(10 * len(passes))
            assert reader.stop() == [frames[n] for n in passes] * 10
            agree(reader.source, 10 * len(passes))
    finally:
        busy.set()
        thread.join()


@pytest.mark.parametrize("size", [60, 1514])
@pytest.mark.parametrize("run", range(3))
def test_what_is_lost_is_counted(sender: Sender, size: int, run: int) -> None:
    """The reader stands still while more comes than there is room for."""
    sent = 20_000
    frame = numbered(run, size)
    with opened(TINY) as source:
        chunks = source.chunks()
        sender.send(frame)
        while not len(next(chunks).records):
            pass
        sender.send(*[frame] * (sent - 1))
        source.refresh()
        source.stop()
        read = 1 + sum(len(chunk.records) for chunk in chunks)
        assert source.arrivals.read == read
        assert source.arrivals.dropped["ring"] > 1000
        agree(source, sent)


def test_frames_that_the_host_has_no_use_for_are_not_lost(sender: Sender) -> None:
    """Linux counts them as dropped by the interface after they were captured, and libpcap with it."""
    with reading() as reader:
        sender.send(*[tagged(vlan(7, tpid=0x88A8), vlan(9))] * 1000)
        reader.wait(1000)
        reader.stop()
        said = subprocess.run(["ip", "-j", "-s", "link", "show", NEAR], capture_output=True, timeout=30).stdout
        assert json.loads(said)[0]["stats64"]["rx"]["dropped"] == 1000
        assert reader.source.arrivals.dropped == {}
        agree(reader.source, 1000)


@pytest.mark.parametrize("fault", [f"link set {NEAR} down", f"link set {FAR} down"])
def test_link_down_and_up(sender: Sender, fault: str) -> None:
    with reading() as reader:
        sender.send(*[numbered(1)] * 50)
        reader.wait(50)
        for n in range(1, 4):
            ip(fault)
            wait_for("the gap", lambda n=n: len(reader.source.gaps) == n)  # type: ignore[misc]
            ip(fault.replace("down", "up"))
            wait_for("its end", lambda: reader.source.gaps[-1].end is not None)
            sender.send(*[numbered(2)] * 50)
            reader.wait(50 + 50 * n)
        assert len(reader.stop()) == 200
        assert [gap.what for gap in reader.source.gaps] == ["down"] * 3
        agree(reader.source, 200)


def make_anew() -> None:
    ip(f"link del {NEAR}")
    lay_cable()


def test_interface_deleted_and_made_anew() -> None:
    """Its counters begin again at 0, ours go on."""
    with reading() as reader:
        for n in range(1, 4):
            with Sender() as sender:
                sender.send(*[numbered(n)] * 100)
            reader.wait(100 * n)
            make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * n)
        # It may have been bound after the gap's end.
        with Sender() as sender:
            time.sleep(2 * TICK)
            sender.send(*[numbered(4)] * 100)
            reader.wait(400)
        assert reader.stop() == [numbered(n) for n in range(1, 5) for _ in range(100)]
        assert [gap.what for gap in reader.source.gaps] == ["gone"] * 3
        agree(reader.source, 400)


def test_frames_that_waited_when_it_was_deleted(sender: Sender) -> None:
    """What had come is read, and what comes to the new interface after it."""
    with opened() as source:
        sender.send(*[numbered(1)] * 30)
        make_anew()
        chunks = source.chunks()
        frames: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while len(frames) < 40 and time.monotonic() < end:
            frames += frames_of(next(chunks))
            if len(frames) == 30 and source.gaps and source.gaps[-1].end:
                with Sender() as again:
                    again.send(*[numbered(2)] * 10)
        assert frames[:40] == [numbered(1)] * 30 + [numbered(2)] * 10
        source.stop()
        rest = [frame for chunk in chunks for frame in frames_of(chunk)]
        agree(source, 40 + len(rest))


def test_still_gone_at_the_end() -> None:
    with reading() as reader:
        ip(f"link del {NEAR}")
        wait_for("the gap", lambda: bool(reader.source.gaps))
        reader.stop()
        assert [(gap.what, gap.end) for gap in reader.source.gaps] == [("gone", None)]
        agree(reader.source, 0)


def test_no_privileges_are_needed_to_go_on() -> None:
    """CAP_NET_RAW may be given up once the source is open."""
    code = """
import sys
from spanline.chunk import Interfaces
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import LiveOptions
import os
source = PcapSource(sys.argv[1], Interfaces(), LiveOptions(blocks=4, duration=20))
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print("ready", flush=True)
for chunk in source.chunks():
    if source.gaps and source.gaps[-1].end is not None and source.arrivals.read < 10:
        print("again", flush=True)
    if source.arrivals.read == 10:
        source.stop()
print(source.arrivals.read)
"""
    process = subprocess.Popen([sys.executable, "-c", code, NEAR], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    make_anew()
    assert process.stdout.readline() == "again\n"
    with Sender() as sender:
        sender.send(*[numbered(1)] * 10)
    assert process.communicate(timeout=30)[0].splitlines()[-1] == "10"


def test_another_link_layer_under_the_same_name() -> None:
    with opened() as source:
        chunks = source.chunks()
        ip(f"link del {NEAR}", f"tuntap add dev {NEAR} mode tun", f"link set {NEAR} up")
        with pytest.raises(CaptureError, match="another link layer"):
            list(chunks)


def test_where_links_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of macOS, BSD and Windows, on this kernel: short sleeps, and libpcap's handle is opened again."""
    monkeypatch.setattr(sys, "platform", "freebsd14")
    descriptors = open_descriptors()
    with reading() as reader:
        for n in range(1, 4):
            with Sender() as sender:
                sender.send(*[numbered(n)] * 100)
            reader.wait(100 * n)
            if n == 2:
                ip(f"link set {NEAR} down")
                wait_for("the gap", lambda: len(reader.source.gaps) == 2)
                ip(f"link set {NEAR} up")
            else:
                make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * n)
        assert len(reader.stop()) == 300
        # On this kernel the handle fails before anybody asks for the name.
        assert len(reader.source.gaps) == 3
        agree(reader.source, 300)
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("platform", ["linux", "freebsd14"])
def test_no_descriptors_are_left(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Opened 25 times, and 25 times made anew meanwhile."""
    monkeypatch.setattr(sys, "platform", platform)
    before = open_descriptors()
    for _ in range(25):
        with opened():
            pass
    assert open_descriptors() == before
    with reading() as reader:
        within = open_descriptors()
        for n in range(25):
            make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * (n + 1))
        assert open_descriptors() == within
    assert open_descriptors() == before


def test_idle_source_gives_ticks() -> None:
    with opened(replace(SMALL, duration=3.2 * TICK)) as source:
        began, before = time.monotonic(), time.time_ns()
        clocks = [chunk.clock for chunk in source.chunks() if not len(chunk.records)]
        assert time.monotonic() - began < 3.2 * TICK + 2
        assert len(clocks) == 3
        assert clocks == sorted(set(clocks))
        assert all(clock is not None and before - 1e9 < clock < time.time_ns() for clock in clocks)


def test_clock_is_never_ahead_of_frames(sender: Sender) -> None:
    """No frame is older than what the clock of a chunk before said."""
    with reading() as reader:
        for n in range(60):
            sender.send(*[numbered(n)] * (n % 7))
            time.sleep(0.02)
        reader.wait(sum(n % 7 for n in range(60)))
        reader.stop()
        clock = 0
        for chunk in reader.chunks:
            assert chunk.clock is not None
            assert np.all(chunk.records["timestamp"] >= clock)
            assert chunk.clock >= clock
            clock = chunk.clock


def test_stop_from_another_thread_while_idle() -> None:
    with opened() as source:
        threading.Timer(0.2, source.stop).start()
        began = time.monotonic()
        assert all(not len(chunk.records) for chunk in source.chunks())
        assert time.monotonic() - began < 2


def test_stop_from_a_signal_while_idle() -> None:
    with opened() as source:
        before = signal.signal(signal.SIGALRM, lambda *_: source.stop())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            began = time.monotonic()
            assert all(not len(chunk.records) for chunk in source.chunks())
            assert time.monotonic() - began < 2
        finally:
            signal.signal(signal.SIGALRM, before)


def test_signals_that_stop_nothing(sender: Sender) -> None:
    """They come all the time, and interrupt nothing."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        with opened(replace(SMALL, duration=0.5)) as source:
            sender.send(*[numbered(1)] * 500)
            assert sum(len(chunk.records) for chunk in source.chunks()) == 500
            agree(source, 500)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_stop_before_it_begins_and_after_it_is_closed(sender: Sender) -> None:
    with opened() as source:
        sender.send(*[numbered(1)] * 5)
        source.stop()
        assert sum(len(chunk.records) for chunk in source.chunks()) == 5
    source.stop()
    source.close()
    source.refresh()
    agree(source, 5)


def test_stop_under_load_ends(sender: Sender) -> None:
    """Nobody waits for the sender to be silent."""
    busy = threading.Event()

    def flood() -> None:
        with Sender() as other:
            while not busy.is_set():
                other.send(*[numbered(1)] * 100)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with opened(replace(SMALL, duration=0.5)) as source:
            began = time.monotonic()
            read = sum(len(chunk.records) for chunk in source.chunks())
            assert time.monotonic() - began < 2.5
            assert read == source.arrivals.read > 0
            agree(source, read + source.arrivals.lost)
    finally:
        busy.set()
        thread.join()


def test_any_interface_of_linux(sender: Sender) -> None:
    """libpcap's own name for all of them: nothing to watch, and Linux' cooked link layer."""
    with reading(interface="any") as reader:
        time.sleep(2 * TICK)
        sender.send(*[numbered(1)] * 10)
        reader.wait(10)
        assert numbered(1)[14:] in reader.stop()[0]
        assert reader.source.gaps == []
        assert reader.chunks[0].interfaces[0].link_type == 113


def test_loopback_shows_each_frame_once() -> None:
    ip("link set lo up")
    with reading(interface="lo") as reader, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        for _ in range(20):
            own.sendto(b"x", own.getsockname())
        reader.wait(20)
        reader.stop()
        agree(reader.source, 20)


@pytest.mark.parametrize(
    ("interface", "options", "error", "says"),
    [
        ("eth7", SMALL, CaptureError, f"there is no interface 'eth7'; there are lo, {FAR}, {NEAR}"),
        ("x" * 300, SMALL, CaptureError, "there is no interface"),
        ("a\0b", SMALL, CaptureError, "there is no interface"),
        ("", SMALL, CaptureError, "there is no interface"),
        (NEAR, replace(SMALL, filter="no such"), UsageError, "filter 'no such'"),
        (NEAR, replace(SMALL, filter=""), None, ""),
        (NEAR, replace(SMALL, snaplen=0), UsageError, "a snaplen of 0 keeps nothing"),
        (NEAR, replace(SMALL, snaplen=1 << 40), None, ""),
        (NEAR, replace(SMALL, blocks=1 << 20), UsageError, "cannot have 1,099,511,627,776 bytes"),
        (NEAR, replace(SMALL, blocks=0), UsageError, "cannot have 0 bytes"),
        (NEAR, replace(SMALL, block_bytes=4096, blocks=1), None, ""),
        (NEAR, replace(SMALL, promiscuous=False), None, ""),
    ],
)
def test_what_is_asked_for(
    sender: Sender, interface: str, options: LiveOptions, error: type[Exception] | None, says: str
) -> None:
    """It works, or one line says what is wrong, and nothing stays open."""
    descriptors = open_descriptors()
    if error is None:
        with reading(options, interface) as reader:
            sender.send(bytes([255] * 6) + numbered(1)[6:])
            reader.wait(1)
    else:
        with pytest.raises(error) as raised:
            PcapSource(interface, Interfaces(), options)
        assert says in str(raised.value)
        assert "\n" not in str(raised.value)
    assert open_descriptors() == descriptors


def test_interface_that_is_down() -> None:
    ip(f"link set {NEAR} down")
    with pytest.raises(CaptureError, match=f"{NEAR} is down; switch it on: ip link set {NEAR} up"):
        PcapSource(NEAR, Interfaces(), SMALL)


def test_nobody_may_not() -> None:
    code = (
        "import os, sys\nfrom spanline.chunk import Interfaces\nfrom spanline.sources.libpcap import PcapSource\n"
        "from spanline.sources.live import LiveOptions\nos.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "try: PcapSource(sys.argv[1], Interfaces(), LiveOptions())\nexcept OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, NEAR], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith(f"you may not capture on {NEAR}; sudo setcap cap_net_raw+ep /")
