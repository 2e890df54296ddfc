"""Conversations and endpoints as tshark 4.0 prints them, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spanline import _text
from spanline.stages.conversations import Conversations, difference, most_frames_first
from spanline.stages.endpoints import endpoints

NAMES = {"eth": "Ethernet", "ip": "IPv4", "ipv6": "IPv6", "tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
_WITH_PORTS = ("tcp", "udp", "sctp")
_RULE = "=" * 80


def conversation_lines(conversations: Conversations, kind: str) -> Iterator[str]:
    """What tshark -q -z conv,KIND prints."""
    entries = most_frames_first(conversations.entries(kind))
    indent = " " * (12 if kind in _WITH_PORTS else 0) + " " * 47
    yield from (_RULE, f"{NAMES[kind]} Conversations", "Filter:<No Filter>")
    yield f"{indent}|       <-      | |       ->      | |     Total     |    Relative    |   Duration   |"
    yield f"{indent}| Frames  Bytes | | Frames  Bytes | | Frames  Bytes |      Start     |              |"
    width = 26 if kind in _WITH_PORTS else 20
    start = np.int64(conversations.start or 0)
    starts, stops = (_seconds(difference(entries[name], start)) for name in ("first_time", "last_time"))
    columns = (
        _ends(entries, kind, "source"),
        _ends(entries, kind, "destination"),
        entries["packets"].tolist(),
        entries["bytes"].tolist(),
        starts.tolist(),
        (stops - starts).tolist(),
    )
    for source, destination, (sent, received), (sent_bytes, received_bytes), begin, duration in zip(
        *columns, strict=True
    ):
        yield (
            f"{source:<{width}} <-> {destination:<{width}}  {received:6} {_size(received_bytes):<9}  "
            f"{sent:6} {_size(sent_bytes):<9}  {sent + received:6} {_size(sent_bytes + received_bytes):<9}  "
            f"{begin:14.9f}   {duration:12.4f}"
        )
    yield _RULE


def endpoint_lines(conversations: Conversations, kind: str) -> Iterator[str]:
    """What tshark -q -z endpoints,KIND prints."""
    ends = endpoints(conversations, kind)
    has_ports = kind in _WITH_PORTS
    yield from (_RULE, f"{NAMES[kind]} Endpoints", "Filter:<No Filter>")
    yield (
        f"{' ' * 23}|  {'Port  ||  ' if has_ports else ''}Packets  | |  Bytes  | | Tx Packets | | Tx Bytes |"
        " | Rx Packets | | Rx Bytes |"
    )
    columns = (
        _addresses(ends["source"], kind),
        ends["source_port"].tolist(),
        ends["packets"].tolist(),
        ends["bytes"].tolist(),
    )
    for address, port, (sent, received), (sent_bytes, received_bytes) in zip(*columns, strict=True):
        yield (
            f"{address:<20}      {f'{port:>5}     ' if has_ports else ''}{sent + received:6}"
            f"     {sent_bytes + received_bytes:9}     {sent:6}       {sent_bytes:9}      {received:6}"
            f"       {received_bytes:9}   "
        )
    yield _RULE


def _seconds(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """ns as tshark makes floating-point seconds of them, with the same loss."""
    whole = np.trunc(times / 1e9).astype(np.int64)
    whole += (times - whole * 10**9) // 10**9  # where the division was rounded to the next second
    whole += (whole < 0) & (times > whole * 10**9)
    return whole + (times - whole * 10**9) / 1e9


def _ends(entries: npt.NDArray[np.void], kind: str, end: str) -> list[str]:
    addresses = _addresses(entries[end], kind)
    if kind not in _WITH_PORTS:
        return addresses
    ports = entries[f"{end}_port"].tolist()
    return [f"{address}:{port}" for address, port in zip(addresses, ports, strict=True)]


def _addresses(octets: npt.NDArray[np.uint8], kind: str) -> list[str]:
    if kind == "eth":
        offsets, letters = _text.macs(np.ascontiguousarray(octets[:, :6]))
    else:
        offsets, letters = _text.addresses(np.ascontiguousarray(octets))
    text, ends = letters.tobytes().decode(), offsets.tolist()
    return [text[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]


def _size(count: int) -> str:
    """tshark's rounding: two digits or more of the largest unit that leaves as many, cut off."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10 ** (power + 1):
            return f"{count // 10**power} {unit}B"
    return f"{count} bytes"
