"""Frames as a Table, for other programs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spanline.arrow import fixed_binary, labels, table_of
from spanline.batch import PROTOCOLS, Batch, Stacks
from spanline.schema import NO_TUNNEL_ID, NO_VLAN, PACKET, VERDICTS, Column

TCP, TCP_HEADER = 6, 20
HAS_TRANSPORT = 8
"""In a packet row's `flags`: its ports were read."""

_CHANGED = {
    "path": Column("path", "", "string", "Protocols", "", "the stack of protocols, outermost first"),
    "application": Column("application", "", "string", "Application", "", "protocols behind the transport header"),
    "verdict": Column("verdict", "", "label", "Verdict", "", "one of schema.VERDICTS"),
    "verdict_layer": Column("verdict_layer", "", "string", "Verdict layer", "", "where decoding stopped"),
}
# They point into memory, or are keyed with a secret of this process.
_LEFT_OUT = {"flow_hash", "frame_offset", "payload_offset", "payload_buffer", "reserved"}

PACKET_LIST = (
    Column("number", "", "uint64", "Number", "", "of the frame in the capture, from 1"),
    *(_CHANGED.get(column.name, column) for column in PACKET if column.name not in _LEFT_OUT),
)
"""The Table of packets_table()."""


def packets_table(batch: Batch, count: int | None = None) -> pa.Table:
    """The frames of `batch`, or its first `count`, as a Table of PACKET_LIST; null where a frame has no such layer."""
    packets = batch.packets[:count]
    missing = _missing(packets)
    columns: dict[str, pa.Array] = {
        "number": pa.array(batch.numbers[:count]),
        "path": _stacks(batch.paths, packets["path"]),
        "application": _applications(batch, packets["application"]),
        "verdict": labels(packets["verdict"], VERDICTS),
        "verdict_layer": _named(packets["verdict_layer"], missing["verdict_layer"]),
    }
    for column in PACKET_LIST:
        if column.name in columns:
            continue
        values = packets[column.name]
        if values.ndim == 2:
            columns[column.name] = _octets(values, missing.get(column.name))
        else:
            columns[column.name] = pa.array(np.ascontiguousarray(values), mask=missing.get(column.name))
    return table_of(PACKET_LIST, columns)


def _missing(packets: npt.NDArray[np.void]) -> dict[str, npt.NDArray[np.bool_]]:
    """The rows in which a column says nothing."""
    no_ip = packets["ip_version"] == 0
    no_ports = packets["flags"] & HAS_TRANSPORT == 0
    # Of a header that was cut, what was not captured is 0.
    no_tcp = no_ports | (packets["ip_protocol"] != TCP) | (packets["transport_length"] < TCP_HEADER)
    return {
        "vlan": packets["vlan"] == NO_VLAN,
        "tunnel_id": packets["tunnel_id"] == NO_TUNNEL_ID,
        "verdict_layer": packets["verdict"] == 0,
        **dict.fromkeys(("source", "destination", "ip_version", "ip_protocol", "ttl", "tos", "ip_id"), no_ip),
        **dict.fromkeys(("fragment_offset", "payload_length"), no_ip),
        **dict.fromkeys(("source_port", "destination_port", "transport_length"), no_ports),
        **dict.fromkeys(("tcp_seq", "tcp_ack", "tcp_flags", "tcp_window"), no_tcp),
    }


def _octets(values: npt.NDArray[np.uint8], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
    octets = fixed_binary(values)
    return octets if missing is None else pc.if_else(pa.array(missing), None, octets)


def _stacks(stacks: Stacks, numbers: npt.NDArray[np.uint16]) -> pa.Array:
    distinct, which = np.unique(numbers, return_inverse=True)
    texts = pa.array([":".join(stacks[int(number)]) for number in distinct], pa.string())
    return texts.take(pa.array(which))


def _applications(batch: Batch, numbers: npt.NDArray[np.uint16]) -> pa.Array:
    return pc.if_else(pa.array(numbers == 0), None, _stacks(batch.applications, numbers))


def _named(layers: npt.NDArray[np.uint8], missing: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(PROTOCOLS, pa.string()).take(pa.array(layers.astype(np.int64), mask=missing))
