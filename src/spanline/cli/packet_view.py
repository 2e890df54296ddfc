"""Frames on a terminal, a line each, much as tshark writes them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

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
_COLUMNS = (
    "timestamp", "path", "wire_length", "tunnel_id", "ip_version", "ip_protocol", "source_port", "destination_port",
    "tcp_flags", "tcp_seq", "tcp_ack", "tcp_window", "payload_length", "fragment_offset", "ip_id", "flags", "verdict",
    "verdict_layer",
)  # fmt: skip

_address = lru_cache(1 << 16)(address_text)


@lru_cache(1 << 12)
def flags_text(flags: int) -> str:
    """[SYN, ACK], as tshark writes TCP flags."""
    return f"[{', '.join(name for bit, name in enumerate(_FLAG_NAMES) if flags >> bit & 1) or '<None>'}]"


class Lines:
    """Frames as lines in columns, which grow with what stands in them.

    digits  of the second, after the point
    """

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._widths = {"number": 5, "ends": 0, "protocol": 4, "length": 5, "vni": 0}

    def of(self, batch: Batch, count: int) -> Iterator[str]:
        """A line for each of the first `count` frames of `batch`."""
        packets = batch.packets[:count]
        names = {path: (batch.paths[path] or (UNKNOWN,))[-1] for path in set(packets["path"].tolist())}
        tunnels = bool((packets["tunnel_id"] != NO_TUNNEL_ID).any())
        if tunnels and not self._widths["vni"]:
            self._widths["vni"] = 1
        rows = zip(*(packets[name].tolist() for name in _COLUMNS), strict=True)
        for number, (ends, row) in enumerate(zip(_ends(packets), rows, strict=True), batch.first_frame):
            yield self._line(number, ends, dict(zip(_COLUMNS, row, strict=True)), names)

    def _line(self, number: int, ends: tuple[str, str], row: dict[str, int], names: dict[int, str]) -> str:
        source = self._fit("ends", ends[0])
        texts = [
            self._fit("number", str(number), right=True),
            time_of_day(row["timestamp"], self._digits),
            f"{source} → {self._fit('ends', ends[1])}",
            self._fit("protocol", _protocol(row, names)),
        ]
        if self._widths["vni"]:
            tunnel = row["tunnel_id"]
            texts.append(self._fit("vni", UNKNOWN if tunnel == NO_TUNNEL_ID else str(tunnel), right=True))
        texts += [self._fit("length", str(row["wire_length"]), right=True), _information(row)]
        return " ".join(texts).rstrip()

    def _fit(self, column: str, text: str, *, right: bool = False) -> str:
        width = self._widths[column] = max(self._widths[column], len(text))
        return text.rjust(width) if right else text.ljust(width)


def _ends(packets: npt.NDArray[void]) -> Iterator[tuple[str, str]]:
    """Source and destination of each frame: IP addresses, MACs where there is no IP, else nothing."""
    versions = packets["ip_version"].tolist()
    octets = [packets[name].tobytes() for name in ("source", "destination", "eth_source", "eth_destination")]
    for n, version in enumerate(versions):
        width, first = (16, 0) if version else (6, 2)
        pair = [octets[first + way][n * width : (n + 1) * width] for way in (0, 1)]
        if version:
            yield _address(pair[0]), _address(pair[1])
        else:
            known = any(pair[0]) or any(pair[1])
            yield (pair[0].hex(":"), pair[1].hex(":")) if known else (UNKNOWN, UNKNOWN)


def _protocol(row: dict[str, int], names: dict[int, str]) -> str:
    """The innermost protocol that was read; behind a bare IP header, what it says comes next."""
    name = names[row["path"]]
    known = row["flags"] & HAS_TRANSPORT or not row["ip_version"] or not name.startswith("ip")
    return name if known else protocol_name(row["ip_protocol"])


def _information(row: dict[str, int]) -> str:
    parts = []
    if row["flags"] & HAS_TRANSPORT:
        parts.append(_transport(row))
    elif row["fragment_offset"] or row["flags"] & _MORE_FRAGMENTS:
        parts.append(f"Fragment Offset={row['fragment_offset']} ID=0x{row['ip_id']:04x} Len={row['payload_length']}")
    if row["flags"] & _BAD_CHECKSUM:
        parts.append("[bad checksum]")
    if row["verdict"]:
        layer = PROTOCOLS[row["verdict_layer"]]
        parts.append(f"[{VERDICTS[row['verdict']]}{f' at {layer}' if layer else ''}]")
    return " ".join(parts)


def _transport(row: dict[str, int]) -> str:
    protocol, length = row["ip_protocol"], row["payload_length"]
    if protocol in (ICMP, ICMPV6):
        return f"{icmp_name(protocol, row['source_port'])}, code {row['destination_port']}"
    if protocol not in WITH_PORTS:
        return ""
    ports = f"{row['source_port']} → {row['destination_port']}"
    if protocol != TCP:
        return f"{ports} Len={length}"
    acknowledged = f" Ack={row['tcp_ack']}" if row["tcp_flags"] & 0x10 else ""
    window = f"Win={row['tcp_window']} Len={length}"
    return f"{ports} {flags_text(row['tcp_flags'])} Seq={row['tcp_seq']}{acknowledged} {window}"
