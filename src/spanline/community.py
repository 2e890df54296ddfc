"""Community ID: the same short name for a flow in every tool.

specification: Community ID Flow Hashing, version 1 (https://github.com/corelight/community-id-spec)
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import numbers_of, octets_of

_ICMP, _TCP, _UDP, _ICMPV6, _SCTP = 1, 6, 17, 58, 132
_WITH_PORTS = (_ICMP, _TCP, _UDP, _ICMPV6, _SCTP)
# Types of ICMP messages that are answered: only these have two directions.
_ANSWERED = {
    _ICMP: (0, 8, 9, 10, 13, 14, 15, 16, 17, 18),
    _ICMPV6: (128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145),
}
_MAPPED = np.frombuffer(b"\0" * 10 + b"\xff\xff", np.uint8)
_LENGTH = len("1:") + 28
"""Characters of an ID: version, and SHA-1 in base 64."""

Octets = npt.NDArray[np.uint8]


def _is_after(a: Octets, a_port: npt.NDArray[Any], b: Octets, b_port: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether the end (address, port) a stands behind b, bytewise."""
    high, low = np.ascontiguousarray(a).view(">u8").T, np.ascontiguousarray(b).view(">u8").T
    after: npt.NDArray[np.bool_] = a_port > b_port
    for part in (1, 0):
        after = (high[part] > low[part]) | ((high[part] == low[part]) & after)
    return after


def _hashed(flows: pa.Table, seed: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Octets]:
    """(IPv4, with ports, what is hashed: seed 2, source 16, destination 16, protocol 1, zero 1, ports 2, 2)."""
    source, destination = octets_of(flows.column("source")), octets_of(flows.column("destination"))
    ports = [numbers_of(flows.column("source_port")), numbers_of(flows.column("destination_port"))]
    protocol = numbers_of(flows.column("protocol"))
    swap = _is_after(source, ports[0], destination, ports[1])
    for number, answered in _ANSWERED.items():
        swap &= (protocol != number) | np.isin(ports[0], answered)
    hashed = np.zeros((len(swap), 40), np.uint8)
    hashed[:, :2] = np.frombuffer(seed.to_bytes(2, "big"), np.uint8)
    hashed[:, 2:18] = np.where(swap[:, None], destination, source)
    hashed[:, 18:34] = np.where(swap[:, None], source, destination)
    hashed[:, 34] = protocol
    hashed[:, 36:38] = np.where(swap, ports[1], ports[0]).astype(">u2").view(np.uint8).reshape(-1, 2)
    hashed[:, 38:40] = np.where(swap, ports[0], ports[1]).astype(">u2").view(np.uint8).reshape(-1, 2)
    is_ipv4 = (source[:, :12] == _MAPPED).all(axis=1) & (destination[:, :12] == _MAPPED).all(axis=1)
    return is_ipv4, np.isin(protocol, _WITH_PORTS), hashed


def community_ids(flows: pa.Table, seed: int = 0) -> pa.Array:
    """The IDs of all rows of a flows Table (schema.FLOW), as text."""
    is_ipv4, with_ports, hashed = _hashed(flows, seed)
    sha1 = hashlib.sha1
    texts = np.empty((len(hashed), _LENGTH), np.uint8)
    for address, columns in ((is_ipv4, [*range(2), *range(14, 18), *range(30, 34)]), (~is_ipv4, [*range(34)])):
        for ports, more in ((with_ports, range(34, 40)), (~with_ports, range(34, 36))):
            rows = np.flatnonzero(address & ports)
            width = len(columns) + len(more)
            data = hashed[rows[:, None], [*columns, *more]].tobytes()
            ids = b"".join(
                [
                    b"1:" + b2a_base64(sha1(data[at : at + width]).digest(), newline=False)
                    for at in range(0, len(data), width)
                ]
            )
            texts[rows] = np.frombuffer(ids, np.uint8).reshape(-1, _LENGTH)
    offsets = np.arange(0, texts.size + 1, _LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts))


def with_community_id(flows: pa.Table) -> pa.Table:
    """`flows` with the column community_id, before end_reason where schema.FLOW has it."""
    at = flows.schema.get_field_index("end_reason")
    return flows.add_column(at, "community_id", community_ids(flows))
