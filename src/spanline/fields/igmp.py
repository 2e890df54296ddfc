"""Fields of IGMP messages. specification: RFC 1112, RFC 2236, RFC 3376"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spanline import _fields
from spanline.batch import Batch, Bytes
from spanline.fields.headers import When, in_order
from spanline.fields.model import Field, Kind, Occurrences, Rows
from spanline.schema import LAYER_DTYPE

_IGMP = 2
_RECORD = 8  # of a group in a report, before its sources
# DVMRP and PIM version 1 are messages of IGMP that tshark gives to others.
_TYPE = _fields.Place(0, 1, When(0, 1, range(0x13, 0x15), unless=True).limits())
_GROUP = _fields.Place(4, 4, When(0, 1, frozenset({0x11, 0x12, 0x16, 0x17})).limits())
_GROUP_COUNT = _fields.Place(6, 2, When(0, 1, range(0x22, 0x23)).limits())
_OF_GROUP = _fields.Place(0, _RECORD)


def _types(batch: Batch, rows: Rows | None) -> Occurrences:
    return Occurrences(*_TYPE.numbers(_messages(batch, rows).view(np.uint8), *_buffers(batch)))


def _groups(batch: Batch, rows: Rows | None) -> Occurrences:
    """Of version 3 reports one for each of their records."""
    messages, buffers = _messages(batch, rows), _buffers(batch)
    parts = [Occurrences(*_GROUP.octets(messages.view(np.uint8), *buffers))]
    packet, _, left = _GROUP_COUNT.numbers(messages.view(np.uint8), *buffers)
    records = messages[np.isin(messages["packet"], packet)]
    size = np.full(len(records), _RECORD, np.int64)
    while len(records):
        more = left > 0
        records, size, left = records[more], size[more], left[more]
        size = np.minimum(size, records["length"])
        records["offset"] += size.astype(np.uint32)
        records["length"] -= size.astype(np.uint32)
        packet, ordinal, octets = _OF_GROUP.octets(records.view(np.uint8), *buffers)
        parts.append(Occurrences(packet, ordinal, octets[:, 4:]))
        whole = np.isin(records["packet"], packet)
        records, left = records[whole], left[whole] - 1
        sources = octets[:, 2].astype(np.int64) << 8 | octets[:, 3]
        size = _RECORD + 4 * (octets[:, 1].astype(np.int64) + sources)
    return in_order(parts)


def _messages(batch: Batch, rows: Rows | None) -> npt.NDArray[np.void]:
    """The messages as if they were headers (schema.LAYER); of fragments the first has one."""
    packets = batch.packets
    found = (packets["ip_protocol"] == _IGMP) & (packets["fragment_offset"] == 0)
    packet = np.flatnonzero(found if rows is None else found & rows)
    some = packets[packet]
    start = some["payload_offset"].astype(np.int64)
    frame_ends = some["frame_offset"].astype(np.int64) + some["captured_length"]
    end = np.where(some["payload_buffer"] == 0, frame_ends, len(batch.reassembled))
    messages = np.zeros(len(packet), LAYER_DTYPE)
    messages["packet"], messages["ordinal"] = packet, 1
    messages["buffer"], messages["offset"] = some["payload_buffer"], start
    messages["length"] = np.maximum(np.minimum(some["payload_length"], end - start), 0)
    return messages


def _buffers(batch: Batch) -> tuple[Bytes, Bytes]:
    return batch.buffers[0], batch.reassembled


FIELDS = (
    Field("igmp.type", Kind.UNSIGNED, "Type", _types, 2),
    Field("igmp.maddr", Kind.IPV4, "Multicast Address", _groups),
)
