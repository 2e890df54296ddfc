"""Values of a display filter for a whole batch: those of fields, their slices, sums and functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from spanline import fields
from spanline.batch import Batch
from spanline.fields import Kind, Octets
from spanline.filters import tree
from spanline.filters.syntax import Span

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Data = Integers | npt.NDArray[np.uint8] | Octets

NUMBERS = frozenset({Kind.UNSIGNED, Kind.SIGNED, Kind.BOOLEAN, Kind.ABSOLUTE_TIME, Kind.RELATIVE_TIME})
LARGEST = (1 << 31) - 1
"""The largest signed number; unsigned ones have 32 bits, too."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values that something has in the rows of a batch.

    rows    in which all fields occur that it is made of, bool[n]; it can have no value there all the same
    packet  the row of each value, integer[m], ascending
    kind    of all of them
    data    int64[m] for numbers and times, uint8[m, width] for addresses, Octets for bytes and texts
    """

    rows: Mask
    packet: npt.NDArray[np.integer]
    kind: Kind
    data: Data

    def __len__(self) -> int:
        return len(self.packet)

    @property
    def numbers(self) -> Integers:
        assert isinstance(self.data, np.ndarray)
        return self.data.view(np.int64)

    @property
    def fixed(self) -> npt.NDArray[np.uint8]:
        """Addresses, uint8[m, width]."""
        assert isinstance(self.data, np.ndarray)
        return self.data.view(np.uint8)

    @property
    def octets(self) -> Octets:
        """Addresses, bytes and texts."""
        if isinstance(self.data, Octets):
            return self.data
        count, width = self.fixed.shape
        return Octets(np.ascontiguousarray(self.fixed).ravel(), width * np.arange(count + 1))


def evaluate(value: tree.Value, batch: Batch, rows: Mask | None, *, whole: bool = False) -> Values:
    """The values in a batch, or only in the rows of a mask. With `whole` a protocol is all bytes to the end of its
    layer, else those of its header."""
    if whole and isinstance(value, tree.Reference):
        return _of_field(value, batch, rows, whole=True)
    return _evaluate(value, batch, rows)


@singledispatch
def _evaluate(value: object, batch: Batch, rows: Mask | None) -> Values:
    raise TypeError(type(value))


@_evaluate.register
def _(value: tree.Reference, batch: Batch, rows: Mask | None) -> Values:
    return _of_field(value, batch, rows, whole=False)


def _of_field(value: tree.Reference, batch: Batch, rows: Mask | None, *, whole: bool) -> Values:
    field = value.field
    if whole and field.whole is not None:
        found = field.whole(batch, rows)
    else:
        found = fields.occurrences(batch, field, rows)
    packet, data = found.packet, found.values
    if not isinstance(data, Octets) and data.dtype == np.uint64:
        data = data.view(np.int64)
    if value.layers:
        kept = in_layers(packet, found.layer, value.layers)
        packet, data = packet[kept], take(data, kept)
    return Values(rows_with(packet, len(batch)), packet, field.kind, data)


@_evaluate.register
def _(value: tree.Constant, batch: Batch, rows: Mask | None) -> Values:
    """A constant is in every row once."""
    wanted = np.ones(len(batch), np.bool_) if rows is None else rows
    packet = np.flatnonzero(wanted)
    if value.value is None:
        return Values(wanted, packet[:0], value.kind, np.empty(0, np.int64))
    return Values(wanted, packet, value.kind, _repeat(value, len(packet)))


def _repeat(value: tree.Constant, count: int) -> Data:
    if isinstance(value.value, int) and value.kind is not Kind.IPV4:
        return np.full(count, value.value, np.int64)
    octets = value.value.to_bytes(4) if isinstance(value.value, int) else value.value or b""
    data = np.tile(np.frombuffer(octets, np.uint8), (count, 1))
    if value.kind in (Kind.IPV4, Kind.IPV6, Kind.ETHER):
        return data
    return Octets(data.ravel(), len(octets) * np.arange(count + 1))


@_evaluate.register
def _(value: tree.Slice, batch: Batch, rows: Mask | None) -> Values:
    of = evaluate(value.of, batch, rows)
    kept, cut = _cut(of.octets, value.ranges)
    return Values(of.rows, of.packet[kept], Kind.BYTES, cut)


@_evaluate.register
def _(value: tree.Negative, batch: Batch, rows: Mask | None) -> Values:
    of = evaluate(value.of, batch, rows)
    if value.kind is Kind.RELATIVE_TIME:
        return Values(of.rows, of.packet, value.kind, -of.numbers)
    kept = of.numbers <= LARGEST
    return Values(of.rows, of.packet[kept], value.kind, -of.numbers[kept])


@_evaluate.register
def _(value: tree.Arithmetic, batch: Batch, rows: Mask | None) -> Values:
    from spanline.filters.arithmetic import combine

    left, right = evaluate(value.left, batch, rows), evaluate(value.right, batch, rows)
    both, one, other, _ = pairs(left, right)
    kept, data = combine(value.operator, one, other)
    return Values(both.rows, both.packet[kept], value.kind, data)


@_evaluate.register
def _(value: tree.Call, batch: Batch, rows: Mask | None) -> Values:
    from spanline.filters.functions import FUNCTIONS

    arguments = [evaluate(argument, batch, rows) for argument in value.arguments]
    return FUNCTIONS[value.name](value, arguments)


def rows_with(packet: npt.NDArray[np.integer], count: int) -> Mask:
    """bool[count]: which rows have a value."""
    found = np.zeros(count, np.bool_)
    found[packet] = True
    return found


def pairs(left: Values, right: Values) -> tuple[Values, Values, Values, npt.NDArray[np.int64]]:
    """Each value of one with each value of the other in the same row: (row by row without data, left, right, index of
    the left value that each pair has)."""
    rows = left.rows & right.rows
    of_right = np.bincount(right.packet, minlength=len(rows))
    first = np.cumsum(of_right) - of_right
    repeats = of_right[left.packet]
    one = np.repeat(np.arange(len(left)), repeats)
    step = np.arange(len(one)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    packet = left.packet[one]
    other = first[packet] + step
    none = np.empty(0, np.int64)
    return (
        Values(rows, packet, left.kind, none),
        Values(rows, packet, left.kind, take(left.data, one)),
        Values(rows, packet, right.kind, take(right.data, other)),
        one,
    )


def in_layers(packet: npt.NDArray[np.integer], layer: npt.NDArray[np.uint8], spans: tuple[Span, ...]) -> Mask:
    """Which occurrences are in one of the layers; negative numbers count from a frame's innermost."""
    number = layer.astype(np.int64)
    last = np.zeros(int(packet.max()) + 1 if len(packet) else 0, np.int64)
    np.maximum.at(last, packet, number)
    deepest = last[packet]
    found = np.zeros(len(packet), np.bool_)
    for span in spans:
        first = span.first if span.first >= 0 else deepest + 1 + span.first
        kept = number >= first
        if span.last is not None:
            kept &= number <= (span.last if span.last >= 0 else deepest + 1 + span.last)
        elif span.length is not None:
            kept &= number < first + span.length
        found |= kept
    return found


def take(data: Data, chosen: npt.NDArray[np.integer] | Mask) -> Data:
    """Some of the values: a mask, or indices in any order."""
    if not isinstance(data, Octets):
        return data[chosen]
    index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
    starts = data.offsets[:-1][index]
    return gather(data.data, starts, data.offsets[1:][index] - starts)


def gather(data: npt.NDArray[np.uint8], starts: Integers, lengths: Integers) -> Octets:
    """Octets of pieces of `data`."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return Octets(data[at], offsets)


def _cut(octets: Octets, ranges: tuple[Span, ...]) -> tuple[Mask, Octets]:
    """The slices, and which values have one: the first range has to be inside; the first that is not ends it."""
    begin, lengths = octets.offsets[:-1], np.diff(octets.offsets)
    goes_on = np.ones(len(begin), np.bool_)
    starts, sizes = [], []
    for span in ranges:
        start = np.full(len(begin), span.first) if span.first >= 0 else lengths + span.first
        if span.last is not None:
            size = (span.last if span.last >= 0 else lengths + span.last) + 1 - start
        else:
            size = lengths - start if span.length is None else np.full(len(begin), span.length)
        goes_on &= (start >= 0) & (size > 0) & (start + size <= lengths)
        starts.append(np.where(goes_on, begin + start, 0))
        sizes.append(np.where(goes_on, size, 0))
    kept = sizes[0] > 0
    every_start, every_size = np.stack(starts, 1)[kept].ravel(), np.stack(sizes, 1)[kept].ravel()
    cut = gather(octets.data, every_start, every_size)
    return kept, Octets(cut.data, np.ascontiguousarray(cut.offsets[:: len(ranges)]))
