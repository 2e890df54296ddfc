"""What a capture is made of: how much, from when to when, which protocol stacks, how far frames could be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from spanline.arrow import arrow_schema, table_of
from spanline.batch import Batch
from spanline.chunk import Interface, Interfaces
from spanline.errors import Problem
from spanline.link_types import link_type_name
from spanline.pipeline import Counters
from spanline.schema import VERDICTS, Column
from spanline.sources.capture_file import FileInfo
from spanline.stages.verdicts import Verdicts

STACK = (
    Column("stack", "", "string", "Protocols", "", "outermost first, as tshark's frame.protocols"),
    Column("frames", "", "uint64", "Frames"),
    Column("bytes", "", "uint64", "Bytes", "byte", "wire length"),
)
"""The Table "stacks"."""

VERDICT = (
    Column("verdict", "", "string", "Verdict", "", "one of schema.VERDICTS"),
    Column("layer", "", "string", "Layer", "", "where decoding stopped; empty when it did not, or before the first"),
    Column("frames", "", "uint64", "Frames"),
)
"""The Table "verdicts"."""

# Attributes of Summary that are numbers.
_PLAIN = ("frames", "data_bytes", "captured_bytes", "cut", "first", "last", "in_order", "_previous")


class Summary:
    """Counts the frames of a capture, and merges with the Summaries of others.

    frames, data_bytes (wire length), captured_bytes, cut (frames captured shorter than on the wire), first and last
    (earliest and latest time, ns since the epoch, None without frames), in_order (no frame is earlier than the one
    before it), interfaces (frames by interface number), stacks (frames and bytes by protocol stack), verdicts (frames
    by verdict and the layer where decoding stopped).
    """

    def __init__(self) -> None:
        self.frames = self.data_bytes = self.captured_bytes = self.cut = 0
        self.first: int | None = None
        self.last: int | None = None
        self.in_order = True
        self.interfaces: Counter[int] = Counter()
        self.stacks: dict[tuple[str, ...], list[int]] = {}
        self._verdicts = Verdicts()
        self._previous: int | None = None

    def update(self, batch: Batch) -> None:
        packets = batch.packets
        if not len(packets):
            return
        self.frames += len(packets)
        wire, captured = packets["wire_length"], packets["captured_length"]
        self.data_bytes += int(wire.sum(dtype=np.uint64))
        self.captured_bytes += int(captured.sum(dtype=np.uint64))
        self.cut += int(np.count_nonzero(captured < wire))
        self._update_times(packets["timestamp"])
        self.interfaces.update(_counts(packets["interface"]))
        self._verdicts.update(batch)
        octets = np.bincount(packets["path"], weights=wire)
        for path, count in _counts(packets["path"]).items():
            self._add_stack(batch.paths[path], count, int(octets[path]))

    def _update_times(self, times: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        first, last = int(times.min()), int(times.max())
        backwards = bool((times[1:] < times[:-1]).any())
        self.in_order &= not backwards and (self._previous is None or self._previous <= int(times[0]))
        self._previous = int(times[-1])
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)

    def _add_stack(self, stack: tuple[str, ...], frames: int, octets: int) -> None:
        known = self.stacks.setdefault(stack, [0, 0])
        known[0] += frames
        known[1] += octets

    def merge(self, other: Summary) -> None:
        """Adds another capture's counts; what is about one file only (order, interfaces) stays as it was."""
        for name in ("frames", "data_bytes", "captured_bytes", "cut"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first = min((time for time in (self.first, other.first) if time is not None), default=None)
        self.last = max((time for time in (self.last, other.last) if time is not None), default=None)
        self._verdicts.merge(other._verdicts)
        for stack, (frames, octets) in other.stacks.items():
            self._add_stack(stack, frames, octets)

    def state(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _PLAIN}
        stacks = [(stack, *counts) for stack, counts in self.stacks.items()]
        return {
            **plain,
            "stacks": stacks,
            "interfaces": dict(self.interfaces),
            "verdicts": self._verdicts.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.stacks = {tuple(stack): [frames, octets] for stack, frames, octets in state["stacks"]}
        self.interfaces = Counter(state["interfaces"])
        self._verdicts.restore(state["verdicts"])

    @property
    def verdicts(self) -> Counter[tuple[str, str]]:
        """Frames by verdict and the layer where decoding stopped."""
        return self._verdicts.by_layer()

    @property
    def duration(self) -> int | None:
        """ns between the earliest and the latest frame, up to what int64 holds: clocks can be further apart."""
        return None if self.first is None or self.last is None else min(self.last - self.first, 2**63 - 1)

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: counts are known at the end."""
        return {}

    def tables(self) -> Mapping[str, pa.Table]:
        stacks = sorted(self.stacks.items(), key=lambda item: (-item[1][0], item[0]))
        verdicts = sorted(self.verdicts.items(), key=lambda item: (VERDICTS.index(item[0][0]), -item[1], item[0][1]))
        return {
            "stacks": table_of(
                STACK,
                {
                    "stack": pa.array([":".join(stack) for stack, _ in stacks], pa.string()),
                    "frames": pa.array([counts[0] for _, counts in stacks], pa.uint64()),
                    "bytes": pa.array([counts[1] for _, counts in stacks], pa.uint64()),
                },
            ),
            "verdicts": table_of(
                VERDICT,
                {
                    "verdict": pa.array([verdict for (verdict, _), _ in verdicts], pa.string()),
                    "layer": pa.array([layer for (_, layer), _ in verdicts], pa.string()),
                    "frames": pa.array([count for _, count in verdicts], pa.uint64()),
                },
            ),
        }


def _counts(numbers: np.ndarray[Any, np.dtype[np.uint16]]) -> dict[int, int]:
    """How often each of the small `numbers` occurs."""
    counts = np.bincount(numbers)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def rates(summary: Summary) -> dict[str, float | None]:
    """Averages over the capture: in bytes, bits and packets a second, and in bytes a packet; None for unknown."""
    seconds = (summary.duration or 0) / 1e9
    return {
        "data_byte_rate": summary.data_bytes / seconds if seconds else None,
        "data_bit_rate": summary.data_bytes * 8 / seconds if seconds else None,
        "average_packet_size": summary.data_bytes / summary.frames if summary.frames else None,
        "average_packet_rate": summary.frames / seconds if seconds else None,
    }


def _interface(number: int, interface: Interface, frames: int) -> dict[str, Any]:
    return {
        "number": number,
        "name": interface.name or None,
        "description": interface.description or None,
        "filter": interface.filter or None,
        "os": interface.os or None,
        "link_type": interface.link_type,
        "link_type_name": link_type_name(interface.link_type),
        "snaplen": interface.snaplen or None,
        "time_resolution": interface.resolution,
        "packets": frames,
        "statistics": interface.statistics or None,
    }


FILE = (
    Column("file", "", "string", "File"),
    Column("format", "", "string", "Format", "", "pcap or pcapng"),
    Column("compression", "", "string", "Compression"),
    Column("byte_order", "", "string", "Byte order"),
    Column("link_types", "", "string", "Link types", "", "their names, joined by commas"),
    Column("snaplen", "", "uint32", "Snaplen", "byte", "null when interfaces differ"),
    Column("packets", "", "uint64", "Packets"),
    Column("cut_packets", "", "uint64", "Cut packets", "", "captured shorter than they were on the wire"),
    Column("file_size", "", "uint64", "File size", "byte"),
    Column("uncompressed_size", "", "uint64", "Uncompressed size", "byte"),
    Column("data_size", "", "uint64", "Data size", "byte", "on the wire"),
    Column("captured_size", "", "uint64", "Captured size", "byte"),
    Column("duration", "", "duration", "Duration", "ns"),
    Column("first_packet", "", "time", "First packet", "ns", "earliest"),
    Column("last_packet", "", "time", "Last packet", "ns", "latest"),
    Column("data_byte_rate", "", "double", "Data rate", "byte/s"),
    Column("data_bit_rate", "", "double", "Data rate", "bit/s"),
    Column("average_packet_size", "", "double", "Average packet", "byte"),
    Column("average_packet_rate", "", "double", "Packet rate", "1/s"),
    Column("strict_time_order", "", "bool", "Strict time order"),
    Column("decoded", "", "uint64", "Decoded"),
    Column("undecodable", "", "uint64", "Undecodable"),
    Column("problems", "", "uint64", "Problems", "", "how many things were wrong with the file"),
)


def files_table(files: Iterable[Mapping[str, Any]]) -> pa.Table:
    """What describe() tells of files, a row each, without its lists: a Table of FILE."""
    rows = [
        {**facts, "link_types": ", ".join(facts["link_types"]), "problems": len(facts["problems"])} for facts in files
    ]
    schema = arrow_schema(FILE)
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)


def describe(
    info: FileInfo, summary: Summary, interfaces: Interfaces, counters: Counters, problems: Iterable[Problem]
) -> dict[str, Any]:
    """All that `spanline info` tells of one file; sizes in bytes, times and durations in ns, None for unknown."""
    own = [_interface(n, interfaces[number], summary.interfaces[number]) for n, number in enumerate(info.interfaces)]
    snaplens = {interface["snaplen"] for interface in own}
    tables = summary.tables()
    decoded = counters.decoded - counters.filtered_out
    return {
        "file": info.path,
        "format": info.format or None,
        "compression": info.compression or None,
        "byte_order": info.byte_order or None,
        "link_types": sorted({interface["link_type_name"] for interface in own}),
        "snaplen": snaplens.pop() if len(snaplens) == 1 else None,
        "packets": summary.frames,
        "cut_packets": summary.cut,
        "file_size": info.size,
        "uncompressed_size": info.uncompressed_size,
        "data_size": summary.data_bytes,
        "captured_size": summary.captured_bytes,
        "duration": summary.duration,
        "first_packet": summary.first,
        "last_packet": summary.last,
        **rates(summary),
        "strict_time_order": summary.in_order,
        "sections": info.sections,
        "interfaces": own,
        "decoded": decoded,
        "undecodable": summary.frames - decoded,
        "verdicts": tables["verdicts"].to_pylist(),
        "stacks": tables["stacks"].to_pylist(),
        "problems": [
            {"kind": problem.kind, "what": problem.what, "where": problem.where, "hint": problem.hint}
            for problem in problems
        ],
    }
