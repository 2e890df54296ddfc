"""Community ID: the same short name for a flow in every tool.

specification: Community ID Flow Hashing, version 1 (https://github.com/corelight/community-id-spec)
"""

from __future__ import annotations

import base64
import hashlib
import struct

import pyarrow as pa

_ICMP, _TCP, _UDP, _ICMPV6, _SCTP = 1, 6, 17, 58, 132
_MAPPED = b"\0" * 10 + b"\xff\xff"
# Types of ICMP messages that are answered, and by which: only these have two directions.
_ANSWERS = {
    _ICMP: {8: 0, 0: 8, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17},
    _ICMPV6: {
        128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133,
        135: 136, 136: 135, 139: 140, 140: 139, 144: 145, 145: 144,
    },
}  # fmt: skip


def community_id(
    source: bytes, destination: bytes, source_port: int, destination_port: int, protocol: int, seed: int = 0
) -> str:
    """The ID of one flow. Addresses have 16 bytes, IPv4 mapped; ICMP has type and answer's type or code."""
    if source.startswith(_MAPPED) and destination.startswith(_MAPPED):
        source, destination = source[12:], destination[12:]
    swap = (source, source_port) > (destination, destination_port)
    if protocol in _ANSWERS and source_port not in _ANSWERS[protocol]:
        swap = False
    if swap:
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    data = struct.pack(">H", seed) + source + destination + bytes((protocol, 0))
    if protocol in (_ICMP, _TCP, _UDP, _ICMPV6, _SCTP):
        data += struct.pack(">HH", source_port, destination_port)
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def community_ids(flows: pa.Table) -> pa.Array:
    """The IDs of all rows of a flows Table."""
    names = ("source", "destination", "source_port", "destination_port", "protocol")
    keys = zip(*(flows.column(name).to_pylist() for name in names), strict=True)
    return pa.array((community_id(*key) for key in keys), pa.string())


def with_community_id(flows: pa.Table) -> pa.Table:
    """`flows` with the column community_id, before end_reason where schema.FLOW has it."""
    at = flows.schema.get_field_index("end_reason")
    return flows.add_column(at, "community_id", community_ids(flows))
