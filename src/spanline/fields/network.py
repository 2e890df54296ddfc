"""Fields of IPv4, IPv6 and its extension headers, ICMP and ICMPv6."""

from __future__ import annotations

import numpy as np

from spanline.batch import Batch
from spanline.fields.headers import At, When, address, either, flag, number
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows
from spanline.fields.value_names import DSCPS, ECNS, ICMPV6_TYPES, IP_PROTOCOLS, YES

_IP_SOURCE = address("ip.src", Kind.IPV4, "ip", 12, "Source Address")
_IP_DESTINATION = address("ip.dst", Kind.IPV4, "ip", 16, "Destination Address")
_IPV6_SOURCE = address("ipv6.src", Kind.IPV6, "ipv6", 8, "Source Address")
_IPV6_DESTINATION = address("ipv6.dst", Kind.IPV6, "ipv6", 24, "Destination Address")
_WITH_IDENT = When(0, 1, frozenset({0, 8, 13, 14, 15, 16, 17, 18}))
_ECHO6 = When(0, 1, range(128, 130))

_LENGTH = At("ip", 2, 2)


def _total_length(batch: Batch, rows: Rows | None) -> Occurrences:
    """Where the sender's kernel had left 0, for its hardware to fill in, what there is counts."""
    found = _LENGTH(batch, rows)
    assert not isinstance(found.values, Octets)
    unset = found.values == 0
    if np.any(unset):
        headers = batch.headers("ip", rows)
        headers = headers[headers["length"] >= 4][unset]
        frames = batch.packets[headers["packet"]]
        before = headers["offset"].astype(np.int64) - frames["frame_offset"]
        left = np.where(headers["buffer"] == 0, frames["wire_length"] - before, headers["size"])
        found.values[unset] = np.maximum(left, 0)
    return found


def _versions(batch: Batch, rows: Rows | None) -> Occurrences:
    """tshark gives IPv6 headers an ip.version, too."""
    every = [At(name, 0, 1, 0xF0)(batch, rows) for name in ("ip", "ipv6")]
    headers = np.concatenate([batch.headers(name, rows) for name in ("ip", "ipv6")])
    headers = headers[headers["length"] > 0]
    order = np.lexsort((headers["offset"], headers["buffer"], headers["packet"]))
    packet = np.concatenate([one.packet for one in every])[order]
    layer = np.concatenate([one.layer for one in every])[order]
    return Occurrences(packet, layer, np.concatenate([one.values for one in every])[order])


FIELDS = (
    Field("ip.version", Kind.UNSIGNED, "Version", _versions),
    number("ip.hdr_len", "ip", 0, 1, "Header Length", mask=0x0F, factor=4),
    number("ip.dsfield", "ip", 1, 1, "Differentiated Services Field", digits=2),
    number("ip.dsfield.dscp", "ip", 1, 1, "Differentiated Services Codepoint", mask=0xFC, texts=DSCPS),
    number("ip.dsfield.ecn", "ip", 1, 1, "Explicit Congestion Notification", mask=0x03, texts=ECNS),
    Field("ip.len", Kind.UNSIGNED, "Total Length", _total_length),
    number("ip.id", "ip", 4, 2, "Identification", digits=4),
    number("ip.flags", "ip", 6, 1, "Flags", mask=0xE0, digits=2),
    flag("ip.flags.rb", "ip", 6, 1, 0x80, "Reserved bit"),
    flag("ip.flags.df", "ip", 6, 1, 0x40, "Don't fragment"),
    flag("ip.flags.mf", "ip", 6, 1, 0x20, "More fragments"),
    number("ip.frag_offset", "ip", 6, 2, "Fragment Offset", mask=0x1FFF),
    number("ip.ttl", "ip", 8, 1, "Time to Live"),
    number("ip.proto", "ip", 9, 1, "Protocol", texts=IP_PROTOCOLS),
    number("ip.checksum", "ip", 10, 2, "Header Checksum", digits=4),
    _IP_SOURCE,
    _IP_DESTINATION,
    either("ip.addr", _IP_SOURCE, _IP_DESTINATION, "Source or Destination Address"),
    number("ipv6.version", "ipv6", 0, 1, "Version", mask=0xF0),
    number("ipv6.tclass", "ipv6", 0, 4, "Traffic Class", mask=0x0FF00000, digits=8),
    number("ipv6.tclass.dscp", "ipv6", 0, 4, "Differentiated Services Codepoint", mask=0x0FC00000, texts=DSCPS),
    number("ipv6.tclass.ecn", "ipv6", 0, 4, "Explicit Congestion Notification", mask=0x00300000, texts=ECNS),
    number("ipv6.flow", "ipv6", 0, 4, "Flow Label", mask=0x000FFFFF, digits=6),
    number("ipv6.plen", "ipv6", 4, 2, "Payload Length"),
    number("ipv6.nxt", "ipv6", 6, 1, "Next Header", texts=IP_PROTOCOLS),
    number("ipv6.hlim", "ipv6", 7, 1, "Hop Limit"),
    _IPV6_SOURCE,
    _IPV6_DESTINATION,
    either("ipv6.addr", _IPV6_SOURCE, _IPV6_DESTINATION, "Source or Destination Address"),
    number("ipv6.hopopts.nxt", "ipv6.hopopts", 0, 1, "Next Header", texts=IP_PROTOCOLS),
    number("ipv6.routing.nxt", "ipv6.routing", 0, 1, "Next Header", texts=IP_PROTOCOLS),
    number("ipv6.routing.type", "ipv6.routing", 2, 1, "Type"),
    number("ipv6.routing.segleft", "ipv6.routing", 3, 1, "Segments Left"),
    number("ipv6.dstopts.nxt", "ipv6.dstopts", 0, 1, "Next Header", texts=IP_PROTOCOLS),
    number("ipv6.fraghdr.nxt", "ipv6.fraghdr", 0, 1, "Next header", texts=IP_PROTOCOLS),
    number("ipv6.fraghdr.offset", "ipv6.fraghdr", 2, 2, "Offset", mask=0xFFF8),
    flag("ipv6.fraghdr.more", "ipv6.fraghdr", 2, 2, 0x0001, "More Fragments", texts=YES),
    number("ipv6.fraghdr.ident", "ipv6.fraghdr", 4, 4, "Identification", digits=8),
    number("ah.next_header", "ah", 0, 1, "Next header", texts=IP_PROTOCOLS),
    number("ah.length", "ah", 1, 1, "Length"),
    number("ah.spi", "ah", 4, 4, "AH SPI", digits=8),
    number("ah.sequence", "ah", 8, 4, "AH Sequence"),
    number("icmp.type", "icmp", 0, 1, "Type"),
    number("icmp.code", "icmp", 1, 1, "Code"),
    number("icmp.checksum", "icmp", 2, 2, "Checksum", digits=4),
    number("icmp.ident", "icmp", 4, 2, "Identifier (BE)", when=_WITH_IDENT),
    number("icmp.seq", "icmp", 6, 2, "Sequence Number (BE)", when=_WITH_IDENT),
    number("icmpv6.type", "icmpv6", 0, 1, "Type", texts=ICMPV6_TYPES),
    number("icmpv6.code", "icmpv6", 1, 1, "Code"),
    number("icmpv6.checksum", "icmpv6", 2, 2, "Checksum", digits=4),
    number("icmpv6.echo.identifier", "icmpv6", 4, 2, "Identifier", digits=4, when=_ECHO6),
    number("icmpv6.echo.sequence_number", "icmpv6", 6, 2, "Sequence", when=_ECHO6),
)
