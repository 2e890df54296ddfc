"""Bytes of whole frames, and of what TCP and UDP carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spanline import _fields
from spanline.batch import Batch, Bytes
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows


def frames(batch: Batch, rows: Rows | None) -> Occurrences:
    """All captured bytes of each frame."""
    packet = np.arange(len(batch), dtype=np.uint32) if rows is None else np.flatnonzero(rows).astype(np.uint32)
    some = batch.packets[packet]
    starts, lengths = some["frame_offset"].astype(np.int64), some["captured_length"].astype(np.int64)
    data, offsets = _fields.spans(*_buffers(batch), np.zeros(len(packet), np.uint8), starts, lengths)
    return Occurrences(packet, np.ones(len(packet), np.uint8), Octets(data, offsets))


@dataclass(frozen=True, slots=True)
class Payload:
    """What stands behind each `protocol` header, up to the end of its layer; nothing is no occurrence."""

    protocol: str

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        headers = batch.headers(self.protocol, rows)
        headers = headers[headers["size"] > headers["length"]]
        lengths = headers["length"].astype(np.int64)
        data, offsets = _fields.spans(
            *_buffers(batch),
            np.ascontiguousarray(headers["buffer"]),
            headers["offset"] + lengths,
            headers["size"] - lengths,
        )
        packet, ordinal = np.ascontiguousarray(headers["packet"]), np.ascontiguousarray(headers["ordinal"])
        return Occurrences(packet, ordinal, Octets(data, offsets))


def _buffers(batch: Batch) -> tuple[Bytes, Bytes]:
    return batch.buffers[0], batch.reassembled


FIELDS = (
    Field("frame", Kind.PROTOCOL, "Frame", frames),
    Field("tcp.payload", Kind.BYTES, "TCP payload", Payload("tcp")),
    Field("udp.payload", Kind.BYTES, "Payload", Payload("udp")),
)
