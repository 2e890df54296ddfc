"""Frames out of Linux' ring: all of them, as they were sent, or counted.

Oracles: the frames that were sent, byte for byte, and how many; tcpdump beside, on the same interface with the same
filter; the kernel's own answers (ip-link(8)).
"""

from __future__ import annotations

import fcntl
import gc
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanline.batch import Batch, Decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import CaptureError, UsageError
from spanline.filters.bpf import kernel_program
from spanline.sources import device
from spanline.sources.live import LiveOptions
from spanline.sources.ring import RingSource
from tests.craft import arp, ethernet, icmp, ipv4, ipv6, tcp, udp, vlan
from tests.lab.hosts import wait_for
from tests.own_network import MTU, NEAR, Sender, impossible, ip, lay_cable, own_network
from tests.test_bpf import of_pcap

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")]

SMALL = LiveOptions(block_bytes=1 << 16, blocks=4)
TINY = LiveOptions(block_bytes=1 << 14, blocks=2)
ROOT = Path(__file__).parent.parent
LENGTHS = (60, 61, 64, 128, 590, 1514, 4000, MTU + 14)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def cable() -> Iterator[Sender]:
    with Sender() as sender:
        yield sender


def opened(options: LiveOptions = SMALL) -> RingSource:
    return RingSource(NEAR, Interfaces(), options)


def frame(number: int, length: int = 60) -> bytes:
    head = bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53)) + struct.pack("!I", number)
    return head + bytes((number + at) % 251 for at in range(length - len(head)))


def of_chunk(chunk: Chunk) -> list[bytes]:
    ends = chunk.records["offset"] + chunk.records["captured_length"]
    return [chunk.buffer[at:end].tobytes() for at, end in zip(chunk.records["offset"], ends, strict=True)]


def read(source: RingSource) -> list[bytes]:
    """Everything that came until now; the source is over then."""
    source.stop()
    found = [one for chunk in source.chunks() for one in of_chunk(chunk)]
    arrivals = source.arrivals
    assert arrivals.read == len(found)
    assert arrivals.offered == arrivals.read + arrivals.lost, arrivals
    source.close()
    return found


def tags() -> list[bytes]:
    inside = ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53) / bytes(range(60))
    many = [vlan(7), vlan(0), vlan(4095, priority=7), vlan(7, tpid=0x88A8), vlan(7, tpid=0x88A8) / vlan(5)]
    many += [vlan(1) / vlan(2) / vlan(3)]
    return [bytes(ethernet() / tag / inside) for tag in many]


class Tcpdump:
    """tcpdump on the near end; frames() are those that it wrote."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._path = folder / "tcpdump.pcap"
        command = ["tcpdump", "-i", NEAR, "-n", "--nano", "--immediate-mode", "-U", "-w", str(self._path), *arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        assert b"listening" in self._process.stderr.readline()

    def frames(self, count: int) -> list[bytes]:
        wait_for(f"{count} frames", lambda: len(of_pcap_whole(self._path)) >= count)
        self._process.terminate()
        self._process.communicate(timeout=30)
        return of_pcap_whole(self._path)


def of_pcap_whole(path: Path) -> list[bytes]:
    try:
        return [octets for _, _, octets in of_pcap(path.read_bytes())]
    except (struct.error, FileNotFoundError):
        return []


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
        found += of_chunk(chunk)
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
    assert of_chunk(chunk) == [frame(1)]
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
    before = [of_chunk(chunk) for chunk in held]
    cable.send(*sent[3000:])
    source.stop()
    for chunk in chunks:
        before.append(of_chunk(chunk))
        held += [chunk] if kept else []
    arrivals = source.arrivals
    found = [one for part in before for one in part]
    assert arrivals.offered == len(sent)
    assert arrivals.read == len(found) > 0
    assert arrivals.dropped["ring"] == len(sent) - len(found) > 0
    assert set(found) <= set(sent)
    assert len(set(found)) == len(found)
    assert [of_chunk(chunk) for chunk in held] == before[: len(held)]
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
    assert of_chunk(kept) == [frame(0)]
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
        found += of_chunk(next(chunks))
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


# Filters of which the kernel's frames tell the same as the frames of a file: what is not tagged.
KERNEL_FILTERS = (
    "udp port 53", "tcp", "host 10.0.0.1", "not arp", "ip6", "icmp or arp", "len > 100",
    "ip[8] = 64", "ip broadcast", "greater 60 and udp",
)  # fmt: skip
OTHER_FILTERS = ("vlan", "vlan 7 and ip", "ether[12:2] = 0x8100", "ether[14] = 0x45", "ether proto 0x88a8",
                 "ip6 protochain 17")  # fmt: skip


def mixture() -> list[bytes]:
    inside = ipv4("10.0.0.1", "10.0.0.2")
    packets = [inside / udp(1000, 53), inside / tcp(), ipv4() / icmp(), arp(), ipv6() / tcp(), ipv6() / udp(53, 53)]
    packets.append(ipv4("10.0.0.3", "255.255.255.255") / udp(68, 67))
    frames = [bytes(ethernet() / packet).ljust(length, b".") for packet in packets for length in (60, 150)]
    return frames + [bytes(ethernet() / vlan(7) / packet) for packet in packets] + tags()


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump")
@pytest.mark.parametrize("text", KERNEL_FILTERS)
def test_the_kernel_filters(cable: Sender, tmp_path: Path, text: str) -> None:
    """Oracle: tcpdump on the same interface, also for tagged frames; what is left out is not counted."""
    last = bytes(ethernet() / arp()).ljust(60, b"!")
    tcpdump = Tcpdump(tmp_path, f"({text}) or (arp and ether[59] = 0x21)")
    source = opened(replace(SMALL, filter=text))
    assert source.kernel_filters
    assert source._interfaces[0].filter == text
    cable.send(*mixture(), last)
    wait_for("tcpdump", lambda: last in of_pcap_whole(tmp_path / "tcpdump.pcap"))
    wanted = tcpdump.frames(1)
    found = read(source)
    assert [one for one in found if one != last] == wanted[:-1]
    assert source.arrivals.offered == len(found)
    assert 0 < len(found) < len(mixture()) + 1


@pytest.mark.parametrize("text", OTHER_FILTERS)
def test_filters_that_the_kernel_would_misread_are_left_to_others(cable: Sender, text: str) -> None:
    assert kernel_program(text, 1, 262144) is None
    source = opened(replace(SMALL, filter=text))
    assert not source.kernel_filters
    cable.send(*mixture())
    assert read(source) == mixture()


@pytest.mark.parametrize("text", [None, "udp", "vlan or udp"])
@pytest.mark.parametrize("snaplen", [1, 14, 17, 60, 96, 1500])
def test_snaplen(cable: Sender, snaplen: int, text: str | None) -> None:
    """Oracle: what was sent, cut: also tagged frames, which are as long as they were where the tag is cut off."""
    sent = [frame(n, length) for n, length in enumerate(LENGTHS)] + [tags()[n] for n in (0, 3)]
    source = opened(replace(SMALL, snaplen=snaplen, filter=text))
    cable.send(*sent)
    source.stop()
    chunks = list(source.chunks())
    assert [one for chunk in chunks for one in of_chunk(chunk)] == [one[:snaplen] for one in sent]
    assert [one for chunk in chunks for one in chunk.records["wire_length"]] == [len(one) for one in sent]
    source.close()


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


NO_MEMBARRIER = """
import ctypes, platform, struct, sys
number = {"x86_64": 324, "aarch64": 283}[platform.machine()]
steps = struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x50000 | 22, 6, 0, 0, 0x7FFF0000)
program = ctypes.create_string_buffer(steps)
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(program)))) == 0
assert libc.syscall(number, 0, 0, 0) == -1
from tests.test_ring import Sender, frame, opened, read
with Sender() as cable:
    source = opened()
    cable.send(*map(frame, range(500)))
    print(len(read(source)), source.arrivals.offered)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="membarrier has another number")
def test_a_kernel_without_membarrier() -> None:
    """As one with nohz_full answers, EINVAL, here by seccomp(2): all that was sent is read all the same."""
    done = subprocess.run([sys.executable, "-c", NO_MEMBARRIER], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split() == ["500", "500"], done.stderr


@pytest.mark.parametrize("what", ["down", "gone"])
def test_the_interface_may_go_away_and_come_back(what: str) -> None:
    """Three times: frames go on, the counters too, and each time is a gap."""
    source = opened()
    chunks = source.chunks()
    found: list[bytes] = []
    for n in range(3):
        with Sender() as cable:
            cable.send(frame(n))
        while len(found) <= n:
            found += of_chunk(next(chunks))
        ip(f"link set {NEAR} down" if what == "down" else f"link del {NEAR}")
        while len(source.gaps) <= n:
            next(chunks)
        assert source.gaps[n].end is None
        if what == "down":
            ip(f"link set {NEAR} up")
        else:
            lay_cable()
        while source.gaps[n].end is None:
            next(chunks)
    with Sender() as cable:
        cable.send(frame(3))
    source.stop()
    found += [one for chunk in chunks for one in of_chunk(chunk)]
    assert found == [frame(n) for n in range(4)]
    assert (source.arrivals.offered, source.arrivals.read, source.arrivals.lost) == (4, 4, 0)
    assert [gap.what for gap in source.gaps] == [what] * 3
    assert len(source._interfaces) == 1
    source.close()


def test_an_interface_made_anew_needs_no_privilege() -> None:
    """After everything was opened a capture gives its privileges away."""
    source = opened()
    chunks = source.chunks()
    ip(f"link del {NEAR}")
    lay_cable()
    os.seteuid(65534)
    try:
        while not (source.gaps and source.gaps[0].end):
            next(chunks)
        for _ in range(2):
            next(chunks)
    finally:
        os.seteuid(0)
    assert promiscuity() == "1"
    with Sender() as cable:
        cable.send(frame(1))
    source.stop()
    assert [one for chunk in chunks for one in of_chunk(chunk)] == [frame(1)]
    source.close()


def test_an_interface_that_is_down(cable: Sender) -> None:
    """Capturing begins all the same, with a gap."""
    ip(f"link set {NEAR} down")
    source = opened()
    assert [(gap.what, gap.end) for gap in source.gaps] == [("down", None)]
    ip(f"link set {NEAR} up")
    chunks = source.chunks()
    while source.gaps[0].end is None:
        next(chunks)
    cable.send(frame(1))
    source.stop()
    assert [one for chunk in chunks for one in of_chunk(chunk)] == [frame(1)]
    source.close()


def test_counters_asked_for_often(cable: Sender) -> None:
    """The kernel forgets what it has told: what it told is added up."""
    source = opened(TINY)
    for n in range(500):
        cable.send(frame(n))
        source.refresh()
        assert source.arrivals.offered == n + 1
    assert len(read(source)) + source.arrivals.lost == 500


def test_loopback_frames_are_seen_once() -> None:
    ip("link set lo up")
    source = RingSource("lo", Interfaces(), SMALL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for n in range(10):
            one.sendto(b"%d" % n, ("127.0.0.1", 9))
    datagrams = [octets for octets in read(source) if octets[23] == socket.IPPROTO_UDP]
    assert [octets[42:] for octets in datagrams] == [b"%d" % n for n in range(10)]


def test_an_interface_without_link_headers() -> None:
    """A tun device: its frames are IP packets, LINKTYPE_RAW."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("no tun devices here")
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        iff_tun_without_information, set_interface = 0x1001, 0x400454CA  # linux/if_tun.h
        fcntl.ioctl(tun, set_interface, struct.pack("16sH22x", b"tun7", iff_tun_without_information))
        ip("link set tun7 up")
        source = RingSource("tun7", Interfaces(), replace(SMALL, filter="udp"))
        assert source._interfaces[0].link_type == 101
        packets = [bytes(ipv4() / udp() / b"in"), bytes(ipv4() / tcp())]
        for packet in packets:
            tun.write(packet)
        assert read(source) == packets[:1]


def test_frames_longer_than_the_link_carries(cable: Sender) -> None:
    """As segments that were put together are; here, because the interface's MTU was raised meanwhile."""
    ip(f"link set {NEAR} mtu 1000")
    source = opened()
    ip(f"link set {NEAR} mtu {MTU}")
    cable.send(frame(0, 1014), frame(1, 1022), frame(2, 1023), frame(3, 9000))
    read(source)
    assert source.longer == 2


@pytest.mark.parametrize("on", [[], ["gro"]])
def test_offloads(on: list[str]) -> None:
    """Oracle: what was set with ethtool's own call (ETHTOOL_SGRO)."""
    set_gro = struct.pack("II", 0x2C, len(on))
    value = np.frombuffer(set_gro, np.uint32).copy()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sP16x", NEAR.encode(), value.ctypes.data)
        fcntl.ioctl(asked, 0x8946, request)
    assert device.offloads(NEAR) == on
    assert device.offloads("none0") == []


def promiscuity() -> str:
    said = subprocess.run(["ip", "-d", "link", "show", NEAR], capture_output=True, text=True, check=True).stdout
    return said.partition("promiscuity ")[2].split()[0]


def test_closing_lets_go_of_the_interface(cable: Sender) -> None:
    """Also while blocks are held; they stay what they are."""
    assert promiscuity() == "0"
    source = opened()
    assert promiscuity() == "1"
    cable.send(frame(1))
    source.stop()
    (chunk,) = source.chunks()
    source.close()
    source.stop()
    assert promiscuity() == "0"
    assert of_chunk(chunk) == [frame(1)]
    source = opened(replace(SMALL, promiscuous=False))
    assert promiscuity() == "0"
    source.close()


def test_nothing_is_left_open() -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    opened().close()
    before = descriptors()
    for _ in range(20):
        opened().close()
        with pytest.raises(CaptureError):
            RingSource("none0", Interfaces(), SMALL)
    assert descriptors() == before


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
    found = [one for chunk in chunks for one in of_chunk(chunk)]
    assert found
    assert source.arrivals.lost
    assert source.arrivals.offered == 2000 == 1 + len(found) + source.arrivals.lost
    assert of_chunk(kept) == [frame(0)]
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


def test_no_such_interface() -> None:
    with pytest.raises(CaptureError) as raised:
        RingSource("none0", Interfaces(), SMALL)
    assert raised.value.message == "there is no interface 'none0'"
    assert NEAR in raised.value.hint


def test_no_permission() -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(CaptureError) as raised:
            opened()
    finally:
        os.seteuid(0)
    assert raised.value.message == f"live:{NEAR}: capturing is not permitted"
    assert "setcap cap_net_raw+ep" in raised.value.hint


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
