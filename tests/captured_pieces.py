"""What parsers would be fed of a capture: its conversations, without the payload engine.

A stand-in that is slow and simple: all segments of a direction by their sequence number, those seen before left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import spanline
from spanline.batch import IP_PROTOCOLS
from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender
from tests.pieces import fed
from tests.rows import payload

_SYN, _ACK = 2, 16


@dataclass
class _Flow:
    conversation: Conversation
    segments: list[tuple[Sender, int, bytes, int, int]] = field(default_factory=list)
    base: dict[Sender, int] = field(default_factory=dict)


def _address(octets: bytes) -> str:
    mapped = IPv6Address(octets).ipv4_mapped
    return str(mapped or ip_address(octets))


def _flows(path: Path) -> Iterator[_Flow]:
    flows: dict[tuple[Any, ...], _Flow] = {}
    for batch in spanline.open(path):
        packets = batch.packets
        for row, packet in enumerate(packets):
            transport = next((name for name, number in IP_PROTOCOLS.items() if number == packet["ip_protocol"]), "")
            if not transport or packet["ip_version"] == 0 or packet["fragment_offset"]:
                continue
            ends = [
                (_address(packet[side].tobytes()), int(packet[f"{side}_port"])) for side in ("source", "destination")
            ]
            flags, key = int(packet["tcp_flags"]), (transport, *sorted(ends))
            syn = transport == "tcp" and flags & (_SYN | _ACK) == _SYN
            flow = flows.get(key)
            if flow is None or (syn and flow.segments):
                if flow is not None:
                    yield flow
                synack = transport == "tcp" and flags & (_SYN | _ACK) == _SYN | _ACK
                is_server = synack or (not syn and ends[0][1] < ends[1][1])
                client, server = ends[::-1] if is_server else ends
                time = int(packet["timestamp"])
                flow = flows[key] = _Flow(Conversation(transport, *client, *server, time))  # type: ignore[arg-type]
            ours = flow.conversation
            sender = Sender.CLIENT if ends[0] == (ours.client, ours.client_port) else Sender.SERVER
            octets = payload(batch, row)
            if octets:
                number = int(packet["tcp_seq"]) if transport == "tcp" else 0
                frame = int(batch.numbers[row])
                flow.segments.append((sender, number, octets, int(packet["timestamp"]), frame))
    yield from flows.values()


def _pieces(flow: _Flow) -> Iterator[Piece]:
    expected: dict[Sender, int] = {}
    offsets = {Sender.CLIENT: 0, Sender.SERVER: 0}
    waiting: list[tuple[Sender, int, bytes, int, int]] = []
    for sender, number, octets, time, frame in flow.segments:
        gap = 0
        if flow.conversation.transport == "tcp":
            waiting.append((sender, number, octets, time, frame))
            behind = (expected.setdefault(sender, number) - number) & 0xFFFFFFFF
            if behind and behind > 1 << 31 and len([one for one in waiting if one[0] == sender]) < 20:
                continue
            ready = sorted(
                (one for one in waiting if one[0] == sender),
                key=lambda one: (one[1] - expected[one[0]] + (1 << 31)) & 0xFFFFFFFF,
            )
            waiting = [one for one in waiting if one[0] != sender]
        else:
            ready = [(sender, number, octets, time, frame)]
        for _, begin, data, when, which in ready:
            if flow.conversation.transport == "tcp":
                ahead = ((begin - expected[sender] + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
                if ahead < 0:
                    data = data[-ahead:]
                gap = max(0, ahead)
                if not data:
                    continue
                expected[sender] = (expected[sender] + gap + len(data)) & 0xFFFFFFFF
            offsets[sender] += gap
            yield Piece(sender, data, offsets[sender], when, which, gap)
            offsets[sender] += len(data)


def captured(path: Path, parser: type[Parser], of: Callable[[Conversation], bool]) -> list[Finding]:
    """What a parser tells of a capture's conversations that `of` chooses, in order of time."""
    found: list[Finding] = []
    for flow in _flows(path):
        if of(flow.conversation):
            found += fed(parser(flow.conversation), _pieces(flow))
    return sorted(found, key=lambda finding: (finding.time, finding.frames))


def on_ports(*ports: int) -> Callable[[Conversation], bool]:
    return lambda conversation: conversation.server_port in ports
