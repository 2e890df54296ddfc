"""Fields that stand in headers, each at a fixed place: evaluated by one gather over the batch's headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spanline import _fields
from spanline.batch import Batch
from spanline.fields.model import Extract, Field, Kind, Occurrences, Octets, Rows
from spanline.fields.value_names import SET

NO_TEXTS: Mapping[int, str] = {}
# tshark has one name for both.
VERSIONS: Mapping[str, str] = {"sll": "sll2"}
_WIDTHS = {Kind.IPV4: 4, Kind.IPV6: 16, Kind.ETHER: 6}


@dataclass(frozen=True, slots=True)
class When:
    """A header has the field only when the number of `width` bytes at `offset` is one of `values`: a range without
    steps, or numbers below 64; with `unless`, when it is none of the range."""

    offset: int
    width: int
    values: range | frozenset[int]
    unless: bool = False

    def limits(self) -> tuple[int, int, int, int, int, int]:
        if isinstance(self.values, range):  # of which min() and max() would look at each number
            lowest, highest, among = self.values[0], self.values[-1], 0
        else:
            lowest, highest, among = min(self.values), max(self.values), sum(1 << value for value in self.values)
        if self.unless:
            lowest, highest, among = highest + 1, lowest - 1, 0
        return self.offset, self.width, (1 << 8 * self.width) - 1, lowest, highest, among


@dataclass(frozen=True, slots=True)
class At:
    """`width` bytes at `offset` of each `protocol` header, in network order, masked and shifted to the mask's lowest
    bit; numbers are multiplied by `factor`. A header that was cut off before has no occurrence."""

    protocol: str
    offset: int
    width: int
    mask: int = 0
    factor: int = 1
    octets: bool = False
    when: When | None = None

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        headers = batch.headers(self.protocol, rows)
        place = _fields.Place(self.offset, self.width, None if self.when is None else self.when.limits())
        layers, buffers = headers.view(np.uint8), (batch.buffers[0], batch.reassembled)
        if self.octets:
            return Occurrences(*place.octets(layers, *buffers))
        packet, ordinal, numbers = place.numbers(layers, *buffers)
        if self.mask:
            shift = (self.mask & -self.mask).bit_length() - 1
            numbers &= np.uint64(self.mask)
            numbers >>= np.uint64(shift)
        if self.factor != 1:
            numbers *= np.uint64(self.factor)
        return Occurrences(packet, ordinal, numbers)


@dataclass(frozen=True, slots=True)
class Either:
    """Both sides of something: in each header `first`, then `second`."""

    first: At
    second: At

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        both = self.first(batch, rows), self.second(batch, rows)
        packet = np.concatenate([one.packet for one in both])
        layer = np.concatenate([one.layer for one in both])
        values = np.concatenate([one.values for one in both])
        if np.array_equal(both[0].packet, both[1].packet):  # else one side of a header was cut off
            order = np.arange(len(packet)).reshape(2, -1).T.ravel()
        else:
            order = np.lexsort((layer, packet))
        return Occurrences(packet[order], layer[order], values[order])


@dataclass(frozen=True, slots=True)
class Variants:
    """What stands in headers of several protocols, of which a frame has one."""

    places: tuple[Extract, ...]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        return in_order([place(batch, rows) for place in self.places])


def in_order(parts: Sequence[Occurrences]) -> Occurrences:
    """Occurrences of one field, found apart, in the order of frames; of one frame in that of the parts."""
    packet = np.concatenate([part.packet for part in parts])
    order = np.argsort(packet, kind="stable")
    layer = np.concatenate([part.layer for part in parts])
    return Occurrences(packet[order], layer[order], np.concatenate([part.values for part in parts])[order])


@dataclass(frozen=True, slots=True)
class Headers:
    """The bytes of each header of `protocol`, or with `whole` those up to the end of its layer.

    A protocol with two versions has `other` headers, too; a frame has one of them.
    """

    protocol: str
    whole: bool = False
    other: str = ""

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        headers = batch.headers(self.protocol, rows)
        if self.other:
            headers = np.concatenate([headers, batch.headers(self.other, rows)])
            headers = headers[np.argsort(headers["packet"], kind="stable")]
        data, offsets = _fields.spans(
            batch.buffers[0],
            batch.reassembled,
            np.ascontiguousarray(headers["buffer"]),
            headers["offset"].astype(np.int64),
            headers["size" if self.whole else "length"].astype(np.int64),
        )
        packet, ordinal = np.ascontiguousarray(headers["packet"]), np.ascontiguousarray(headers["ordinal"])
        return Occurrences(packet, ordinal, Octets(data, offsets))


def number(name: str, protocol: str, offset: int, width: int, description: str, *, mask: int = 0, factor: int = 1,
           digits: int = 0, texts: Mapping[int, str] = NO_TEXTS, when: When | None = None) -> Field:  # fmt: skip
    at = At(protocol, offset, width, mask, factor, when=when)
    return Field(name, Kind.UNSIGNED, description, at, digits, texts)


def flag(name: str, protocol: str, offset: int, width: int, mask: int, description: str, *,
         texts: Mapping[int, str] = SET, when: When | None = None) -> Field:  # fmt: skip
    return Field(name, Kind.BOOLEAN, description, At(protocol, offset, width, mask, when=when), texts=texts)


def address(name: str, kind: Kind, protocol: str, offset: int, description: str, *, when: When | None = None) -> Field:
    return Field(name, kind, description, At(protocol, offset, _WIDTHS[kind], octets=True, when=when))


def either(name: str, first: Field, second: Field, description: str) -> Field:
    """A field for both sides, of which either may be meant."""
    assert isinstance(first.extract, At)
    assert isinstance(second.extract, At)
    return Field(name, first.kind, description, Either(first.extract, second.extract), first.digits, first.texts)


def protocol(name: str, description: str) -> Field:
    other = VERSIONS.get(name, "")
    whole = Headers(name, whole=True, other=other)
    return Field(name, Kind.PROTOCOL, description, Headers(name, other=other), whole=whole)
