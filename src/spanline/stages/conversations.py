"""Conversations: who exchanged how many frames with whom, as tshark's -z conv counts them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _decode, _tally
from spanline.arrow import column, fixed_binary, table_of
from spanline.batch import PROTOCOLS, Batch
from spanline.errors import UsageError
from spanline.schema import TALLY_ENTRY_DTYPE, Column

KINDS = {
    "eth": _tally.ETHERNET,
    "ip": _tally.IP,
    "ipv6": _tally.IP,
    "tcp": _tally.TCP,
    "udp": _tally.UDP,
    "sctp": _tally.SCTP,
}
"""Types of conversations, in tshark's names and order."""

MEMORY = 1 << 29

_ETHERNET = PROTOCOLS.index("eth")
_NETWORK = ("ip", "ipv6")
_MOST_LEVELS = _decode.MOST_TUNNELS


def conversation_columns(kind: str) -> tuple[Column, ...]:
    """The columns of the Table of conversations of one type; ports are null where there are none."""
    address = "mac" if kind == "eth" else "address"
    return (
        Column("source", "", address, "Source", "", "who was seen to send first; null: all that found no room"),
        Column("destination", "", address, "Destination"),
        Column("source_port", "", "uint16", "Source port"),
        Column("destination_port", "", "uint16", "Destination port"),
        Column("stream", "", "uint32", "Stream", "", "TCP: the connection's number, as tshark's", "tcp.stream"),
        Column("source_packets", "", "uint64", "Source packets", "", "frames"),
        Column("destination_packets", "", "uint64", "Destination packets", "", "frames"),
        Column("source_bytes", "", "uint64", "Source bytes", "byte", "wire length of whole frames"),
        Column("destination_bytes", "", "uint64", "Destination bytes", "byte", "wire length of whole frames"),
        Column("first_seen", "", "time", "First seen", "ns", "earliest frame, UTC"),
        Column("last_seen", "", "time", "Last seen", "ns", "latest frame, UTC"),
        Column("relative_start", "", "duration", "Start", "ns", "first_seen, since the capture's first frame"),
        Column("duration", "", "duration", "Duration", "ns"),
    )


class Conversations:
    """Counts frames and bytes between each pair of ends, by type; its Tables are named after the types.

    types   which types of KINDS: "eth" pairs of MAC addresses, "ip" and "ipv6" pairs of addresses, "tcp", "udp" and
            "sctp" pairs of addresses and ports
    memory  bytes that all entries may take, in equal parts by type; beyond, what is new is counted as `others`
    shard   (n, of): count only the frames of flows of the n-th, from 0, of so many parts; merge() joins the parts

    A frame counts whole, once for each of its layers of a type (inside and outside tunnels), also the layers of frames
    that could not be read further; headers quoted in ICMP errors do not count. TCP between the same ends is one
    conversation for each stream number that the batches have: by transforms.annotate. The Tables have the most frames
    first, of equal ones what was seen first, as tshark has it.
    """

    def __init__(
        self, types: Sequence[str] = tuple(KINDS), *, memory: int = MEMORY, shard: tuple[int, int] = (0, 1)
    ) -> None:
        for kind in types:
            if kind not in KINDS:
                raise UsageError(f"there are no conversations of {kind!r}", hint=f"types are {', '.join(KINDS)}")
        number, of = shard
        if not 0 <= number < of:
            raise UsageError(f"shard {number} of {of}: there is none")
        most = memory // max(len(types), 1) // _tally.BYTES_PER_ENTRY
        self.types = tuple(kind for kind in KINDS if kind in types)
        self.start: int | None = None
        """Time of the capture's first frame."""
        self._shard = shard
        self._tallies = {
            kind: _tally.Tally(seed=_decode.SEED, kind=KINDS[kind], most=most, shard=number, shards=of)
            for kind in self.types
        }
        self._masks = {kind: _Masks(kind) for kind in self.types}
        self.steps = [functools.partial(self._update, kind) for kind in self.types]
        """update() in parts, for several threads: each takes all batches in order."""

    def update(self, batch: Batch) -> None:
        for step in self.steps:
            step(batch)

    def _update(self, kind: str, batch: Batch) -> None:
        if self.start is None and len(batch):
            self.start = batch.begun
        masks = self._masks[kind]
        masks.extend(batch.paths)
        if not masks.array.any() and not masks.irregular:
            return
        self._tallies[kind].update(
            batch.packets.view(np.uint8),
            batch.numbers,
            batch.tunnels.view(np.uint8),
            batch.buffers,
            masks.array,
            batch.streams.view(np.uint8),
        )
        if masks.irregular:
            self._update_irregular(batch, masks.irregular)

    def _update_irregular(self, batch: Batch, paths: Sequence[int]) -> None:
        """Counts the Ethernet headers of frames of which a row and its tunnels do not have them all."""
        number, of = self._shard
        shards = (batch.packets["flow_hash"] & 0xFFFFFFFF) * np.uint64(of) >> np.uint64(32)
        some = batch.select(np.isin(batch.packets["path"], paths) & (shards == number))
        layers = some.layers
        layers = layers[(layers["protocol"] == _ETHERNET) & (layers["length"] >= 12)]
        rows = layers["packet"]
        entries = np.zeros(len(layers), TALLY_ENTRY_DTYPE)
        entries["first"] = some.numbers[rows] << np.uint64(8) | _places(rows)
        entries["first_time"] = entries["last_time"] = some.packets["timestamp"][rows]
        entries["packets"][:, 0] = 1
        entries["bytes"][:, 0] = some.packets["wire_length"][rows]
        entries["stream"] = 0xFFFFFFFF
        for n, buffer in enumerate(some.buffers):
            inside = layers["buffer"] == n
            at = layers["offset"][inside].astype(np.int64)[:, None] + np.arange(6)
            entries["destination"][inside, :6] = buffer[at]
            entries["source"][inside, :6] = buffer[at + 6]
        self._tallies["eth"].take(entries.view(np.uint8))

    def entries(self, kind: str) -> npt.NDArray[np.void]:
        """All of one type (schema.TALLY_ENTRY_DTYPE), in no order."""
        return self._tallies[kind].entries().view(TALLY_ENTRY_DTYPE)

    def count(self, kind: str) -> int:
        """How many conversations of one type there are."""
        return len(self._tallies[kind])

    def others(self, kind: str) -> tuple[int, int]:
        """(frames, bytes) of pairs of ends for which there was no room."""
        return self._tallies[kind].others

    def merge(self, other: Conversations) -> None:
        """Adds what another part of the same capture counted. Raises UsageError when that is of other types."""
        if self.types != other.types:
            raise UsageError("these are conversations of other types", hint="merge parts of one analysis")
        self.start = other.start if self.start is None else self.start
        for kind, tally in other._tallies.items():
            self._take(kind, tally.entries(), tally.others)

    def state(self) -> dict[str, Any]:
        tallies = {kind: (tally.entries().tobytes(), tally.others) for kind, tally in self._tallies.items()}
        return {"start": self.start, "tallies": tallies}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where state() was taken. Raises UsageError when that was of other types."""
        if tuple(state["tallies"]) != self.types:
            raise UsageError("this state is of conversations of other types")
        self.start = state["start"]
        for kind, (entries, others) in state["tallies"].items():
            self._take(kind, np.frombuffer(entries, np.uint8), others)

    def _take(self, kind: str, entries: npt.NDArray[np.uint8], others: tuple[int, int]) -> None:
        tally = self._tallies[kind]
        tally.take(entries)
        packets, octets = tally.others
        tally.others = packets + others[0], octets + others[1]

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: a conversation may go on until the end."""
        return {}

    def tables(self) -> Mapping[str, pa.Table]:
        return {kind: self.table(kind) for kind in self.types}

    def table(self, kind: str) -> pa.Table:
        """The conversations of one type, the most frames first; with what found no room in a last row."""
        entries = most_frames_first(with_others(self.entries(kind), self.others(kind), self.start))
        is_other = entries["first"] == _OTHERS
        start = np.int64(self.start or 0)
        return table_of(
            conversation_columns(kind),
            {
                **end_arrays(entries, kind, "source", is_other),
                **end_arrays(entries, kind, "destination", is_other),
                "stream": column(entries["stream"], entries["stream"] == 0xFFFFFFFF),
                "source_packets": column(entries["packets"][:, 0]),
                "destination_packets": column(entries["packets"][:, 1]),
                "source_bytes": column(entries["bytes"][:, 0]),
                "destination_bytes": column(entries["bytes"][:, 1]),
                "first_seen": column(entries["first_time"], is_other),
                "last_seen": column(entries["last_time"], is_other),
                "relative_start": column(difference(entries["first_time"], start), is_other),
                "duration": column(difference(entries["last_time"], entries["first_time"]), is_other),
            },
        )


# What stands for the order of the row of the others: after all that was seen.
_OTHERS = np.uint64(2**64 - 1)


def with_others(
    entries: npt.NDArray[np.void], others: tuple[int, int], time: int | None = None
) -> npt.NDArray[np.void]:
    """`entries`, with a row for what found no room where there is such."""
    if not others[0]:
        return entries
    row = np.zeros(1, TALLY_ENTRY_DTYPE)
    row["first"], row["stream"], row["first_time"], row["last_time"] = _OTHERS, 0xFFFFFFFF, time or 0, time or 0
    row["packets"][:, 0], row["bytes"][:, 0] = others
    return np.concatenate([entries, row])


def most_frames_first(entries: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """`entries` as tshark has them: by frames of both directions, then as first seen; the others last."""
    first, packets = np.ascontiguousarray(entries["first"]), entries["packets"]
    frames = (packets[:, 0] + packets[:, 1]).astype(np.int64)
    frames[first == _OTHERS] = -1
    return entries[np.lexsort((first, -frames))]


def end_arrays(
    entries: npt.NDArray[np.void], kind: str, end: str, missing: npt.NDArray[np.bool_], name: str = ""
) -> dict[str, pa.Array]:
    """Address and port of one end, "source" or "destination", null where `missing`; as columns of this or that name."""
    name = name or end
    address = fixed_binary(entries[end][:, : 6 if kind == "eth" else 16])
    if missing.any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        address = pa.Array.from_buffers(address.type, len(address), [valid, address.buffers()[1]])
    no_port = missing | (kind in ("eth", *_NETWORK))
    port = "port" if name == "address" else f"{name}_port"
    return {name: address, port: column(entries[f"{end}_port"], no_port)}


def difference(later: npt.NDArray[np.int64], earlier: npt.NDArray[np.int64] | np.int64) -> npt.NDArray[np.int64]:
    """later - earlier in ns, as far as int64 goes: clocks can be further apart."""
    with np.errstate(over="ignore"):
        result = later - earlier
    most = np.iinfo(np.int64).max
    overflows = (later >= earlier) != (result >= 0)
    return np.where(overflows, np.where(later >= earlier, most, -most), result)


def _places(rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """How many of the same row stand before each; `rows` ascend."""
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]]) if len(rows) else np.empty(0, np.int64)
    lengths = np.diff(np.append(starts, len(rows)))
    return (np.arange(len(rows)) - np.repeat(starts, lengths)).astype(np.uint64)


class _Masks:
    """Which layers of a frame are of one type, by path: what _tally.Tally.update() wants."""

    def __init__(self, kind: str) -> None:
        self.array = np.zeros(0, np.uint16)
        self.irregular: list[int] = []
        """Paths with Ethernet headers that only the layers of a frame tell."""
        self._kind = kind
        self._paths: _decode.Paths | None = None

    def extend(self, paths: _decode.Paths) -> None:
        """Gets to know the paths that are new."""
        if self._paths is not paths:
            self.array, self.irregular, self._paths = np.zeros(0, np.uint16), [], paths
        known, count = len(self.array), len(paths)
        if known == count:
            return
        new = np.zeros(count - known, np.uint16)
        for n in range(known, count):
            stack = paths[n]
            new[n - known] = _mask_of(stack, self._kind)
            if self._kind == "eth" and _is_irregular(stack):
                self.irregular.append(n)
        self.array = np.concatenate([self.array, new])


def _is_irregular(stack: tuple[str, ...]) -> bool:
    return stack.count("eth") > (2 if stack[:1] == ("eth",) else 1)


def _mask_of(stack: tuple[str, ...], kind: str) -> int:
    if kind == "eth":
        if "eth" not in stack or _is_irregular(stack):
            return 0
        return _tally.ROW | (_tally.OUTERMOST if stack.count("eth") == 2 else 0)
    mask, level, here = 0, -1, False
    for name in stack:
        if name in _NETWORK:
            level, here = level + 1, False
        if name == kind:
            here = True
            if 0 <= level < _MOST_LEVELS:
                mask |= 1 << level
    return mask | (_tally.ROW if here else 0)
