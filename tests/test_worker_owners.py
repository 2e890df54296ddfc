"""Whose a frame is, among several workers: in C, and in the kernel.

Oracles: the flow hash for who belongs together; the kernel itself for the program that divides frames.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traffic

import spanline
from spanline import _exchange
from spanline.batch import Batch
from spanline.errors import CaptureError
from spanline.workers.kernel_rule import kernel_rule
from tests.craft import Frame, arp, ethernet, extension, icmp, icmpv6, ipv4, ipv6, raw, sctp, tcp, udp, vlan
from tests.craft_fragments import pieces
from tests.craft_tunnels import geneve, geneve_option, gre, vxlan
from tests.own_network import NEAR, Sender, impossible, own_network
from tests.rows import decode_all
from tests.test_every_capture import FOLDERS, files_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux' rings are shared")
needs_network = pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")

A, B = "10.1.0.1", "10.1.0.2"
A6, B6 = "2001:db8::1", "2001:db8:0:7::2"


def owners(batch: Batch, workers: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    out = np.empty(len(batch), np.uint8)
    _exchange.owners(batch.packets.view(np.uint8), workers, out, np.empty((2, 64), np.uint64))
    return out


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 62])
@pytest.mark.parametrize("kind", ["mix", "vxlan"])
def test_packets_of_a_flow_have_one_owner(kind: str, workers: int, tmp_path: Path) -> None:
    """In both directions. Oracle: the flow hash. And each owner has its share."""
    traffic.generate(kind, tmp_path / "a.pcap", packets=3000, flows=400)
    shares = np.zeros(workers, int)
    for batch in spanline.open(tmp_path / "a.pcap"):
        found = owners(batch, workers)
        pairs = np.unique(np.stack([batch.packets["flow_hash"], found]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        shares += np.bincount(pairs[1].astype(int), minlength=workers)
    assert (shares > 0).all()
    if workers <= 7:
        assert shares.min() > shares.mean() / 2


@pytest.mark.parametrize("folder", FOLDERS)
def test_packets_of_a_flow_have_one_owner_in_every_capture(folder: str, captures: Path) -> None:
    """Also of what is cut, damaged, ICMP, and no TCP or UDP. Oracle: the flow hash, where whole datagrams are."""
    for path in files_of(captures / folder):
        known: dict[int, int] = {}
        try:
            for batch in spanline.open(path, reassemble=False):
                rows = batch.packets["ip_version"] != 0
                pairs = zip(batch.packets["flow_hash"][rows].tolist(), owners(batch, 5)[rows].tolist(), strict=True)
                for flow, owner in set(pairs):
                    assert known.setdefault(flow, owner) == owner, path
        except CaptureError:
            continue


ALL, HERE = _exchange.ALL, _exchange.HERE


@pytest.mark.parametrize(
    ("frame", "owner"),
    [
        (ethernet() / arp(), HERE),
        (pieces(ipv4(A, B) / udp(1, 2) / raw(bytes(64)), 16)[0], ALL),
        (pieces(ipv4(A, B) / udp(1, 2) / raw(bytes(64)), 16)[1], ALL),
        (pieces(ipv6(A6, B6) / udp(1, 2) / raw(bytes(64)), 16)[1], ALL),
    ],
    ids=["no flow", "first fragment", "second fragment", "IPv6 fragment"],
)
def test_frames_of_all_and_of_nobody(frame: Frame, owner: int) -> None:
    """A fragment has ports only if it is the first; what is no flow's does not move."""
    whole = frame if owner == HERE else ethernet() / frame
    assert owners(decode_all([whole], reassemble=True), 4).tolist() == [owner]


@pytest.mark.parametrize(("packets", "workers", "out"), [(128, 0, 1), (128, 63, 1), (128, 2, 2), (0, 2, 1)], ids=str)
def test_wrong_sizes(packets: int, workers: int, out: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        _exchange.owners(np.zeros(packets, np.uint8), workers, np.zeros(out, np.uint8), np.empty((2, 64), np.uint64))
    with pytest.raises(ValueError, match="workers"):
        _exchange.own_rows(np.zeros(packets, np.uint8), workers, 0, np.zeros(out, np.uint8))


def inner(number: int) -> list[Frame]:
    """Frames in which the program of the kernel finds what C finds."""
    ports = 1000 + number, 443
    four, six = ipv4(A, f"10.2.0.{number}"), ipv6(A6, f"2001:db8::{number:x}")
    return [
        four / tcp(*ports),
        four / udp(*ports),
        four / icmp(),
        four / sctp(*ports),
        six / tcp(*ports),
        six / udp(*ports),
        six / icmpv6(),
        ipv4(A, f"10.2.0.{number}", options=bytes(8)) / tcp(*ports),
    ]


def outer(number: int, vni: int, port: int = 4789) -> list[Frame]:
    return [
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000 + number, port) / vxlan(vni) / ethernet(),
        ethernet() / ipv6("fd00::1", "fd00::2") / udp(50000, port) / vxlan(vni) / ethernet(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2", options=bytes(4)) / udp(50000, port) / vxlan(vni) / ethernet(),
    ]


def in_geneve(number: int, port: int = 6081) -> list[Frame]:
    """With as many options as there is room for, and with Ethernet inside and without."""
    options = b"".join(geneve_option(n, bytes(4 * (n % 5))) for n in range(number % 21))
    tunnel = udp(50000, port) / geneve(number, options=options)
    four, six = ethernet() / ipv4("192.0.2.1", "192.0.2.2"), ethernet() / ipv6("fd00::1", "fd00::2")
    return [four / tunnel, six / tunnel, four / tunnel / ethernet(), six / tunnel / ethernet()]


class Group:
    """Sockets of one fanout group that the program divides frames among."""

    def __init__(self, size: int, vxlan_ports: set[int], geneve_ports: set[int]) -> None:
        program = kernel_rule(vxlan_ports, geneve_ports)
        self._sockets = []
        for number in range(size):
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            one.bind((NEAR, 3))
            one.setsockopt(263, 18, 77 | 6 << 16)
            if number == 0:
                one.setsockopt(263, 22, struct.pack("@HP", len(program), program.ctypes.data))
            one.setblocking(False)
            self._sockets.append(one)

    def received(self) -> list[tuple[int, bytes]]:
        """(who, frame) of all frames."""
        found = []
        for number, one in enumerate(self._sockets):
            while True:
                try:
                    found.append((number, one.recv(65536)))
                except BlockingIOError:
                    break
        return found

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.mark.lab
@needs_network
@pytest.mark.parametrize("workers", [2, 3])
def test_the_kernel_divides_by_the_same_rule(workers: int) -> None:
    """Oracle: the kernel, which runs the program on frames that come over a cable."""
    frames = [bytes(ethernet() / one) for n in range(1, 20) for one in inner(n)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in outer(n, n)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in outer(n, n, 8472)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in in_geneve(n)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in in_geneve(n, 7000)]
    frames += [bytes(ethernet() / vlan(7) / one) for n in range(1, 20) for one in inner(n)]
    with own_network(), Sender() as sender:
        group = Group(workers, {4789, 8472}, {6081, 7000})
        found = []
        for some in (frames[at : at + 100] for at in range(0, len(frames), 100)):  # as many as a socket holds
            sender.send(*some)
            found += group.received()
        group.close()
    assert len(found) == len(frames)
    # The kernel takes the VLAN tag out: the row is the same without.
    ports = {"vxlan_port": {4789, 8472}, "geneve_port": {6081, 7000}}
    batch = decode_all([frame for _, frame in found], **ports, reassemble=True)
    assert owners(batch, workers).tolist() == [number for number, _ in found]


@pytest.mark.lab
@needs_network
@pytest.mark.parametrize(
    "frame",
    [
        ethernet() / arp(),
        ethernet() / ipv4(A, B) / gre() / ipv4(A, B) / tcp(1, 2),
        ethernet() / ipv6(A6, B6) / extension(0) / tcp(1, 2),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(1, 4789) / vxlan(1) / ethernet() / arp(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(1, 6081) / geneve(1) / ethernet() / arp(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(1, 6081) / geneve(1) / arp(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(1, 6081) / b"\x3f",
        ethernet() / raw(b"\x45", ether_type=0x0800),
        ethernet() / vlan(1) / vlan(2) / ipv4(A, B) / tcp(1, 2),
    ],
    ids=[
        "ARP",
        "GRE",
        "IPv6 extension",
        "ARP in VXLAN",
        "ARP bridged in GENEVE",
        "ARP in GENEVE",
        "GENEVE cut",
        "cut",
        "two tags",
    ],
)
def test_the_kernel_gives_all_else_to_anybody(frame: Frame) -> None:
    """None is lost, and none comes twice."""
    with own_network(), Sender() as sender:
        group = Group(3, {4789}, {6081})
        sender.send(bytes(frame).ljust(60, b"\0"))
        found = group.received()
        group.close()
    assert len(found) == 1
