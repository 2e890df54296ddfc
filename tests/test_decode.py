"""Frames to rows: every link, network, transport and tunnel protocol.

Oracles: the specifications named in ext/*.h. Frames are built layer by layer by tests/craft.py, which shares no code
with the decoder; what a row must say of them is written down here.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spanline.schema import TUNNEL_KINDS
from tests.craft import (
    Frame,
    arp,
    authentication,
    ethernet,
    extension,
    fddi,
    fragments,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    ipv6_fragment,
    llc,
    mac,
    null,
    option,
    raw,
    sctp,
    sctp_chunk,
    sll,
    sll2,
    snap,
    tcp,
    token_ring,
    udp,
    vlan,
)
from tests.craft_files import Record
from tests.craft_tunnels import erspan2, erspan3, geneve, geneve_option, gre, vxlan
from tests.rows import decode, decode_all, layers, mapped, payload, row_of, stack, values, verdict

V4 = ipv4("192.0.2.1", "192.0.2.2")
V6 = ipv6("2001:db8::1", "2001:db8::2")
UDP = udp(1111, 2222) / b"payload"
TCP = tcp(3333, 4444) / b"payload"
INNER = ethernet() / ipv4("10.9.9.1", "10.9.9.2") / udp(5555, 6666) / b"inner"

Seen = tuple[int, int, int, bytes]
"""IP version, ports, payload."""
IS_UDP4, IS_UDP6 = (4, 1111, 2222, b"payload"), (6, 1111, 2222, b"payload")
IS_TCP4, IS_TCP6 = (4, 3333, 4444, b"payload"), (6, 3333, 4444, b"payload")

# name: (link type, frame, protocols, what the row says); every one of them decodes completely
WHOLE: dict[str, tuple[int, Frame, str, Seen]] = {
    # links
    "ethernet": (1, ethernet() / V4 / UDP, "eth:ip:udp", IS_UDP4),
    "ethernet-v6": (1, ethernet() / V6 / UDP, "eth:ipv6:udp", IS_UDP6),
    "raw-v4": (101, V4 / UDP, "raw:ip:udp", IS_UDP4),
    "raw-v6": (101, V6 / TCP, "raw:ipv6:tcp", IS_TCP6),
    "raw-12": (12, V4 / UDP, "raw:ip:udp", IS_UDP4),
    "raw-14": (14, V6 / UDP, "raw:ipv6:udp", IS_UDP6),
    "ipv4-228": (228, V4 / TCP, "ip:tcp", IS_TCP4),
    "ipv6-229": (229, V6 / TCP, "ipv6:tcp", IS_TCP6),
    "sll": (113, sll() / V4 / TCP, "sll:ip:tcp", IS_TCP4),
    "sll-v6": (113, sll() / V6 / TCP, "sll:ipv6:tcp", IS_TCP6),
    "sll-vlan": (113, sll() / vlan(5) / V4 / TCP, "sll:vlan:ip:tcp", IS_TCP4),
    "sll-loopback": (113, sll(hardware=772) / V4 / TCP, "sll:ip:tcp", IS_TCP4),
    "sll2": (276, sll2() / V4 / TCP, "sll2:ip:tcp", IS_TCP4),
    "sll2-v6": (276, sll2() / V6 / TCP, "sll2:ipv6:tcp", IS_TCP6),
    "fddi": (10, fddi() / snap() / V4 / UDP, "fddi:llc:ip:udp", IS_UDP4),
    "fddi-priority": (10, fddi(control=0x5F) / llc(6, 6) / V4 / TCP, "fddi:llc:ip:tcp", IS_TCP4),
    "token-ring": (6, token_ring() / snap() / V4 / UDP, "tr:llc:ip:udp", IS_UDP4),
    "token-ring-no-bridge": (6, token_ring(routing=b"\x82\x30") / snap() / V6 / TCP, "tr:llc:ipv6:tcp", IS_TCP6),
    "token-ring-bridges": (
        6, token_ring(routing=bytes([0xFE, 0x30]) + bytes(28)) / snap() / V4 / TCP, "tr:llc:ip:tcp", IS_TCP4
    ),
    "null-little": (0, null() / V4 / UDP, "null:ip:udp", IS_UDP4),
    "null-big": (0, null(order=">") / V4 / UDP, "null:ip:udp", IS_UDP4),
    "loop": (108, null(order=">") / V6 / UDP, "null:ipv6:udp", IS_UDP6),
    **{f"null-family-{n}": (0, null(family=n) / V6 / UDP, "null:ipv6:udp", IS_UDP6) for n in (10, 23, 24, 28, 30)},
    "vlan": (1, ethernet() / vlan(5) / V4 / UDP, "eth:vlan:ip:udp", IS_UDP4),
    "qinq": (1, ethernet() / vlan(7, tpid=0x88A8) / vlan(5) / V4 / UDP, "eth:ieee8021ad:vlan:ip:udp", IS_UDP4),
    "qinq-old": (1, ethernet() / vlan(7, tpid=0x9100) / vlan(5) / V4 / UDP, "eth:vlan:vlan:ip:udp", IS_UDP4),
    "three-tags": (1, ethernet() / vlan(1) / vlan(2) / vlan(3) / V6 / UDP, "eth:vlan:vlan:vlan:ipv6:udp", IS_UDP6),
    "snap": (1, ethernet() / snap() / V4 / UDP, "eth:llc:ip:udp", IS_UDP4),
    "snap-f8": (1, ethernet() / snap(0xF8) / V4 / UDP, "eth:llc:ip:udp", IS_UDP4),
    "snap-in-vlan": (1, ethernet() / vlan(5) / snap() / V6 / UDP, "eth:vlan:llc:ipv6:udp", IS_UDP6),
    "llc-ip": (1, ethernet() / llc(6, 6) / V4 / UDP, "eth:llc:ip:udp", IS_UDP4),
    "sll-llc": (113, sll() / raw(b"\xaa\xaa\3\0\0\0\x08\0", ether_type=4) / V4 / UDP, "sll:llc:ip:udp", IS_UDP4),
    "arp": (1, ethernet() / arp(), "eth:arp", (0, 0, 0, b"")),
    "arp-vlan": (1, ethernet() / vlan(9) / arp(), "eth:vlan:arp", (0, 0, 0, b"")),
    # network
    "v4-options": (1, ethernet() / ipv4(options=b"\x94\4\0\0\1\1\1\0") / UDP, "eth:ip:udp", IS_UDP4),
    "v4-most-options": (1, ethernet() / ipv4(options=b"\1" * 40) / TCP, "eth:ip:tcp", IS_TCP4),
    "v4-ah": (1, ethernet() / V4 / authentication() / TCP, "eth:ip:ah:tcp", IS_TCP4),
    "hop-by-hop": (1, ethernet() / V6 / extension(0) / UDP, "eth:ipv6:ipv6.hopopts:udp", IS_UDP6),
    "routing": (1, ethernet() / V6 / extension(43, bytes(22)) / UDP, "eth:ipv6:ipv6.routing:udp", IS_UDP6),
    "destination": (1, ethernet() / V6 / extension(60) / UDP, "eth:ipv6:ipv6.dstopts:udp", IS_UDP6),
    "atomic-fragment": (1, ethernet() / V6 / ipv6_fragment() / UDP, "eth:ipv6:ipv6.fraghdr:udp", IS_UDP6),
    "v6-ah": (1, ethernet() / V6 / authentication() / UDP, "eth:ipv6:ah:udp", IS_UDP6),
    "v6-chain": (
        1,
        ethernet() / V6 / extension(0) / extension(60) / extension(43, bytes(6)) / ipv6_fragment() / authentication()
        / extension(60, bytes(2030)) / TCP,
        "eth:ipv6:ipv6.hopopts:ipv6.dstopts:ipv6.routing:ipv6.fraghdr:ah:ipv6.dstopts:tcp",
        IS_TCP6,
    ),
    "no-next-header": (1, ethernet() / V6 / raw(b"", protocol=59), "eth:ipv6", (6, 0, 0, b"")),
    # transport
    "tcp-options": (1, ethernet() / V4 / tcp(3333, 4444, options=b"\1" * 40) / b"payload", "eth:ip:tcp", IS_TCP4),
    "udp-empty": (1, ethernet() / V4 / udp(1, 2), "eth:ip:udp", (4, 1, 2, b"")),
    "icmp": (1, ethernet() / V4 / icmp(8, 0) / b"ping", "eth:ip:icmp", (4, 8, 0, b"ping")),
    "icmp-redirect": (1, ethernet() / V4 / icmp(5, 1) / bytes(8), "eth:ip:icmp", (4, 5, 1, bytes(8))),
    "icmpv6": (1, ethernet() / V6 / icmpv6(129, 0) / b"pong", "eth:ipv6:icmpv6", (6, 129, 0, b"pong")),
    "sctp": (1, ethernet() / V4 / sctp(77, 88) / sctp_chunk(1), "eth:ip:sctp", (4, 77, 88, sctp_chunk(1))),
    "sctp-v6": (1, ethernet() / V6 / sctp(77, 88) / sctp_chunk(1), "eth:ipv6:sctp", (6, 77, 88, sctp_chunk(1))),
    # tunnels
    "vxlan": (1, ethernet() / V4 / udp(1, 4789) / vxlan(7) / INNER, "eth:ip:udp:vxlan:eth:ip:udp",
              (4, 5555, 6666, b"inner")),
    "vxlan-v6": (1, ethernet() / V6 / udp(1, 4789) / vxlan(7) / ethernet() / V6 / TCP,
                 "eth:ipv6:udp:vxlan:eth:ipv6:tcp", IS_TCP6),
    "vxlan-vlan": (1, ethernet() / V4 / udp(1, 4789) / vxlan(7) / ethernet() / vlan(5) / V4 / TCP,
                   "eth:ip:udp:vxlan:eth:vlan:ip:tcp", IS_TCP4),
    "geneve": (1, ethernet() / V4 / udp(1, 6081) / geneve(7) / INNER, "eth:ip:udp:geneve:eth:ip:udp",
               (4, 5555, 6666, b"inner")),
    "geneve-options": (1, ethernet() / V6 / udp(1, 6081) / geneve(7, options=geneve_option(1, bytes(120)) * 2) / V4
                       / TCP, "eth:ipv6:udp:geneve:ip:tcp", IS_TCP4),
    "geneve-v6": (1, ethernet() / V4 / udp(1, 6081) / geneve(7, flags=0xC0) / V6 / UDP, "eth:ip:udp:geneve:ipv6:udp",
                  IS_UDP6),
    "erspan1": (1, ethernet() / V4 / gre(protocol=0x88BE) / INNER, "eth:ip:gre:erspan:eth:ip:udp",
                (4, 5555, 6666, b"inner")),
    "erspan2": (1, ethernet() / V4 / gre(sequence=5) / erspan2(7) / INNER, "eth:ip:gre:erspan:eth:ip:udp",
                (4, 5555, 6666, b"inner")),
    "erspan3": (1, ethernet() / V6 / gre(sequence=5) / erspan3(7) / INNER, "eth:ipv6:gre:erspan:eth:ip:udp",
                (4, 5555, 6666, b"inner")),
    "erspan3-subheader": (1, ethernet() / V4 / gre(sequence=5) / erspan3(7, platform=bytes(8)) / INNER,
                          "eth:ip:gre:erspan:eth:ip:udp", (4, 5555, 6666, b"inner")),
    "erspan3-v4": (1, ethernet() / V4 / gre(sequence=5) / erspan3(7, frame_type=2) / V4 / TCP,
                   "eth:ip:gre:erspan:ip:tcp", IS_TCP4),
    "erspan3-v6": (1, ethernet() / V4 / gre() / erspan3(7, frame_type=2) / V6 / TCP, "eth:ip:gre:erspan:ipv6:tcp",
                   IS_TCP6),
    "gre": (1, ethernet() / V4 / gre() / V4 / TCP, "eth:ip:gre:ip:tcp", IS_TCP4),
    "gre-v6": (1, ethernet() / V4 / gre() / V6 / TCP, "eth:ip:gre:ipv6:tcp", IS_TCP6),
    "gre-over-v6": (1, ethernet() / V6 / gre(key=5) / V4 / TCP, "eth:ipv6:gre:ip:tcp", IS_TCP4),
    "teb": (1, ethernet() / V4 / gre() / INNER, "eth:ip:gre:eth:ip:udp", (4, 5555, 6666, b"inner")),
    "ip-in-ip": (1, ethernet() / V4 / V4 / TCP, "eth:ip:ip:tcp", IS_TCP4),
    "6in4": (1, ethernet() / V4 / V6 / TCP, "eth:ip:ipv6:tcp", IS_TCP6),
    "4in6": (1, ethernet() / V6 / V4 / TCP, "eth:ipv6:ip:tcp", IS_TCP4),
    "6in6": (1, ethernet() / V6 / extension(60) / V6 / TCP, "eth:ipv6:ipv6.dstopts:ipv6:tcp", IS_TCP6),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_frames(name: str) -> None:
    link_type, frame, protocols, (version, source, destination, data) = WHOLE[name]
    batch = decode(frame, link_type=link_type)
    row = row_of(batch)
    assert (stack(batch), verdict(batch)) == (protocols, "ok")
    assert (row["ip_version"], row["source_port"], row["destination_port"]) == (version, source, destination)
    if version:
        assert (payload(batch), row["payload_length"]) == (data, len(data))
        assert row["flow_hash"] != 0
        ends = {layer.addresses for layer in frame.layers if layer.addresses}
        assert b"".join(row[end][12:] if version == 4 else row[end] for end in ("source", "destination")) in ends
    spans = [(protocol, length) for protocol, _, length in layers(batch) if "." not in protocol or "ipv6." in protocol]
    if "icmp" not in name:
        assert [protocol for protocol, _ in spans] == protocols.split(":")
        assert sum(length for _, length in spans) == len(frame) - len(data)


# name: (link type, frame, protocols, verdict)
STOPPED: dict[str, tuple[int, Frame | bytes, str, str]] = {
    "link-type": (147, b"whatever", "", "unsupported frame"),
    "ether-type": (1, ethernet() / raw(b"..", ether_type=0x88CC), "eth", "unsupported eth"),
    "vlan-ether-type": (1, ethernet() / vlan(5) / raw(b"..", ether_type=0x88CC), "eth:vlan", "unsupported vlan"),
    "stp": (1, ethernet() / llc() / bytes(35), "eth:llc", "unsupported llc"),
    "snap-oui": (1, ethernet() / snap(0x00000C) / raw(b"..", ether_type=0x2000), "eth:llc", "unsupported llc"),
    "null-family": (0, null(family=7) / b"..", "null", "unsupported null"),
    "fddi-smt": (10, fddi(control=0x41) / bytes(40), "fddi", "unsupported fddi"),
    "fddi-synchronous": (10, fddi(control=0xD0) / snap() / V4, "fddi", "unsupported fddi"),
    "fddi-too-short": (10, b"\x54" + bytes(11), "fddi", "malformed fddi"),
    "fddi-llc-too-short": (10, fddi() / b"\xaa\xaa", "fddi:llc", "malformed llc"),
    "token-ring-mac": (6, token_ring(frame_control=5) / bytes(40), "tr", "unsupported tr"),
    "token-ring-reserved": (6, token_ring(frame_control=0x80) / snap() / V4, "tr", "unsupported tr"),
    "token-ring-too-short": (6, b"\x10\x40" + bytes(11), "tr", "malformed tr"),
    "routing-too-short": (6, token_ring(routing=b"\x02"), "tr", "malformed tr"),
    "routing-beyond": (6, token_ring(routing=b"\x1e\x30") / b"\xaa\xaa\3", "tr", "malformed tr"),
    "raw-version": (101, b"\x50abc", "raw", "unsupported raw"),
    "raw-empty": (101, b"", "raw", "malformed raw"),
    "netlink": (113, sll(hardware=824) / V4, "sll", "unsupported sll"),
    "ip-protocol": (1, ethernet() / V4 / raw(b"..", protocol=89), "eth:ip", "unsupported ip"),
    "v4-has-no-extensions": (1, ethernet() / V4 / extension(60) / UDP, "eth:ip", "unsupported ip"),
    "esp": (1, ethernet() / V6 / extension(0) / raw(bytes(16), protocol=50), "eth:ipv6:ipv6.hopopts",
            "unsupported ipv6.hopopts"),
    "gre-type": (1, ethernet() / V4 / gre(protocol=0x880B) / b"..", "eth:ip:gre", "unsupported gre"),
    "v4-header-length": (1, ethernet() / ipv4(header_words=4) / UDP, "eth:ip", "malformed ip"),
    "v4-header-beyond-total": (1, ethernet() / ipv4(total_length=23, header_words=6) / UDP, "eth:ip", "malformed ip"),
    "v4-total-below-header": (1, ethernet() / ipv4(total_length=19) / UDP, "eth:ip", "malformed ip"),
    "v6-version": (1, ethernet() / raw(b"\x50" + bytes(60), ether_type=0x86DD), "eth:ipv6", "malformed ipv6"),
    "v4-in-v6-type": (1, ethernet(ether_type=0x86DD) / V4 / TCP, "eth:ipv6", "malformed ipv6"),
    "extension-beyond": (1, ethernet() / V6 / extension(60, length=9) / b"..", "eth:ipv6:ipv6.dstopts",
                         "malformed ipv6.dstopts"),
    "tcp-data-offset": (1, ethernet() / V4 / tcp(header_words=4) / b"..", "eth:ip:tcp", "malformed tcp"),
    "tcp-data-offset-beyond": (1, ethernet() / V4 / tcp(header_words=15) / b"..", "eth:ip:tcp", "malformed tcp"),
    "tcp-too-short": (1, ethernet() / V4 / raw(bytes(19), protocol=6), "eth:ip:tcp", "malformed tcp"),
    "udp-length": (1, ethernet() / V4 / udp(length=7), "eth:ip:udp", "malformed udp"),
    "udp-length-beyond": (1, ethernet() / V4 / udp(length=9), "eth:ip:udp", "malformed udp"),
    "icmp-too-short": (1, ethernet() / V4 / raw(b"\x08\0\0\0", protocol=1), "eth:ip:icmp", "malformed icmp"),
    "gre-too-short": (1, ethernet() / V4 / raw(b"\x20\0\x08\0", protocol=47), "eth:ip:gre", "malformed gre"),
    "geneve-type": (1, ethernet() / V4 / udp(1, 6081) / geneve(7) / raw(b"..", ether_type=0x880B), "eth:ip:udp:geneve",
                    "unsupported geneve"),
    "geneve-options-beyond": (1, ethernet() / V4 / udp(1, 6081) / b"\2\0\x65\x58\0\0\7\0....", "eth:ip:udp:geneve",
                              "malformed geneve"),
    "erspan-version": (1, ethernet() / V4 / gre(protocol=0x88BE, sequence=5) / b"\x30\0\0\7...." / INNER,
                       "eth:ip:gre:erspan", "unsupported erspan"),
    "erspan-frame-type": (1, ethernet() / V4 / gre(sequence=5) / erspan3(7, frame_type=7) / INNER, "eth:ip:gre:erspan",
                          "unsupported erspan"),
    "erspan2-too-short": (1, ethernet() / V4 / gre(protocol=0x88BE, sequence=5) / b"\x10\0\0\7...", "eth:ip:gre:erspan",
                          "malformed erspan"),
    "erspan3-too-short": (1, ethernet() / V4 / gre(protocol=0x22EB, sequence=5) / b"\x20\0\0\7....",
                          "eth:ip:gre:erspan", "malformed erspan"),
    "erspan-empty": (1, ethernet() / V4 / gre(protocol=0x22EB, sequence=5), "eth:ip:gre:erspan", "malformed erspan"),
    "ethernet-too-short": (1, b"\2" * 13, "eth", "malformed eth"),
    "empty": (1, b"", "eth", "malformed eth"),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_frames_that_stop(name: str) -> None:
    link_type, frame, protocols, said = STOPPED[name]
    batch = decode(frame, link_type=link_type)
    assert (stack(batch), verdict(batch)) == (protocols, said)


def test_a_version_that_contradicts_its_ether_type() -> None:
    """0x0800 in front of IPv6 is read as IPv6, as tshark does."""
    batch = decode(ethernet(ether_type=0x0800) / V6 / UDP)
    assert row_of(batch)["source"] == mapped("2001:db8::1")
    assert row_of(batch)["source_port"] == 1111


def test_link_addresses() -> None:
    """Linux cooked captures tell the sender only, and only when it has six bytes."""
    there, none = mac("02:00:00:00:00:01"), bytes(6)
    cooked = bytes(sll(address="02:00:00:00:00:01") / V4)
    frames = {1: ethernet("02:00:00:00:00:01", "02:00:00:00:00:02") / V4, 113: cooked, 276: sll2() / V4, 101: V4}
    seen = {link: row_of(decode(frame, link_type=link)) for link, frame in frames.items()}
    assert [seen[link]["eth_source"] for link in frames] == [there, there, there, none]
    assert [seen[link]["eth_destination"] for link in frames] == [mac("02:00:00:00:00:02"), none, none, none]
    rings = {10: fddi("02:00:00:00:00:01") / snap() / V4, 6: token_ring("02:00:00:00:00:01", routing=b"\2\0")}
    assert [row_of(decode(frame, link_type=link))["eth_source"] for link, frame in rings.items()] == [there, there]
    infiniband = cooked[:4] + b"\0\x14" + cooked[6:]
    assert row_of(decode(infiniband, link_type=113))["eth_source"] == none


def test_the_innermost_tag_counts() -> None:
    tags = vlan(7, tpid=0x88A8) / vlan(5, priority=6)
    batch = decode(ethernet() / tags / V4, ethernet() / vlan(0) / V4, ethernet() / V4)
    assert batch.packets["vlan"].tolist() == [5, 0, 0xFFFF]
    assert values(batch, "ieee8021ad.id") == [7]
    assert values(batch, "vlan.priority") == [6, 0]


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_keep_addresses_and_protocol(version: int) -> None:
    """The first has ports; the others have addresses, the protocol, and all their bytes as payload."""
    datagram = udp(1111, 2222) / bytes(range(100))
    packet = ipv4("192.0.2.1", "192.0.2.2") / datagram if version == 4 else V6 / datagram
    batch = decode_all(ethernet() / piece for piece in fragments(packet, 48))
    rows = [row_of(batch, n) for n in range(3)]
    assert [verdict(batch, n) for n in range(3)] == ["ok"] * 3
    assert [row["ip_protocol"] for row in rows] == [17] * 3
    assert {(row["source"], row["destination"]) for row in rows} == {(rows[0]["source"], rows[0]["destination"])}
    assert [(row["source_port"], row["destination_port"]) for row in rows] == [(1111, 2222), (0, 0), (0, 0)]
    assert [row["fragment_offset"] for row in rows] == [0, 48, 96]
    assert [row["flags"] & 1 for row in rows] == [1, 1, 0]
    assert [row["flags"] & 8 for row in rows] == [8, 0, 0]
    assert [row["transport_length"] for row in rows] == [8, 0, 0]
    assert [row["payload_length"] for row in rows] == [40, 48, 12]
    assert b"".join(payload(batch, n) for n in range(3)) == bytes(range(100))


def test_tcp_options_are_layers_and_fields() -> None:
    """RFC 9293 section 3.2, RFC 7323, RFC 2018; a wrong length makes an option unknown, and 0 ends them."""
    known = option(2, b"\x05\xb4") + option(4) + option(8, struct.pack("!II", 7, 9)) + b"\1" + option(3, b"\x0a")
    batch = decode(
        ethernet() / V4 / tcp(options=known),
        ethernet() / V4 / tcp(options=option(2, b"\1") + option(254, b"..") + option(3, b"\2")),
        ethernet() / V4 / tcp(options=b"\0" + option(3, b"\3")),
        ethernet() / V4 / tcp(options=b"\3\0" + option(3, b"\3")),
        ethernet() / V4 / tcp(options=b"\1\1\1\3"),
    )
    names = [[layer[0] for layer in layers(batch, n)][3:] for n in range(5)]
    kinds = ["tcp.options.mss", "tcp.options.sack_perm", "tcp.options.timestamp", "tcp.options.wscale"]
    assert names == [kinds, ["tcp.options.wscale"], [], [], []]
    assert values(batch, "tcp.options.mss_val") == [1460]
    assert values(batch, "tcp.options.wscale.shift") == [10, 2]
    assert values(batch, "tcp.options.timestamp.tsval") + values(batch, "tcp.options.timestamp.tsecr") == [7, 9]
    assert values(batch, "tcp.hdr_len") == [40, 32, 24, 28, 24]


@pytest.mark.parametrize("version", [4, 6])
def test_quoted_headers_are_layers_but_never_the_innermost(version: int) -> None:
    """RFC 792, RFC 4443: the row speaks of the ICMP message."""
    quoted = ipv4("198.51.100.1", "198.51.100.2") / udp(53, 54) if version == 4 else ipv6("::7", "::8") / udp(53, 54)
    message = V4 / icmp(3, 3) / quoted if version == 4 else V6 / icmpv6(1, 4) / quoted
    batch = decode(ethernet() / message / b"tail")
    row = row_of(batch)
    network, control = ("ip", "icmp") if version == 4 else ("ipv6", "icmpv6")
    assert (stack(batch), verdict(batch)) == (f"eth:{network}:{control}", "ok")
    assert row["source"] == mapped("192.0.2.1" if version == 4 else "2001:db8::1")
    assert (row["source_port"], row["destination_port"]) == ((3, 3) if version == 4 else (1, 4))
    assert row["payload_length"] == len(quoted) + 4
    assert [layer[0] for layer in layers(batch)] == ["eth", network, control, network, "udp"]
    assert values(batch, "udp.srcport") == [53]


def test_vxlan_needs_the_i_flag_and_its_port() -> None:
    """RFC 7348 section 5; reserved bits are ignored."""
    outer = ethernet() / V4
    batch = decode(
        outer / udp(1, 4789) / vxlan(7, flags=0) / INNER,
        outer / udp(1, 4789) / vxlan(7, flags=0xFF, reserved=0xFFFFFF) / INNER,
        outer / udp(4789, 1) / vxlan(7) / INNER,
        outer / udp(1, 8472) / vxlan(7) / INNER,
        outer / udp(1, 4789) / b"\x08short",
    )
    assert batch.packets["tunnel_id"].tolist() == [0xFFFFFFFF, 7, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF]
    assert [verdict(batch, n) for n in range(5)] == ["ok"] * 5
    assert [stack(batch, n) for n in (0, 2, 3, 4)] == ["eth:ip:udp"] * 4
    moved = decode(outer / udp(1, 8472) / vxlan(9) / INNER, outer / udp(1, 4789) / vxlan(9) / INNER, vxlan_port=8472)
    assert moved.packets["tunnel_count"].tolist() == [1, 0]


@pytest.mark.parametrize("flags", range(16))
def test_gre_with_every_subset_of_its_fields(flags: int) -> None:
    """RFC 2890 and, for routing, RFC 1701: checksum and offset are there when either C or R is set."""
    checksum, routing, key, sequence = (flags & bit for bit in (8, 4, 2, 1))
    header = struct.pack("!HH", flags << 12, 0x0800)
    header += b"\xca\xfe\0\0" if checksum or routing else b""
    header += struct.pack("!I", 0xDEADBEEF) if key else b""
    header += struct.pack("!I", 0x12345678) if sequence else b""
    header += struct.pack("!HBB8s", 0x0800, 4, 8, b"routing.") + bytes(4) if routing else b""
    batch = decode(ethernet() / V4 / raw(header, protocol=47) / ipv4("10.0.0.8", "10.0.0.9") / UDP)
    row = row_of(batch)
    assert (stack(batch), verdict(batch)) == ("eth:ip:gre:ip:udp", "ok")
    assert (row["source"], row["source_port"]) == (mapped("10.0.0.8"), 1111)
    assert row["tunnel_id"] == (0xDEADBEEF if key else 0xFFFFFFFF)
    tunnel = batch.tunnels[0]
    assert tunnel[["id", "sequence", "flags"]].item() == (row["tunnel_id"], 0x12345678 if sequence else 0, flags << 12)
    assert values(batch, "gre.key") == ([0xDEADBEEF] if key else [])
    assert values(batch, "gre.sequence_number") == ([0x12345678] if sequence else [])
    assert ("gre", 34, len(header)) in layers(batch)


LEVELS = {
    "vxlan": (lambda n: ethernet() / ipv4(f"10.0.{n}.1", f"10.0.{n}.2") / udp(n, 4789) / vxlan(n), "vxlan"),
    "gre": (lambda n: ethernet() / ipv4(f"10.0.{n}.1", f"10.0.{n}.2") / gre(key=n), "gre"),
    "geneve": (lambda n: ethernet() / ipv4(f"10.0.{n}.1", f"10.0.{n}.2") / udp(n, 6081) / geneve(n), "geneve"),
    "erspan": (lambda n: ethernet() / ipv4(f"10.0.{n}.1", f"10.0.{n}.2") / gre(sequence=1) / erspan2(n), "erspan"),
    "ip-in-ip": (lambda n: ipv4(f"10.0.{n}.1", f"10.0.{n}.2"), "ip-in-ip"),
}


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("depth", [1, 8, 9, 20])
def test_nesting_ends_at_eight_levels(kind: str, depth: int) -> None:
    build = LEVELS[kind][0]
    frame = ethernet() if kind == "ip-in-ip" else Frame()
    for n in range(1, depth + 1):
        frame = frame / build(n)
    inside = ipv4("10.0.99.1", "10.0.99.2") / udp(1234, 5678) / b"deep"
    batch = decode(ethernet() / V4, frame / (inside if kind == "ip-in-ip" else ethernet() / inside))
    row = row_of(batch, 1)
    crossed = min(depth, 8)
    assert row["tunnel_count"] == len(batch.tunnels) == crossed
    assert batch.tunnels["packet"].tolist() == [1] * crossed
    assert batch.tunnels["level"].tolist() == list(range(1, crossed + 1))
    assert batch.tunnels["kind"].tolist() == [TUNNEL_KINDS.index(kind)] * crossed
    assert [one.tobytes() for one in batch.tunnels["source"]] == [mapped(f"10.0.{n + 1}.1") for n in range(crossed)]
    if kind != "ip-in-ip":
        assert batch.tunnels["id"].tolist() == list(range(1, crossed + 1))
        assert row["tunnel_id"] == crossed
    if depth <= 8:
        assert verdict(batch, 1) == "ok"
        assert (row["source"], row["source_port"], payload(batch, 1)) == (mapped("10.0.99.1"), 1234, b"deep")
    else:
        stopped_at = {"ip-in-ip": "ip"}.get(kind, kind)
        assert verdict(batch, 1) == f"unsupported {stopped_at}"
        assert row["source"] == mapped("10.0.9.1")


def test_a_row_forgets_the_outer_layers() -> None:
    """Nothing of an outer UDP datagram, fragment or tag may show in a row that speaks of an inner ICMP message."""
    outer = ethernet() / vlan(5) / ipv4(dont_fragment=True, identification=77) / udp(1, 4789) / vxlan(3)
    row = row_of(decode(outer / ethernet() / ipv4(identification=0) / icmp(11, 1)))
    wanted = {"vlan": 0xFFFF, "source_port": 11, "destination_port": 1, "ip_id": 0, "flags": 8, "tcp_flags": 0}
    assert {name: row[name] for name in wanted} == wanted


def test_lengths_by_ip_and_not_by_what_was_captured() -> None:
    """Padding is no payload; what offloading left without a length is as long as the frame; a cut changes nothing."""
    whole = bytes(ethernet() / V4 / udp(1, 2) / bytes(1000))
    batch = decode(
        ethernet(minimum=60) / V4 / udp(1, 2) / b"abc",
        ethernet(trailer=b"FCS!") / V6 / tcp() / b"abcd",
        ethernet() / ipv4(total_length=0) / tcp() / bytes(500),
        ethernet() / ipv6(payload_length=0) / tcp() / bytes(600),
        Record(0, whole[:60], len(whole)),
        ethernet() / V4 / udp(length=0) / b"12345",
        ethernet() / V4 / udp(length=10) / b"12345",
    )
    assert batch.packets["payload_length"].tolist() == [3, 4, 500, 600, 1000, 5, 2]
    assert [verdict(batch, n) for n in range(7)] == ["ok"] * 7
    assert batch.packets["wire_length"].tolist()[4] == len(whole)


def test_inner_length_is_the_innermost_frame_on_the_wire() -> None:
    inner = ethernet(minimum=60) / V4 / udp(1, 2) / b"abc"
    tunnel = ethernet() / V4 / udp(1, 4789) / vxlan(7)
    cut = bytes(tunnel / ethernet() / V4 / udp(1, 2) / bytes(1000))
    batch = decode(
        inner,
        tunnel / inner,
        ethernet() / V4 / gre(key=1) / inner,
        ethernet() / V4 / V6 / udp(1, 2) / b"abc",
        Record(0, cut[:100], len(cut)),
        ethernet(minimum=60) / arp(),
    )
    assert batch.packets["inner_length"].tolist() == [60, 60, 60, 51, 14 + 20 + 8 + 1000, 60]


def test_paths_are_few_and_grow_only() -> None:
    frames = [frame for link, frame, *_ in WHOLE.values() if link == 1]
    batch = decode_all(frames * 3)
    count = len(batch.paths)
    assert batch.paths[0] == ()
    assert len({batch.paths[n] for n in range(count)}) == count
    assert (batch.packets["path"][: len(frames)] == batch.packets["path"][len(frames) : 2 * len(frames)]).all()
    assert np.unique(batch.packets["path"]).size < 50
    with pytest.raises(IndexError):
        batch.paths[count]
