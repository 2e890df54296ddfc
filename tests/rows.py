"""What spanline makes of crafted frames, in few words for a test: `decode(ethernet() / ipv4() / udp())`."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import numpy as np

from spanline.batch import PROTOCOLS, Batch, Decode
from spanline.chunk import Chunk, Interface, Interfaces
from spanline.fields import find, occurrences
from spanline.schema import PACKET_DTYPE, RECORD_DTYPE, VERDICTS
from tests.craft import Frame
from tests.craft_files import Record, records

PACKET_NAMES = PACKET_DTYPE.names or ()


def mapped(address: str) -> bytes:
    """The 16 bytes that stand for an address: IPv6 as it is, IPv4 mapped (RFC 4291 section 2.5.5.2)."""
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def chunk_of(frames: Iterable[Frame | bytes | Record], *, link_type: int = 1) -> Chunk:
    """Frames one after another in a buffer that ends with the last one, so that a read beyond it is seen by ASan."""
    rows, parts, at = [], [], 0
    for time, frame, wire_length in records(frames):
        octets = bytes(frame)
        rows.append((time, at, len(octets), len(octets) if wire_length is None else wire_length, 0, 0))
        parts.append(octets)
        at += len(octets)
    interfaces = Interfaces()
    interfaces.add(Interface("crafted", link_type, 0, 1e-9))
    return Chunk(np.frombuffer(b"".join(parts), np.uint8).copy(), np.array(rows, RECORD_DTYPE), interfaces)


def decode_all(frames: Iterable[Frame | bytes | Record], *, link_type: int = 1, **options: Any) -> Batch:
    return Decode(**options)(chunk_of(frames, link_type=link_type))


def decode(*frames: Frame | bytes | Record, **options: Any) -> Batch:
    return decode_all(frames, **options)


def stack(batch: Batch, row: int = 0) -> str:
    """The protocols of a frame as tshark writes them: "eth:ip:tcp"."""
    return ":".join(batch.paths[int(batch.packets["path"][row])])


def verdict(batch: Batch, row: int = 0) -> str:
    """ "ok", or why decoding stopped and where: "truncated tcp"."""
    name = VERDICTS[batch.packets["verdict"][row]]
    return name if name == "ok" else f"{name} {PROTOCOLS[batch.packets['verdict_layer'][row]]}"


def row_of(batch: Batch, row: int = 0) -> dict[str, Any]:
    """A row of `packets` as Python values, addresses as bytes."""
    return {name: v.tobytes() if (v := batch.packets[name][row]).ndim else v.item() for name in PACKET_NAMES}


def payload(batch: Batch, row: int = 0) -> bytes:
    """What was captured of a frame's payload, or what is there of it in the datagram that the frame completed."""
    packet = batch.packets[row]
    end = int(packet["frame_offset"]) + int(packet["captured_length"])
    if packet["payload_buffer"]:
        last = batch.datagrams[batch.datagrams["packet"] == row % len(batch)][-1]
        end = int(last["offset"]) + int(last["length"])
    start = int(packet["payload_offset"])
    return batch.buffers[packet["payload_buffer"]][start : min(start + int(packet["payload_length"]), end)].tobytes()


def layers(batch: Batch, row: int = 0) -> list[tuple[str, int, int]]:
    """(protocol, offset in the frame, length) of every header of a frame."""
    own = batch.layers[batch.layers["packet"] == row]
    start = int(batch.packets["frame_offset"][row])
    return [(PROTOCOLS[one["protocol"]], int(one["offset"]) - start, int(one["length"])) for one in own]


def values(batch: Batch, field: str) -> list[int | str]:
    """All occurrences of a display-filter field in a batch; addresses as hexadecimal digits."""
    known = find(field)
    assert known
    found = occurrences(batch, known).values
    return [one.tobytes().hex() if one.ndim else one.item() for one in found]
