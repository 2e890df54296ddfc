"""Filters in libpcap's language: the frames that tcpdump selects, before and after decapsulation.

Oracles: tcpdump with its own libpcap, run live on the same file; for inner filters, tcpdump on a file of the inner
frames alone, crafted bare or cut out of real captures by editcap.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

import spanline
from spanline.errors import UsageError
from tests.craft import (
    arp,
    ethernet,
    extension,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    llc,
    null,
    sctp,
    sll,
    sll2,
    tcp,
    udp,
    vlan,
)
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_fragments import pieces
from tests.craft_tunnels import erspan2, erspan3, geneve, gre, mpls, pppoe, vxlan

pytestmark = pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump")

Found = list[tuple[int, int, bytes]]
"""Time, wire length and captured bytes of frames."""

# One for each kind of primitive and operator of pcap-filter(7), as far as files have what it asks for.
FILTERS = (
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "sctp", "ip proto 47", "ip6 proto 17", "proto 6",
    "host 10.0.0.1", "src host 10.0.0.1", "dst host 10.0.0.2", "src or dst host 10.0.0.2", "net 10.0.0.0/8",
    "src net 192.168.0.0 mask 255.255.0.0", "dst net 172.16.0.0/12", "ip6 host 2001:db8::1", "net 2001:db8::/32",
    "port 53", "src port 443", "dst port 80", "tcp port 80", "udp port 53", "portrange 1-1023",
    "src portrange 1024-65535", "tcp dst portrange 80-443", "less 64", "greater 100", "len > 200", "len <= 66",
    "not ip", "ip and not tcp",
    "tcp or udp", "not (tcp port 80 or tcp port 443) and tcp", "ip broadcast", "ip multicast", "ip6 multicast",
    "ip[0] & 0xf != 5", "ip[6:2] & 0x1fff != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "tcp[13] = 18",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "udp[4:2] > 40", "icmp[icmptype] = icmp-echo",
    "icmp[0] = 8 or icmp[0] = 0", "ip[2:2] - ((ip[0] & 0xf) << 2) > 20", "ip[8] * 2 % 3 = 1", "ip[9] ^ 6 = 0",
    "(ip[12] + ip[13]) / 2 < 64",
    "len - 14 = ip[2:2]", "ip6[6] = 17", "ip6 protochain 17", "ip protochain 6", "ip[1] << 1 = 0 and ip[1] >> 1 = 0",
    "ip[ip[0] & 0xf] > 10", "tcp[tcp[12] >> 2] = 23", "ip[len - 40] > 3", "1 = 1", "ip[8] / ip[1] > 3",
)  # fmt: skip
# What only some link types have.
ETHERNET_FILTERS = (
    "ether host 00:00:00:00:00:02", "ether src 02:00:00:00:00:01", "ether broadcast", "ether multicast", "vlan",
    "vlan 7", "vlan and ip", "vlan and vlan", "vlan 100 and tcp", "mpls", "mpls 3 and ip", "pppoes", "pppoes and ip",
    "ether proto 0x0806", "ether[0] & 1 = 0", "ether[12:2] = 0x8100", "stp", "llc", "iso",
    "vlan and ether[14:2] & 0xfff > 5",
)  # fmt: skip

INSIDE = [
    ipv4("10.0.0.1", "10.0.0.2") / tcp(50000, 80, flags="S"),
    ipv4("10.0.0.2", "10.0.0.1") / tcp(80, 50000, flags="SA"),
    ipv4("10.0.0.1", "10.0.0.2") / tcp(50000, 80, flags="PA", options=b"\1" * 12) / b"GET / HTTP/1.1\r\n\r\n",
    ipv4("10.0.0.1", "192.168.3.4", options=b"\1" * 8) / udp(53, 53) / bytes(60),
    ipv4("172.16.0.1", "224.0.0.251") / udp(5353, 5353) / bytes(400),
    ipv4("10.0.0.1", "255.255.255.255") / udp(68, 67),
    ipv4("10.0.0.1", "10.0.0.2") / icmp(8, 0) / bytes(32),
    ipv4("10.0.0.1", "10.0.0.2") / icmp(3, 1) / ipv4() / udp(9, 53),
    ipv6("2001:db8::1", "2001:db8::2") / tcp(50000, 443),
    ipv6("fe80::1", "ff02::fb") / udp(5353, 5353) / bytes(20),
    ipv6("fe80::1", "ff02::1") / icmpv6(135, 0) / bytes(20),
    ipv6("2001:db8::1", "2001:db8::2") / extension(0) / extension(60, bytes(14)) / udp(53, 53),
    ipv4() / sctp(),
    *pieces(ipv4("10.0.0.1", "10.0.0.2") / udp(7, 53) / bytes(90), 32),
    ipv4() / gre(key=1) / ipv4() / tcp(),
]
ON_ETHERNET = [
    arp(), llc() / b"..", vlan(7) / ipv4("10.0.0.1", "10.0.0.2") / tcp(1, 80), vlan(100) / vlan(7) / ipv6() / udp(),
    vlan(1, tpid=0x88A8) / vlan(8) / ipv4() / icmp(), mpls(3) / ipv4() / udp(), mpls(4) / mpls(3) / ipv6() / tcp(),
    pppoe() / ipv4("10.0.0.1", "10.0.0.2") / tcp(),
]  # fmt: skip
EVERYTHING = [ethernet() / frame for frame in (*INSIDE, *ON_ETHERNET)]
EVERYTHING += [ethernet("ff:ff:ff:ff:ff:ff") / arp(), ethernet("01:00:5e:00:00:fb") / INSIDE[4]]
CUT = [Record(START + n, bytes(frame)[:40], len(bytes(frame))) for n, frame in enumerate(EVERYTHING)]

CRAFTED = {
    "ethernet.pcap": pcap(EVERYTHING),
    "cut.pcap": pcap(CUT, nanoseconds=True),
    "raw.pcap": pcap(INSIDE, link_type=101),
    "cooked.pcap": pcap([sll() / frame for frame in INSIDE], link_type=113),
    "cooked2.pcap": pcap([sll2() / frame for frame in INSIDE], link_type=276),
    "null.pcap": pcap([null() / frame for frame in INSIDE], link_type=0),
    "null-big-endian.pcap": pcap([null(order=">") / frame for frame in INSIDE], link_type=0, big_endian=True),
    "loop.pcapng": Pcapng(big_endian=True).file([null(order=">") / frame for frame in INSIDE], link_type=108),
}
SHARED = (
    "apps/bittorrent__arkime__bt-tcp.pcap", "apps/dns__PcapPlusPlus__DnsPackets.pcap", "apps/dns__pcap__ping.pcap",
    "apps/http__PcapPlusPlus__raw_ip.pcap", "apps/http2__suricata-verify__http2-range.pcap",
    "apps/http2__TracePcap__free5gc.pcap", "apps/dhcp__libtrace__8021x.pcap",
    "apps/bgp__pmacct__traffic-00.e0e124.pcap",
)  # fmt: skip


def of_pcap(data: bytes) -> Found:
    """The frames of a pcap file of this machine's byte order."""
    tick = 1 if data[:4] == bytes.fromhex("4d3cb2a1") else 1000
    found, at = [], 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack_from("<IIII", data, at)
        found.append((seconds * 10**9 + fraction * tick, wire, data[at + 16 : at + 16 + captured]))
        at += 16 + captured
    return found


def tcpdump(path: Path, text: str) -> Found | None:
    """What `tcpdump -r` selects, in ns; None when it refuses the filter."""
    command = ["tcpdump", "-n", "--nano", "-r", str(path), "-w", "-", text]
    result = subprocess.run(command, capture_output=True, timeout=60)
    if result.returncode and b"expression rejects all packets" in result.stderr:
        return []
    return None if result.returncode else of_pcap(result.stdout)


def selected(path: Path, **filters: str) -> tuple[Found, list[str]]:
    """What spanline selects, and the kinds of its problems."""
    capture = spanline.open(path, **filters)
    found = []
    for batch in capture:
        for row in batch.packets:
            at = int(row["frame_offset"])
            octets = batch.buffers[0][at : at + int(row["captured_length"])].tobytes()
            found.append((int(row["timestamp"]), int(row["wire_length"]), octets))
    return found, [problem.kind for problem in capture.problems]


def compare(path: Path, texts: Iterable[str]) -> int:
    """Compares all filters on a file; returns how many frames were selected."""
    count = 0
    for text in texts:
        expected = tcpdump(path, text)
        if expected is None:
            with pytest.raises(UsageError):
                selected(path, capture_filter=text)
            continue
        try:
            found, _ = selected(path, capture_filter=text)
        except UsageError:  # expression rejects all packets
            found = []
        assert found == expected, text
        count += len(found)
    return count


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted(name: str, tmp_path: Path) -> None:
    """tcpdump on the same file selects the same frames: every link type, frames cut short, VLAN, MPLS, PPPoE, IPv6."""
    path = tmp_path / name
    path.write_bytes(CRAFTED[name])
    texts = FILTERS + (ETHERNET_FILTERS if name in ("ethernet.pcap", "cut.pcap") else ())
    assert compare(path, texts) > 200


@pytest.mark.parametrize("name", SHARED)
def test_shared(name: str, captures: Path) -> None:
    """tcpdump on real captures."""
    assert compare(captures / name, FILTERS) > 40


# --- inside tunnels

OUTER = ethernet() / ipv4("192.0.2.1", "192.0.2.2")
PACKETS = INSIDE[:-1]  # without the one that is a tunnel itself
WIRE = [ethernet() / frame for frame in (*PACKETS, *ON_ETHERNET)]
TUNNELS = {
    "vxlan": ([OUTER / udp(50000, 4789) / vxlan(7) / frame for frame in WIRE], 1, WIRE),
    "gre-bridging": ([OUTER / gre() / frame for frame in WIRE], 1, WIRE),
    "gre": ([OUTER / gre(key=5, sequence=6) / frame for frame in PACKETS], 101, PACKETS),
    "ip-in-ip": ([OUTER / frame for frame in PACKETS], 101, PACKETS),
    "geneve-bridging": ([OUTER / udp(1, 6081) / geneve(7, options=bytes(8)) / frame for frame in WIRE], 1, WIRE),
    "geneve": ([OUTER / udp(1, 6081) / geneve(7) / frame for frame in PACKETS], 101, PACKETS),
    "erspan2": ([OUTER / gre(sequence=1) / erspan2(7) / frame for frame in WIRE], 1, WIRE),
    "erspan3": ([OUTER / gre(sequence=1) / erspan3(7, platform=bytes(8)) / frame for frame in WIRE], 1, WIRE),
    "nested": ([OUTER / gre() / ethernet() / ipv4() / udp(1, 4789) / vxlan(8) / frame for frame in WIRE], 1, WIRE),
    "none": (WIRE, 1, WIRE),
}
# Captures in which all frames have the same tunnel: bytes before the inner frame, and its link type.
REAL_TUNNELS = {
    "vxlan__nDPI__vxlan.pcap": (54, "ether"), "vxlan__libtrace__vxlan.pcap": (50, "ether"),
    "vxlan__zeek__vxlan-encapsulated-http.pcap": (50, "ether"), "vxlan__FlowTest__vxlan.pcap": (50, "ether"),
    "vxlan__suricata-verify__vxlan-non-zero-reserved-fields__input.pcap": (50, "ether"),
    "erspan__bro__erspanII.pcap": (50, "ether"), "erspan__tcpdump__erspan-type-iii-ft-0.pcap": (50, "ether"),
    "erspan__zeek__erspanI.pcap": (38, "ether"), "geneve__zeek__geneve-47101.pcap": (50, "ether"),
    "gre__bro__gre-within-gre.pcap": (62, "rawip"), "gre__suricata-verify__gre-udp.pcap": (42, "rawip"),
    "6in4-ipip__nDPI__6in4tunnel.pcap": (34, "rawip"), "6in4-ipip__arkime__ipv6-in-ipv4.pcap": (34, "rawip"),
}  # fmt: skip


def inner_frames(path: Path, text: str) -> Found:
    """The innermost frames of those that the inner filter selects."""
    found = []
    for batch in spanline.open(path, inner_filter=text):
        for row, inner in zip(batch.packets, batch.inner_frames, strict=True):
            at = int(inner["offset"])
            octets = batch.buffers[inner["buffer"]][at : at + int(inner["captured_length"])].tobytes()
            found.append((int(row["timestamp"]), int(inner["wire_length"]), octets))
    return found


def compare_inner(tunnelled: Path, bare: Path, texts: Iterable[str]) -> int:
    count = 0
    for text in texts:
        expected = tcpdump(bare, text)
        if expected:  # neither refused nor without any frame, as a filter of link headers is in packets without them
            assert inner_frames(tunnelled, text) == expected, text
            count += len(expected)
    return count


@pytest.mark.parametrize("name", TUNNELS)
def test_inside_crafted_tunnels(name: str, tmp_path: Path) -> None:
    """tcpdump on the same frames without the tunnel selects the same ones."""
    tunnelled, link_type, bare = TUNNELS[name]
    (tmp_path / "tunnelled.pcap").write_bytes(pcap(tunnelled))
    (tmp_path / "bare.pcap").write_bytes(pcap(bare, link_type=link_type))
    texts = FILTERS + ETHERNET_FILTERS
    assert compare_inner(tmp_path / "tunnelled.pcap", tmp_path / "bare.pcap", texts) > 200


@pytest.mark.parametrize("name", REAL_TUNNELS)
def test_inside_real_tunnels(name: str, captures: Path, tmp_path: Path) -> None:
    """tcpdump on what editcap left of the same capture when it cut the headers of the tunnel off."""
    chopped, encapsulation = REAL_TUNNELS[name]
    path, bare = captures / "tunnels" / name, tmp_path / "bare.pcap"
    editcap = ["editcap", "-F", "pcap", "-L", "-C", str(chopped), "-T", encapsulation]
    subprocess.run([*editcap, str(path), str(bare)], check=True, timeout=60)
    assert compare_inner(path, bare, FILTERS[::2]) > 10


def test_inside_a_datagram_that_came_in_fragments(tmp_path: Path) -> None:
    """The frame that completes it is selected by what is inside; by itself it is a fragment."""
    path = tmp_path / "fragments.pcap"
    inner = ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp(50000, 80) / b"x"
    parts = pieces(ipv4() / udp(1, 4789) / vxlan(7) / inner, 24)
    path.write_bytes(pcap([ethernet() / part for part in parts]))
    assert [octets for _, _, octets in inner_frames(path, "tcp port 80")] == [bytes(inner)]
    assert inner_frames(path, "tcp port 81") == []
    assert [wire for _, wire, _ in inner_frames(path, f"len = {len(bytes(inner))}")] == [len(bytes(inner))]
    assert len(selected(path, capture_filter="udp port 4789")[0]) == 1


def test_both_and_counters(tmp_path: Path) -> None:
    """-f selects by the outer headers and then --inner-filter by the inner ones; numbers stay those of the file."""
    path = tmp_path / "tunnels.pcap"
    frames = [OUTER / udp(1, 4789) / vxlan(7) / frame for frame in WIRE] + WIRE + [b"\0" * 14, ethernet() / ipv4()]
    path.write_bytes(pcap([*frames, b"short"]))
    capture = spanline.open(path, capture_filter="src host 192.0.2.1", inner_filter="tcp port 80")
    numbers = [n for batch in capture for n in batch.numbers.tolist()]
    assert numbers == [1, 2, 3]
    counters = capture.counters
    assert counters.read == len(frames) + 1
    assert counters.decoded == counters.filtered_out + len(numbers)
