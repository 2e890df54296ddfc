"""Frames by libpcap, from a cable between two interfaces of a network namespace.

Oracle: the frames that the test sent, byte for byte and in number.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from spanline.batch import Decode
from spanline.chunk import Interfaces
from spanline.errors import CaptureError, UsageError
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import TICK, LiveOptions
from spanline.sources.opening import open_source
from tests.craft import Frame, ethernet, ipv4, udp, vlan
from tests.live_frames import PATIENCE, SMALL, TINY, agree, frames_of, numbered, opened, reading
from tests.own_network import FAR, MTU, NEAR, Sender, impossible, ip, open_descriptors

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender() as one:
        yield one


def tagged(*tags: Frame) -> bytes:
    frame = ethernet()
    for tag in tags:
        frame = frame / tag
    return bytes(frame / ipv4("10.0.0.1", "10.0.0.2") / udp() / bytes(range(40)))


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
        assert reader.source.arrivals.dropped == {"ring": 0}
        agree(reader.source, 1000)


def test_idle_source_gives_ticks() -> None:
    with opened(replace(SMALL, duration=3.5 * TICK)) as source:
        before = time.time_ns()
        clocks = [chunk.clock for chunk in source.chunks()]
        assert 1 <= len(clocks) <= 3
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
    with opened(replace(SMALL, duration=PATIENCE)) as source:
        threading.Timer(0.2, source.stop).start()
        began = time.monotonic()
        assert all(not len(chunk.records) for chunk in source.chunks())
        assert time.monotonic() - began < PATIENCE


def test_stop_from_a_signal_while_idle() -> None:
    with opened(replace(SMALL, duration=PATIENCE)) as source:
        before = signal.signal(signal.SIGALRM, lambda *_: source.stop())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            began = time.monotonic()
            assert all(not len(chunk.records) for chunk in source.chunks())
            assert time.monotonic() - began < PATIENCE
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
            assert time.monotonic() - began < PATIENCE
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


def test_all_interfaces_are_libpcaps_without_being_asked() -> None:
    with contextlib.closing(open_source("live:any", Interfaces(), SMALL)) as source:
        assert isinstance(source, PcapSource)
    with pytest.raises(CaptureError, match="there is no interface 'any'"):
        open_source("live:any", Interfaces(), replace(SMALL, engine="ring"))


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


def test_closed_midway_ends(sender: Sender) -> None:
    with opened() as source:
        chunks = source.chunks()
        sender.send(numbered(1))
        assert frames_of(next(chunks)) == [numbered(1)]
        source.close()
        assert list(chunks) == []
    agree(source, 1)


def test_counters_from_another_thread(sender: Sender) -> None:
    """A status line asks while frames are read and the link flaps."""
    with reading() as reader:
        for n in range(200):
            sender.send(numbered(n))
            reader.source.refresh()
            arrivals = reader.source.arrivals
            assert arrivals.lost == 0
            if n % 50 == 49:
                ip(f"link set {NEAR} down", f"link set {NEAR} up")
        reader.wait(200)
        reader.stop()
        assert len(reader.source.gaps) == 4
        agree(reader.source, 200)


def test_nothing_of_posix_is_imported() -> None:
    """As far as that can be seen here: Windows has none of these."""
    code = (
        "import sys, os, select, socket, numpy, pcapy\n"
        "for name in ('fcntl', 'termios', 'resource', 'pwd', 'grp'): sys.modules[name] = None\n"
        "sys.platform = 'win32'\n"
        "for module, name in ((select, 'poll'), (os, 'eventfd'), (socket, 'AF_PACKET'), (socket, 'AF_NETLINK')):\n"
        "    delattr(module, name)\n"
        "import spanline.sources.libpcap"
    )
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


def test_nobody_may_not() -> None:
    code = (
        "import os, sys\nfrom spanline.chunk import Interfaces\nfrom spanline.sources.libpcap import PcapSource\n"
        "from spanline.sources.live import LiveOptions\nos.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "try: PcapSource(sys.argv[1], Interfaces(), LiveOptions())\nexcept OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, NEAR], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith(f"live:{NEAR}: capturing is not permitted; sudo setcap cap_net_raw+ep /")
