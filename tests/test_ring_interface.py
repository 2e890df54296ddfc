"""The ring and its interface: which goes away, comes back, is of another kind, and is let go of.

Oracles: the frames that were sent, byte for byte, and how many; the kernel's own answers (ip-link(8)).
"""

from __future__ import annotations

import fcntl
import os
import platform
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanline.chunk import Interfaces
from spanline.errors import CaptureError
from spanline.sources import device
from spanline.sources.ring import RingSource
from tests.craft import ipv4, tcp, udp
from tests.live_frames import frames_of
from tests.own_network import MTU, NEAR, Sender, impossible, ip, lay_cable
from tests.ring_frames import SMALL, frame, opened, promiscuity, read

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]

ROOT = Path(__file__).parent.parent


NO_MEMBARRIER = """
import ctypes, platform, struct, sys
number = {"x86_64": 324, "aarch64": 283}[platform.machine()]
steps = struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x50000 | 22, 6, 0, 0, 0x7FFF0000)
program = ctypes.create_string_buffer(steps)
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(program)))) == 0
assert libc.syscall(number, 0, 0, 0) == -1
from tests.own_network import Sender
from tests.ring_frames import frame, opened, read
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
            found += frames_of(next(chunks))
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
    found += [one for chunk in chunks for one in frames_of(chunk)]
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
    assert [one for chunk in chunks for one in frames_of(chunk)] == [frame(1)]
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
    assert [one for chunk in chunks for one in frames_of(chunk)] == [frame(1)]
    source.close()


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
    assert frames_of(chunk) == [frame(1)]
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
