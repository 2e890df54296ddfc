"""Fields of frames themselves: when and where they were captured, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows


@dataclass(frozen=True, slots=True)
class Each:
    """One occurrence for each frame: `values` of the rows that are wanted."""

    values: Callable[[Batch], npt.NDArray[Any]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        packet = np.arange(len(batch), dtype=np.uint32) if rows is None else np.flatnonzero(rows).astype(np.uint32)
        values = self.values(batch)
        return Occurrences(packet, np.ones(len(packet), np.uint8), values if rows is None else values[rows])


@dataclass(frozen=True, slots=True)
class Named:
    """One text for each frame, of few different ones: `names(batch)` gives them, and each row's number among them."""

    names: Callable[[Batch], tuple[Sequence[bytes], npt.NDArray[np.integer[Any]]]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        texts, number = self.names(batch)
        packet = np.arange(len(batch), dtype=np.uint32) if rows is None else np.flatnonzero(rows).astype(np.uint32)
        number = number if rows is None else number[rows]
        lengths = np.array([len(text) for text in texts], np.int64)
        starts = np.cumsum(lengths) - lengths
        offsets = np.zeros(len(packet) + 1, np.int64)
        np.cumsum(lengths[number], out=offsets[1:])
        at = np.repeat(starts[number] - offsets[:-1], lengths[number]) + np.arange(offsets[-1])
        data = np.frombuffer(b"".join(texts), np.uint8)[at]
        return Occurrences(packet, np.ones(len(packet), np.uint8), Octets(data, offsets))


def _numbers(column: str) -> Each:
    return Each(lambda batch: batch.packets[column].astype(np.uint64))


def _interface_names(batch: Batch) -> tuple[Sequence[bytes], npt.NDArray[np.integer[Any]]]:
    distinct, number = np.unique(batch.packets["interface"], return_inverse=True)
    interfaces = batch.interfaces
    return [interfaces[int(n)].name.encode() if n < len(interfaces) else b"" for n in distinct], number


FIELDS = (
    Field("frame.number", Kind.UNSIGNED, "Frame Number", Each(lambda batch: batch.numbers)),
    Field("frame.time", Kind.ABSOLUTE_TIME, "Arrival Time", Each(lambda batch: batch.packets["timestamp"])),
    Field("frame.time_epoch", Kind.RELATIVE_TIME, "Epoch Time", Each(lambda batch: batch.packets["timestamp"])),
    Field("frame.len", Kind.UNSIGNED, "Frame length on the wire", _numbers("wire_length")),
    Field("frame.cap_len", Kind.UNSIGNED, "Frame length stored into the capture file", _numbers("captured_length")),
    Field("frame.interface_id", Kind.UNSIGNED, "Interface id", _numbers("interface")),
    Field("frame.interface_name", Kind.STRING, "Interface name", Named(_interface_names)),
)
