"""Fields that stand in headers, each at a fixed place: evaluated by one gather over the batch's headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows

NO_TEXTS: Mapping[int, str] = {}
_WIDTHS = {Kind.IPV4: 4, Kind.IPV6: 16, Kind.ETHER: 6}


@dataclass(frozen=True, slots=True)
class When:
    """A header has the field only when the number of `width` bytes at `offset`, masked, is one of `values`."""

    offset: int
    width: int
    values: Collection[int]
    mask: int = 0


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
        if self.when is not None:
            kept, guard = _numbers(batch, headers, self.when.offset, self.when.width)
            guard &= np.uint64(self.when.mask or 0xFFFFFFFFFFFFFFFF)
            headers = headers[kept][np.isin(guard, list(self.when.values))]
        if self.octets:
            kept, octets = _octets(batch, headers, self.offset, self.width)
            return _occurrences(headers[kept], octets)
        kept, numbers = _numbers(batch, headers, self.offset, self.width)
        if self.mask:
            numbers = (numbers & np.uint64(self.mask)) >> np.uint64((self.mask & -self.mask).bit_length() - 1)
        return _occurrences(headers[kept], numbers * np.uint64(self.factor) if self.factor != 1 else numbers)


@dataclass(frozen=True, slots=True)
class Either:
    """Both sides of something: in each header `first`, then `second`."""

    first: At
    second: At

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        one, other = self.first(batch, rows), self.second(batch, rows)
        assert not isinstance(one.values, Octets)
        assert not isinstance(other.values, Octets)
        packet = np.concatenate([one.packet, other.packet])
        layer = np.concatenate([one.layer, other.layer])
        order = np.lexsort((np.arange(len(packet)), layer, packet))
        values = np.concatenate([one.values, other.values])
        return Occurrences(packet[order], layer[order], values[order])


@dataclass(frozen=True, slots=True)
class Headers:
    """The bytes of each `protocol` header."""

    protocol: str

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        headers = batch.headers(self.protocol, rows)
        lengths = headers["length"].astype(np.int64)
        offsets = np.zeros(len(headers) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        at = np.repeat(headers["offset"] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return _occurrences(headers, Octets(_read(batch, np.repeat(headers["buffer"], lengths), at), offsets))


def number(name: str, protocol: str, offset: int, width: int, description: str, *, mask: int = 0, factor: int = 1,
           digits: int = 0, texts: Mapping[int, str] = NO_TEXTS, when: When | None = None) -> Field:  # fmt: skip
    at = At(protocol, offset, width, mask, factor, when=when)
    return Field(name, Kind.UNSIGNED, description, at, digits, texts)


def flag(name: str, protocol: str, offset: int, width: int, mask: int, description: str, *,
         when: When | None = None) -> Field:  # fmt: skip
    return Field(name, Kind.BOOLEAN, description, At(protocol, offset, width, mask, when=when))


def address(name: str, kind: Kind, protocol: str, offset: int, description: str, *, when: When | None = None) -> Field:
    return Field(name, kind, description, At(protocol, offset, _WIDTHS[kind], octets=True, when=when))


def either(name: str, first: Field, second: Field, description: str) -> Field:
    """A field for both sides, of which either may be meant."""
    assert isinstance(first.extract, At)
    assert isinstance(second.extract, At)
    return Field(name, first.kind, description, Either(first.extract, second.extract), first.digits, first.texts)


def protocol(name: str, description: str) -> Field:
    return Field(name, Kind.PROTOCOL, description, Headers(name))


def _occurrences(headers: npt.NDArray[np.void], values: npt.NDArray[np.generic] | Octets) -> Occurrences:
    return Occurrences(np.ascontiguousarray(headers["packet"]), np.ascontiguousarray(headers["ordinal"]), values)


def _numbers(batch: Batch, headers: npt.NDArray[np.void], offset: int, width: int
             ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:  # fmt: skip
    kept, octets = _octets(batch, headers, offset, width)
    values = np.zeros(len(octets), np.uint64)
    for n in range(width):
        values = values << np.uint64(8) | octets[:, n]
    return kept, values


def _octets(batch: Batch, headers: npt.NDArray[np.void], offset: int, width: int
            ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:  # fmt: skip
    kept = headers["length"] >= offset + width
    some = headers[kept]
    at = some["offset"].astype(np.int64)[:, None] + offset + np.arange(width)
    return kept, _read(batch, some["buffer"], at)


def _read(batch: Batch, buffers: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    octets = np.empty(at.shape, np.uint8)
    for n, buffer in enumerate(batch.buffers):
        octets[buffers == n] = buffer[at[buffers == n]]
    return octets
