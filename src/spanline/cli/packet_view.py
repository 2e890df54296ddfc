"""Frames on a terminal, a line each, much as tshark writes them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy.typing as npt
from numpy import void

from spanline.arrow import address_text
from spanline.batch import PROTOCOLS, Batch
from spanline.cli.protocols import ICMP, ICMPV6, TCP, WITH_PORTS, icmp_name, protocol_name
from spanline.cli.text import UNKNOWN, time_of_day
from spanline.schema import NO_TUNNEL_ID, VERDICTS
from spanline.stages.packet_list import HAS_TRANSPORT

_BAD_CHECKSUM, _MORE_FRAGMENTS = 4, 1
_FLAG_NAMES = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE", "Reserved", "Reserved", "Reserved")


class _Frame(NamedTuple):
    """Columns of schema.PACKET as Python numbers."""

    timestamp: int
    path: int
    wire_length: int
    tunnel_id: int
    ip_version: int
    ip_protocol: int
    source_port: int
    destination_port: int
    tcp_flags: int
    tcp_seq: int
    tcp_ack: int
    tcp_window: int
    transport_length: int
    payload_length: int
    payload_buffer: int
    fragment_offset: int
    ip_id: int
    flags: int
    verdict: int
    verdict_layer: int


_address = lru_cache(1 << 16)(address_text)


@lru_cache(1 << 12)
def flags_text(flags: int) -> str:
    """[SYN, ACK], as tshark writes TCP flags."""
    return f"[{', '.join(name for bit, name in enumerate(_FLAG_NAMES) if flags >> bit & 1) or '<None>'}]"


@lru_cache(1 << 10)
def _clock(second: int) -> str:
    return time_of_day(second * 10**9, 0)


class Lines:
    """Frames as lines in columns, which grow with what stands in them.

    digits  of the second, after the point
    """

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._number = self._length = 5
        self._ends, self._protocol, self._tunnel = 0, 4, 0

    def of(self, batch: Batch, count: int) -> Iterator[str]:
        """A line for each of the first `count` frames of `batch`."""
        packets = batch.packets[:count]
        names = {path: (batch.paths[path] or (UNKNOWN,))[-1] for path in set(packets["path"].tolist())}
        if not self._tunnel and bool((packets["tunnel_id"] != NO_TUNNEL_ID).any()):
            self._tunnel = 1
        rows = map(_Frame._make, zip(*(packets[name].tolist() for name in _Frame._fields), strict=True))
        numbers = batch.numbers[:count].tolist()
        for number, ends, frame in zip(numbers, _ends(packets), rows, strict=True):
            yield self._line(str(number), ends, frame, _protocol(frame, names)).rstrip()

    def _line(self, number: str, ends: tuple[str, str], frame: _Frame, protocol: str) -> str:
        second, fraction = divmod(frame.timestamp, 10**9)
        time = f"{_clock(second)}.{f'{fraction:09d}'[: self._digits]}"
        length = str(frame.wire_length)
        self._number, self._length = max(self._number, len(number)), max(self._length, len(length))
        self._ends = max(self._ends, len(ends[0]), len(ends[1]))
        self._protocol = max(self._protocol, len(protocol))
        tunnel = ""
        if self._tunnel:
            name = UNKNOWN if frame.tunnel_id == NO_TUNNEL_ID else str(frame.tunnel_id)
            self._tunnel = max(self._tunnel, len(name))
            tunnel = f"{name:>{self._tunnel}} "
        return (
            f"{number:>{self._number}} {time} {ends[0]:<{self._ends}} → {ends[1]:<{self._ends}} "
            f"{protocol:<{self._protocol}} {tunnel}{length:>{self._length}} {_information(frame)}"
        )


def _ends(packets: npt.NDArray[void]) -> Iterator[tuple[str, str]]:
    """Source and destination of each frame: IP addresses, MACs where there is no IP, else nothing."""
    source, destination = packets["source"].tobytes(), packets["destination"].tobytes()
    macs = packets["eth_source"].tobytes(), packets["eth_destination"].tobytes()
    for n, version in enumerate(packets["ip_version"].tolist()):
        if version:
            at = 16 * n
            yield _address(source[at : at + 16]), _address(destination[at : at + 16])
        else:
            pair = [octets[6 * n : 6 * n + 6] for octets in macs]
            yield (pair[0].hex(":"), pair[1].hex(":")) if any(pair[0] + pair[1]) else (UNKNOWN, UNKNOWN)


def _protocol(frame: _Frame, names: dict[int, str]) -> str:
    """The innermost protocol that was read; behind a bare IP header, what it says comes next."""
    name = names[frame.path]
    known = frame.flags & HAS_TRANSPORT or not frame.ip_version or not name.startswith("ip")
    return name if known else protocol_name(frame.ip_protocol)


def _information(frame: _Frame) -> str:
    text = ""
    if frame.flags & HAS_TRANSPORT:
        text = _transport(frame)
    elif (frame.fragment_offset or frame.flags & _MORE_FRAGMENTS) and not frame.payload_buffer:
        text = f"Fragment Offset={frame.fragment_offset} ID=0x{frame.ip_id:04x} Len={frame.payload_length}"
    if frame.flags & _BAD_CHECKSUM:
        text += " [bad checksum]"
    if frame.verdict:
        layer = PROTOCOLS[frame.verdict_layer]
        text += f" [{VERDICTS[frame.verdict]}{f' at {layer}' if layer else ''}]"
    return text.lstrip()


def _transport(frame: _Frame) -> str:
    protocol = frame.ip_protocol
    if protocol in (ICMP, ICMPV6):
        return f"{icmp_name(protocol, frame.source_port)}, code {frame.destination_port}"
    if protocol not in WITH_PORTS:
        return ""
    ports = f"{frame.source_port} → {frame.destination_port}"
    if not frame.transport_length:  # the rest of the header was cut off, or makes no sense
        return ports
    if protocol != TCP:
        return f"{ports} Len={frame.payload_length}"
    acknowledged = f" Ack={frame.tcp_ack}" if frame.tcp_flags & 0x10 else ""
    window = f"Win={frame.tcp_window} Len={frame.payload_length}"
    return f"{ports} {flags_text(frame.tcp_flags)} Seq={frame.tcp_seq}{acknowledged} {window}"
