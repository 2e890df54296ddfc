"""What the two ends of one stream said, in order: Wireshark's Follow Stream."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import arrow_schema, column, table_of
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.schema import ANALYSIS_PRESENT, NO_TUNNEL_ID, NO_VLAN, Column
from spanline.stages.chosen_stream import ChosenStream
from spanline.stages.ends import End, Ends, Numbered

MEMORY = 256 << 20
"""Bytes for what is kept of the stream; what comes when they are full is counted and left out."""

# What a record takes beside its payload.
_RECORD = 256
_HAS_LENGTH = 1 << ANALYSIS_PRESENT.index("length")
_SYN, _ACK = 0x02, 0x10
_TCP_HEADER = 20
_SEQUENCES = 0xFFFFFFFF

FOLLOWED = (
    Column("number", "", "uint64", "Frame", "", "of the frame in the capture, from 1"),
    Column("timestamp", "", "time", "Time", "ns", "capture time since the epoch, UTC"),
    Column("node", "", "uint8", "Node", "", "who sent it: 0 who sent the stream's first frame, 1 the other end"),
    Column("offset", "", "uint64", "Offset", "byte", "of the first byte in what this node sent"),
    Column("missing", "", "uint64", "Missing", "byte", "that the other node got right before, and nobody captured"),
    Column("payload", "", "binary", "Payload"),
)
"""The Table "payloads" of Follow."""


@dataclass(slots=True)
class Record:
    """What one frame adds to the stream: a row of FOLLOWED."""

    number: int
    timestamp: int
    node: int
    offset: int
    missing: int
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Direction:
    """Where one node's bytes go on.

    sequence  the number of the next byte, as tcp.seq
    offset    of the next byte
    written   bytes that came in order
    early     records that begin later, by offset and age; each has the offset where it begins
    ready     those that begin no later than `offset`, by age
    """

    sequence: int = 0
    offset: int = 0
    written: int = 0
    early: list[tuple[int, int, Record]] = field(default_factory=list)
    ready: list[tuple[int, Record]] = field(default_factory=list)


class Follow:
    """The payload of the stream that `wanted` says (ChosenStream, of TCP or UDP), as records in the order in which
    Wireshark 4.0 shows them.

    Of TCP each node's bytes are in order and shown once, those that came first; what begins after a hole waits until
    the hole is filled, or until the other node acknowledges more than the hole's end: then its size is `missing`. What
    waits at the end of the capture is not shown. Of UDP each datagram that carries anything is a record.

    Batches have passed transforms.annotate.Annotate(details=True). `memory` is for what is kept of the stream.

    number, transport, others  those of ChosenStream
    ends      node 0, who sent the stream's first frame, and node 1; None as long as the stream was not met
    client    the node that opened the connection; None where no SYN tells
    records   what was said so far
    left_out  bytes of payload beyond `memory`
    """

    def __init__(self, wanted: Numbered | Ends, *, memory: int = MEMORY) -> None:
        self._chosen = ChosenStream(wanted, ("tcp", "udp"))
        self._memory = memory
        self.ends: tuple[End, End] | None = None
        self.client: int | None = None
        self.vlan: int | None = None
        self.vni: int | None = None
        self.records: list[Record] = []
        self.left_out = 0
        self._kept = 0
        self._age = 0
        self._first_direction = 0
        self._nodes = _Direction(), _Direction()

    @property
    def number(self) -> int | None:
        return self._chosen.number

    @property
    def transport(self) -> str:
        return self._chosen.transport

    @property
    def others(self) -> list[int]:
        return self._chosen.others

    def missing(self) -> UsageError:
        """What to say when the stream was not met."""
        return self._chosen.missing()

    def update(self, batch: Batch) -> None:
        own = self._chosen.rows(batch)
        if own.any():
            mine = batch.select(own)
            if self.ends is None:
                self._begin(mine)
            nodes = (mine.streams["direction"] != self._first_direction).astype(np.uint8)
            (self._take_segments if self.transport == "tcp" else self._take_datagrams)(mine, nodes)

    def _begin(self, batch: Batch) -> None:
        first = batch.packets[0]
        self.ends = (
            (first["source"].tobytes(), int(first["source_port"])),
            (first["destination"].tobytes(), int(first["destination_port"])),
        )
        self.vlan = None if first["vlan"] == NO_VLAN else int(first["vlan"])
        self.vni = None if first["tunnel_id"] == NO_TUNNEL_ID else int(first["tunnel_id"])
        self._first_direction = int(batch.streams["direction"][0])

    def _take_datagrams(self, batch: Batch, nodes: npt.NDArray[np.uint8]) -> None:
        times, numbers = batch.packets["timestamp"].tolist(), batch.numbers.tolist()
        for node, number, time, payload in zip(nodes.tolist(), numbers, times, _payloads(batch), strict=True):
            if payload:
                to = self._nodes[node]
                self._keep(Record(number, time, node, to.offset, 0, payload))
                to.offset += len(payload)

    def _take_segments(self, batch: Batch, nodes: npt.NDArray[np.uint8]) -> None:
        packets, analysis = batch.packets, batch.analysis
        self._note_client(packets["tcp_flags"], nodes)
        has_length = analysis["present"] & _HAS_LENGTH != 0
        columns = (
            (packets["transport_length"] >= _TCP_HEADER).tolist(),
            nodes.tolist(),
            packets["tcp_flags"].tolist(),
            analysis["seq"].tolist(),
            analysis["ack"].tolist(),
            np.where(has_length, analysis["length"], 0).tolist(),
            batch.numbers.tolist(),
            packets["timestamp"].tolist(),
            _payloads(batch),
        )
        for is_whole, node, flags, seq, ack, length, number, time, payload in zip(*columns, strict=True):
            if not is_whole:
                continue
            if flags & _ACK:
                self._join(1 - node, ack)
            self._add(Record(number, time, node, 0, 0, payload), seq + bool(flags & _SYN), length)

    def _note_client(self, flags: npt.NDArray[np.uint16], nodes: npt.NDArray[np.uint8]) -> None:
        syns = np.flatnonzero(flags & _SYN)
        if self.client is None and len(syns):
            self.client = int(nodes[syns[0]]) ^ bool(flags[syns[0]] & _ACK)

    def _add(self, record: Record, sequence: int, length: int) -> None:
        """A segment's record, whose offset is found here; `length` is how many bytes it had when it was sent."""
        to = self._nodes[record.node]
        if not to.written and not to.sequence:
            to.sequence = sequence & _SEQUENCES
        ahead = _signed(sequence - to.sequence)
        if ahead < 0:
            # Sent before; what it has beyond that is new.
            record.payload = record.payload[-ahead:]
            length += ahead
            if length <= 0:
                return
            ahead = 0
        if not record.payload:
            return
        record.offset = to.offset + ahead
        if ahead:
            self._wait(to, record)
            return
        to.written += len(record.payload)
        self._keep(record)
        _advance(to, length)
        self._join(record.node, None)

    def _wait(self, to: _Direction, record: Record) -> None:
        if self._has_room(record):
            self._age += 1
            heapq.heappush(to.early, (record.offset, self._age, record))

    def _join(self, node: int, acknowledged: int | None) -> None:
        """Adds what waits and is due; with the sequence number that the other node acknowledges, also behind holes."""
        to = self._nodes[node]
        while True:
            while to.early and to.early[0][0] <= to.offset:
                _, age, record = heapq.heappop(to.early)
                heapq.heappush(to.ready, (age, record))
            if to.ready:
                self._add_ready(to, heapq.heappop(to.ready)[1])
                continue
            hole = to.early[0][0] - to.offset if to.early else 0
            if hole and acknowledged is not None and hole < _signed(acknowledged - to.sequence):
                _advance(to, hole)
                to.early[0][2].missing = hole
            else:
                return

    def _add_ready(self, to: _Direction, record: Record) -> None:
        seen = to.offset - record.offset
        self._kept -= len(record.payload) + _RECORD
        record.payload = record.payload[seen:]
        if record.payload:
            record.offset = to.offset
            self._keep(record)
            _advance(to, len(record.payload))

    def _keep(self, record: Record) -> None:
        if self._has_room(record):
            self.records.append(record)

    def _has_room(self, record: Record) -> bool:
        if self.left_out or self._kept + len(record.payload) + _RECORD > self._memory:
            self.left_out += len(record.payload)
            return False
        self._kept += len(record.payload) + _RECORD
        return True

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: what a record hides may become known with a later one."""
        return {}

    def merge(self, other: Follow) -> None:
        """Both nodes' frames have one flow hash: all of the stream is in one of the parts."""
        known = other.state()
        if self.number is None:
            self.restore(known)
        else:
            self._chosen.take_over(known["chosen"])

    def state(self) -> dict[str, Any]:
        return {
            "chosen": self._chosen.state(),
            "ends": self.ends,
            "client": self.client,
            "vlan": self.vlan,
            "vni": self.vni,
            "records": [astuple(record) for record in self.records],
            "left_out": self.left_out,
            "kept": self._kept,
            "age": self._age,
            "first_direction": self._first_direction,
            "nodes": [(to.sequence, to.offset, to.written, _waiting(to)) for to in self._nodes],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._chosen.take_over(state["chosen"])
        self.ends, self.client, self.vlan, self.vni = (state[name] for name in ("ends", "client", "vlan", "vni"))
        self.records = [Record(*record) for record in state["records"]]
        self.left_out, self._kept, self._age = state["left_out"], state["kept"], state["age"]
        self._first_direction = state["first_direction"]
        for to, (sequence, offset, written, waiting) in zip(self._nodes, state["nodes"], strict=True):
            to.sequence, to.offset, to.written = sequence, offset, written
            to.early = [(record[3], age, Record(*record)) for age, record in waiting]
            heapq.heapify(to.early)

    def tables(self) -> Mapping[str, pa.Table]:
        rows = [astuple(record) for record in self.records]
        if not rows:
            return {"payloads": arrow_schema(FOLLOWED).empty_table()}
        *numbers, payloads = zip(*rows, strict=True)
        dtypes = ("u8", "i8", "u1", "u8", "u8")
        columns = {
            name.name: column(np.array(values, dtype))
            for name, values, dtype in zip(FOLLOWED, numbers, dtypes, strict=False)
        }
        return {"payloads": table_of(FOLLOWED, columns | {"payload": pa.array(payloads, pa.binary())})}


def _signed(difference: int) -> int:
    """How far ahead one sequence number is of another, by the difference of the two."""
    return ((difference + 0x80000000) & _SEQUENCES) - 0x80000000


def _advance(to: _Direction, count: int) -> None:
    to.sequence = (to.sequence + count) & _SEQUENCES
    to.offset += count


def _waiting(to: _Direction) -> list[tuple[int, tuple[Any, ...]]]:
    return [(age, astuple(record)) for _, age, record in to.early]


def _payloads(batch: Batch) -> list[bytes]:
    """What was captured of each frame's payload."""
    packets = batch.packets
    buffers = [buffer.data for buffer in batch.buffers]
    starts = packets["payload_offset"].astype(np.int64)
    captured = packets["frame_offset"].astype(np.int64) + packets["captured_length"]
    captured[packets["payload_buffer"] != 0] = np.iinfo(np.int64).max
    ends = np.minimum(starts + packets["payload_length"], captured)
    places = zip(packets["payload_buffer"].tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [bytes(buffers[which][start:end]) for which, start, end in places]
