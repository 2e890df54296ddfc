"""Turn planned packets into pcap records, tens of thousands at a time, with numpy only.

A block of records is assembled on a canvas that is already full of text: what no header overwrites is payload. Packets
with the same headers form one structured array, and each of its rows is put on the canvas with one copy. Because the
text repeats with a known period, its checksum over any range is the difference of two prefix sums, so that IPv4, TCP,
UDP and ICMP checksums are all correct and no payload byte is ever touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ICMP, TCP, UDP = 1, 6, 17
NONE = 0xFFFFFFFF
"""No VNI; no timestamp to echo."""

EPOCH = 1_704_067_200 * 1_000_000_000
"""Start of every capture: 2024-01-01 00:00:00 UTC, in ns."""

ETHERNET_BYTES, IPV4_BYTES, IPV6_BYTES = 14, 20, 40
TRANSPORT_BYTES = np.zeros(256, np.uint16)
TRANSPORT_BYTES[[ICMP, TCP, UDP]] = 8, 20, 8

VXLAN_PORT = 4789
BLOCK_PACKETS = 1 << 16
TEXT_BYTES = 1 << 20


class Options(IntEnum):
    """Which TCP options a segment carries."""

    NONE = 0
    TIMESTAMPS = 1
    SYN_TIMESTAMPS = 2
    SYN_PLAIN = 3


OPTIONS_BYTES = np.array([0, 12, 20, 12], np.uint16)


class Head(IntEnum):
    """What a payload starts with. The rest of it is text."""

    NONE = 0
    TLS_RECORD = 1
    HTTP_REQUEST = 2
    HTTP_RESPONSE = 3
    DNS_QUERY = 4
    DNS_RESPONSE = 5


_QUESTION = b"\x07example\x03com\x00\x00\x01\x00\x01"
_ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc6\x33\x64\x07"

# (bytes before, width of the variable part, bytes after). The variable part of TLS and of the HTTP response is the
# length of what follows, so that every segment is a whole message; elsewhere it is the number of the flow. Each head
# has an even length: the text behind it then stays aligned to the 16-bit words of the checksum.
HEADS: dict[Head, tuple[bytes, int, bytes]] = {
    Head.NONE: (b"", 0, b""),
    Head.TLS_RECORD: (b"\x17\x03\x03", 2, b"\x00"),
    Head.HTTP_REQUEST: (b"GET /page/", 4, b".html HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n\r\n"),
    Head.HTTP_RESPONSE: (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", 5, b"\r\n\r\n"),
    Head.DNS_QUERY: (b"\x2a\x2a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08host", 4, _QUESTION),
    Head.DNS_RESPONSE: (b"\x2a\x2a\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x08host", 4, _QUESTION + _ANSWER),
}
HEAD_BYTES = np.array([len(before) + width + len(after) for before, width, after in HEADS.values()], np.uint16)


@dataclass
class Flows:
    """The planned flows, one row each. Addresses are 16 bytes, IPv4 mapped; `source` is the originator."""

    source: Array
    destination: Array
    source_port: Array
    destination_port: Array
    protocol: Array
    is_ipv6: Array
    vni: Array
    initial_sequence: Array
    """uint32[n, 2]: originator, responder."""

    def five_tuple_hash(self) -> Array:
        """A hash of each five-tuple, the same for both directions, as a VXLAN endpoint makes for its source port."""
        source, destination = (side.view(np.uint64).astype(np.uint64) for side in (self.source, self.destination))
        mixed = (source ^ destination).sum(axis=1, dtype=np.uint64)
        mixed ^= (self.source_port.astype(np.uint64) ^ self.destination_port) << np.uint64(16) | self.protocol
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
        return np.asarray(mixed >> np.uint64(40))


@dataclass
class Packets:
    """The planned packets, flow after flow and in order of time within each; `starts[f]` is the first of flow `f`."""

    starts: Array
    flow: Array
    time: Array
    """ns since the epoch."""
    reverse: Array
    """True where the responder sends."""
    flags: Array
    payload: Array
    """Payload length in bytes."""
    options: Array
    head: Array
    sequence: Array
    acknowledgment: Array
    echo: Array
    """ms since the start of the capture at which the timestamp to be echoed was sent, NONE for nothing to echo."""


def frame_bytes(flows: Flows, packets: Packets) -> Array:
    """Wire length in bytes of every planned packet, without any outer headers."""
    transport = ETHERNET_BYTES + np.where(flows.is_ipv6, IPV6_BYTES, IPV4_BYTES) + TRANSPORT_BYTES[flows.protocol]
    length: Array = transport.astype(np.uint16)[packets.flow]
    length += packets.payload
    length += OPTIONS_BYTES[packets.options]
    return length


_RECORD = [("seconds", "<u4"), ("fraction", "<u4"), ("captured", "<u4"), ("original", "<u4")]
_ETHERNET = [("eth_destination", "u1", 6), ("eth_source", "u1", 6), ("ether_type", ">u2")]
_IPV4 = [
    ("version", "u1"), ("tos", "u1"), ("total_length", ">u2"), ("id", ">u2"), ("fragment", ">u2"),
    ("ttl", "u1"), ("ip_protocol", "u1"), ("header_checksum", "<u2"), ("source", "u1", 4), ("destination", "u1", 4),
]  # fmt: skip
_IPV6 = [
    ("version", ">u4"), ("payload_length", ">u2"), ("ip_protocol", "u1"), ("ttl", "u1"),
    ("source", "u1", 16), ("destination", "u1", 16),
]  # fmt: skip
_TCP = [
    ("source_port", ">u2"), ("destination_port", ">u2"), ("sequence", ">u4"), ("acknowledgment", ">u4"),
    ("data_offset", "u1"), ("flags", "u1"), ("window", ">u2"), ("checksum", "<u2"), ("urgent", ">u2"),
]  # fmt: skip
_UDP = [("source_port", ">u2"), ("destination_port", ">u2"), ("length", ">u2"), ("checksum", "<u2")]
_ICMP = [("type", "u1"), ("code", "u1"), ("checksum", "<u2"), ("identifier", ">u2"), ("sequence", ">u2")]
_VXLAN = [("vxlan_flags", "u1"), ("vxlan_reserved", "u1", 3), ("vni", ">u4")]
_TIMESTAMPS = [("timestamp", ">u4"), ("timestamp_echo", ">u4")]
_OPTIONS: dict[Options, list[Any]] = {
    Options.NONE: [],
    Options.TIMESTAMPS: [("options_lead", "u1", 4), *_TIMESTAMPS],
    Options.SYN_TIMESTAMPS: [("options_lead", "u1", 8), *_TIMESTAMPS, ("options_tail", "u1", 4)],
    Options.SYN_PLAIN: [("options_lead", "u1", 12)],
}
_TRANSPORT: dict[int, list[Any]] = {TCP: _TCP, UDP: _UDP, ICMP: _ICMP}
_OUTER = [(f"outer_{name}", *rest) for name, *rest in (*_ETHERNET, *_IPV4, *_UDP)] + _VXLAN
_OUTER_BYTES = 50


def _layout(tunnelled: bool, is_ipv6: bool, protocol: int, options: Options, head: Head) -> np.dtype[Any]:
    """The record header and every protocol header of one kind of packet, as one packed structure."""
    before, width, after = HEADS[head]
    parts = [("head_before", "u1", len(before)), ("head_variable", "u1", width), ("head_after", "u1", len(after))]
    return np.dtype(
        _RECORD
        + (_OUTER if tunnelled else [])
        + _ETHERNET
        + (_IPV6 if is_ipv6 else _IPV4)
        + _TRANSPORT[protocol]
        + _OPTIONS[options]
        + (parts if head else [])
    )


def _word_sum(rows: Array, start: int, end: int) -> Array:
    """Sum of the 16-bit words in bytes `start` to `end` of each row, little-endian.

    The ones' complement sum does not depend on the byte order (RFC 1071), so the fast native one is used throughout.
    """
    words = rows.view("<u2").reshape(len(rows), -1)[:, start // 2 : end // 2]
    return np.asarray(words.sum(axis=1, dtype=np.uint64))


def _checksum(total: Array) -> Array:
    """Fold a sum of words to its ones' complement."""
    for _ in range(4):
        total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    return (total ^ np.uint64(0xFFFF)).astype(np.uint16)


def _digits(values: Array, width: int) -> Array:
    """Decimal digits of `values`, as ASCII, padded with zeros."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


class Text:
    """The payload: lower-case letters that repeat every `TEXT_BYTES` bytes, and their prefix sums."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the letters, a to x: without y no text holds "play", by which tshark would take it for DirectPlay."""
        self.pattern = rng.integers(ord("a"), ord("x") + 1, TEXT_BYTES, np.uint8)
        even = self.pattern.astype(np.uint64)
        odd = even.copy()
        even[1::2] = 0
        odd[0::2] = 0
        self._prefix = np.zeros((2, TEXT_BYTES + 1), np.uint64)
        np.cumsum(even, out=self._prefix[0, 1:])
        np.cumsum(odd, out=self._prefix[1, 1:])

    def _before(self, parity: Array, position: Array) -> Array:
        whole, rest = np.divmod(position, TEXT_BYTES)
        total: Array = whole.astype(np.uint64) * self._prefix[parity, -1] + self._prefix[parity, rest]
        return total

    def word_sum(self, position: Array, length: Array) -> Array:
        """Sum of the little-endian words of `length` bytes of canvas from `position` on, the last padded with 0."""
        first = position & 1
        end = position + length
        low = self._before(first, end) - self._before(first, position)
        high = self._before(1 - first, end) - self._before(1 - first, position)
        return np.asarray(low + (high << np.uint64(8)))


class Assembler:
    """Writes planned packets as pcap records, in blocks."""

    def __init__(self, flows: Flows, packets: Packets, rng: np.random.Generator, fraction_ns: int) -> None:
        """Take a plan; `fraction_ns` is the unit of a record's fraction: 1 ns, or 1000 ns for a capture in µs."""
        self._flows = flows
        self._packets = packets
        self._lengths = frame_bytes(flows, packets)
        self._text = Text(rng)
        self._fraction_ns = fraction_ns
        self._timestamp_base = rng.integers(0, 1 << 32, (len(flows.vni), 2), np.uint32)
        self._tunnelled = bool(len(flows.vni)) and flows.vni[0] != NONE
        self._outer_port = (49152 + (flows.five_tuple_hash() & np.uint64(0x3FFF))).astype(np.uint16)

    def blocks(self, order: Array) -> Iterator[Array]:
        """The records of packets `order`, as blocks of bytes, each valid until the next is asked for."""
        canvas = np.empty(0, np.uint8)
        for start in range(0, len(order), BLOCK_PACKETS):
            chosen = order[start : start + BLOCK_PACKETS]
            captured = self._lengths[chosen].astype(np.int64) + (_OUTER_BYTES if self._tunnelled else 0)
            ends = np.cumsum(captured + 16)
            size = int(ends[-1])
            if len(canvas) < size:
                canvas = np.empty(size + TEXT_BYTES - size % TEXT_BYTES, np.uint8)
            canvas.reshape(-1, TEXT_BYTES)[:] = self._text.pattern
            self._assemble(canvas, chosen, captured, ends - captured - 16)
            yield canvas[:size]

    def _assemble(self, canvas: Array, chosen: Array, captured: Array, offsets: Array) -> None:
        """Put the headers of packets `chosen` on the canvas, one kind of packet after the other."""
        flows, packets = self._flows, self._packets
        flow = packets.flow[chosen]
        kind = flows.is_ipv6[flow] | flows.protocol[flow].astype(np.uint32) << 1
        kind = kind | packets.options[chosen].astype(np.uint32) << 9 | packets.head[chosen].astype(np.uint32) << 11
        by_kind = np.argsort(kind, kind="stable")
        kinds, firsts = np.unique(kind[by_kind], return_index=True)
        for value, members in zip(kinds.tolist(), np.split(by_kind, firsts[1:]), strict=True):
            is_ipv6, protocol, options, head = bool(value & 1), value >> 1 & 0xFF, value >> 9 & 3, value >> 11
            layout = _layout(self._tunnelled, is_ipv6, protocol, Options(options), Head(head))
            rows = np.zeros(len(members), layout)
            self._fill(rows, chosen[members], captured[members], offsets[members], Options(options), Head(head))
            window = np.ndarray(
                (len(canvas) - layout.itemsize + 1,), np.dtype(f"V{layout.itemsize}"), buffer=canvas.data, strides=(1,)
            )
            window[offsets[members]] = rows.view(window.dtype)

    def _fill(self, rows: Array, chosen: Array, captured: Array, offsets: Array, options: Options, head: Head) -> None:
        """Fill the headers of packets of one kind, the checksums last."""
        flows, packets = self._flows, self._packets
        flow, reverse = packets.flow[chosen], packets.reverse[chosen]
        names = rows.dtype.names or ()
        start = {name: rows.dtype.fields[name][1] for name in names} if rows.dtype.fields else {}

        rows["seconds"], rest = np.divmod(packets.time[chosen], 1_000_000_000)
        rows["fraction"] = rest // self._fraction_ns
        rows["captured"] = rows["original"] = captured
        if self._tunnelled:
            self._fill_outer(rows, flow, captured, start)

        backward = reverse[:, None]
        source = np.where(backward, flows.destination[flow], flows.source[flow])
        destination = np.where(backward, flows.source[flow], flows.destination[flow])
        rows["eth_source"][:, 0] = rows["eth_destination"][:, 0] = 0x02
        rows["eth_source"][:, 3:] = source[:, 13:]
        rows["eth_destination"][:, 3:] = destination[:, 13:]
        length = self._lengths[chosen] - ETHERNET_BYTES
        protocol = flows.protocol[flow[0]]
        rows["ip_protocol"] = protocol
        rows["ttl"] = np.where(reverse, 57, 64)
        if "total_length" in names:
            rows["ether_type"], rows["version"], rows["fragment"] = 0x0800, 0x45, 0x4000
            rows["total_length"] = length
            rows["id"] = flow.astype(np.int64) * 7919 + chosen & 0xFFFF
            rows["source"], rows["destination"] = source[:, 12:], destination[:, 12:]
            ip = start["version"]
            rows["header_checksum"] = _checksum(_word_sum(rows, ip, ip + IPV4_BYTES))
            transport_bytes = length - IPV4_BYTES
        else:
            rows["ether_type"], rows["version"] = 0x86DD, 0x60000000
            transport_bytes = length - IPV6_BYTES
            rows["payload_length"] = transport_bytes
            rows["source"], rows["destination"] = source, destination

        if protocol == ICMP:
            rows["type"] = np.where(reverse, 0, 8)
            rows["identifier"] = flow & 0xFFFF
            rows["sequence"] = (chosen - packets.starts[flow]) // 2 + 1
            transport = start["type"]
        else:
            rows["source_port"] = np.where(reverse, flows.destination_port[flow], flows.source_port[flow])
            rows["destination_port"] = np.where(reverse, flows.source_port[flow], flows.destination_port[flow])
            transport = start["source_port"]
        if protocol == TCP:
            self._fill_tcp(rows, chosen, flow, reverse, options)
        elif protocol == UDP:
            rows["length"] = transport_bytes
        if head:
            self._fill_head(rows, packets.payload[chosen].astype(np.int64), flow, head)

        size = rows.dtype.itemsize
        total = _word_sum(rows, transport, size)
        total += self._text.word_sum(offsets + size, captured + 16 - size)
        if protocol != ICMP:
            # The pseudo header (RFC 9293, RFC 8200): addresses, length, protocol. The last two in network byte order.
            total += _word_sum(rows, start["source"], start["source_port"])
            total += transport_bytes.byteswap().astype(np.uint64) + np.uint64(int(protocol) << 8)
        rows["checksum"] = _checksum(total)
        if protocol == UDP:
            rows["checksum"][rows["checksum"] == 0] = 0xFFFF

    def _fill_tcp(self, rows: Array, chosen: Array, flow: Array, reverse: Array, options: Options) -> None:
        packets = self._packets
        rows["sequence"], rows["acknowledgment"] = packets.sequence[chosen], packets.acknowledgment[chosen]
        rows["flags"] = packets.flags[chosen]
        rows["data_offset"] = 20 + int(OPTIONS_BYTES[options]) << 2
        rows["window"] = np.where(reverse, 501, 1024)
        if "timestamp" in (rows.dtype.names or ()):
            side = reverse.astype(np.intp)
            sent = ((packets.time[chosen] - EPOCH) // 1_000_000).astype(np.uint32)
            rows["timestamp"] = self._timestamp_base[flow, side] + sent
            echo = packets.echo[chosen]
            rows["timestamp_echo"] = np.where(echo == NONE, 0, self._timestamp_base[flow, 1 - side] + echo)
        segment = (1440 if self._flows.is_ipv6[flow[0]] else 1460).to_bytes(2, "big")
        lead, tail = {
            Options.NONE: (b"", b""),
            Options.TIMESTAMPS: (b"\x01\x01\x08\x0a", b""),
            Options.SYN_TIMESTAMPS: (b"\x02\x04" + segment + b"\x04\x02\x08\x0a", b"\x01\x03\x03\x07"),
            Options.SYN_PLAIN: (b"\x02\x04" + segment + b"\x01\x03\x03\x08\x01\x01\x04\x02", b""),
        }[options]
        for name, value in (("options_lead", lead), ("options_tail", tail)):
            if value:
                rows[name] = np.frombuffer(value, np.uint8)

    @staticmethod
    def _fill_head(rows: Array, payload: Array, flow: Array, head: Head) -> None:
        before, width, after = HEADS[head]
        rows["head_before"] = np.frombuffer(before, np.uint8)
        rows["head_after"] = np.frombuffer(after, np.uint8)
        if head is Head.TLS_RECORD:
            rows["head_variable"] = (payload - 5).astype(">u2").view(np.uint8).reshape(-1, 2)
        elif head is Head.HTTP_RESPONSE:
            rows["head_variable"] = _digits(payload - int(HEAD_BYTES[head]), width)
        else:
            rows["head_variable"] = _digits(flow.astype(np.int64), width)

    def _fill_outer(self, rows: Array, flow: Array, captured: Array, start: dict[str, int]) -> None:
        """The mirror's own headers: Ethernet, IPv4, UDP 4789, VXLAN. The UDP checksum is 0, as RFC 7348 wants it."""
        rows["outer_eth_destination"] = np.frombuffer(b"\x02\x00\x00\x00\x01\x03", np.uint8)
        rows["outer_eth_source"] = np.frombuffer(b"\x02\x00\x00\x00\x01\x02", np.uint8)
        rows["outer_ether_type"], rows["outer_version"], rows["outer_ttl"] = 0x0800, 0x45, 64
        rows["outer_total_length"], rows["outer_length"] = captured - 14, captured - 34
        rows["outer_id"] = np.arange(len(rows)) & 0xFFFF
        rows["outer_ip_protocol"] = UDP
        rows["outer_source"] = np.frombuffer(b"\x0a\x00\x01\x02", np.uint8)
        rows["outer_destination"] = np.frombuffer(b"\x0a\x00\x01\x03", np.uint8)
        ip = start["outer_version"]
        rows["outer_header_checksum"] = _checksum(_word_sum(rows, ip, ip + IPV4_BYTES))
        rows["outer_source_port"], rows["outer_destination_port"] = self._outer_port[flow], VXLAN_PORT
        rows["vxlan_flags"] = 0x08
        rows["vni"] = self._flows.vni[flow] << np.uint32(8)
