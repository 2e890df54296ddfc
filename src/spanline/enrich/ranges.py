"""Networks with a number each, flattened: what a number holds for is where the one before it ends.

Kept as two rows of steps, for IPv4 and for IPv6. From one step's first address to the next one's all have its number;
0 says that nothing is known of them. A lookup is a binary search of a whole array.
"""

from __future__ import annotations

import bisect
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Numbers: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Steps:
    """What holds from each of some addresses on.

    first    uint64[n, 2] in order: upper and lower half of addresses, the first is 0; IPv4 stands in the lower half
    numbers  uint32[n]: of the addresses from there on
    """

    first: npt.NDArray[np.uint64]
    numbers: Numbers

    @classmethod
    def of(cls, first: npt.NDArray[np.uint64], numbers: Numbers) -> Steps:
        """Of steps that are in order, without those that change nothing."""
        changes = np.ones(len(numbers), np.bool_)
        changes[1:] = numbers[1:] != numbers[:-1]
        return cls(np.ascontiguousarray(first[changes]), np.ascontiguousarray(numbers[changes]))

    def without(self, spans: Iterable[tuple[int, int]], end: int) -> Steps:
        """The same, knowing nothing from each span's first address to before its second one; `end` is behind all."""
        steps = dict(zip([high << 64 | low for high, low in self.first.tolist()], self.numbers.tolist(), strict=True))
        firsts = sorted(steps)
        for first, behind in spans:
            at = bisect.bisect_left(firsts, first)
            to = bisect.bisect_right(firsts, behind)
            if behind < end:
                steps[behind] = steps[firsts[to - 1]]
            for inside in firsts[at:to]:
                if inside < behind:
                    del steps[inside]
            steps[first] = 0
            firsts = sorted(steps)
        order = sorted(steps)
        halves = np.array([(start >> 64, start & (2**64 - 1)) for start in order], np.uint64)
        return Steps.of(halves, np.array([steps[start] for start in order], np.uint32))


class Ranges:
    """Numbers of addresses, which are uint8[n, 16] with IPv4 mapped."""

    def __init__(self, ipv4: Steps, ipv6: Steps) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self._first4 = ipv4.first[:, 1].astype(np.uint32)
        self._first6 = _sortable(ipv6.first)

    def look_up(self, addresses: npt.NDArray[np.uint8]) -> Numbers:
        """The number of each of uint8[n, 16]: uint32[n], 0 where none is known."""
        addresses = np.ascontiguousarray(addresses)
        halves = addresses.view(">u8")
        is_ipv4 = (halves[:, 0] == 0) & (halves[:, 1] >> 32 == 0xFFFF)
        numbers = np.empty(len(addresses), np.uint32)
        low = (halves[is_ipv4, 1] & 0xFFFFFFFF).astype(np.uint32)
        numbers[is_ipv4] = self.ipv4.numbers[np.searchsorted(self._first4, low, "right") - 1]
        if len(low) < len(addresses):
            others = addresses[~is_ipv4].view("S16").reshape(-1)
            numbers[~is_ipv4] = self.ipv6.numbers[np.searchsorted(self._first6, others, "right") - 1]
        return numbers

    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Numbers]:
        """(first, last, numbers) of all that is known, in order of addresses: uint8[n, 16], both ends included."""
        mapped = self.ipv4.first | np.array([0, 0xFFFF << 32], np.uint64)
        ends = _last(mapped, np.array([0, 0xFFFFFFFFFFFF], np.uint64))
        ends6 = _last(self.ipv6.first, np.array([2**64 - 1, 2**64 - 1], np.uint64))
        first, last = np.concatenate([mapped, self.ipv6.first]), np.concatenate([ends, ends6])
        numbers = np.concatenate([self.ipv4.numbers, self.ipv6.numbers])
        known = np.flatnonzero(numbers)
        known = known[np.lexsort((first[known, 1], first[known, 0]))]
        return _octets(first[known]), _octets(last[known]), numbers[known]

    def without(self, networks: Iterable[IPNetwork]) -> Ranges:
        """The same, knowing nothing of `networks`, which are disjoint."""
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for one in networks:
            first = int(one.network_address)
            spans[one.version].append((first, first + one.num_addresses))
        return Ranges(self.ipv4.without(spans[4], 1 << 32), self.ipv6.without(spans[6], 1 << 128))

    def pack(self, head: dict[str, Any], level: int = 3) -> bytes:
        """All of it and `head`, which JSON can hold, as bytes; zstd's `level` 19 takes seconds.

        A line of JSON, then for IPv4 and IPv6 the differences of neighbours and the numbers, byte by byte of all
        values: what is alike stands together, and zstd finds it.
        """
        parts = []
        for steps in (self.ipv4, self.ipv6):
            parts += [_planes(_differences(steps.first[:, n])) for n in (0, 1)]
            parts.append(_planes(steps.numbers))
        counts = [len(self.ipv4.numbers), len(self.ipv6.numbers)]
        body = b"".join(parts)
        compressed: bytes = pa.Codec("zstd", compression_level=level).compress(body, asbytes=True)
        return json.dumps({**head, "steps": counts, "size": len(body)}).encode() + b"\n" + compressed

    @classmethod
    def unpack(cls, packed: bytes) -> tuple[Ranges, dict[str, Any]]:
        """What pack() made, and its head."""
        line, _, compressed = packed.partition(b"\n")
        head = json.loads(line)
        body = np.frombuffer(pa.Codec("zstd").decompress(compressed, head["size"]), np.uint8)
        made, at = [], 0
        for count in head["steps"]:
            halves = []
            for _ in range(2):
                planes = body[at : at + 8 * count].reshape(8, count)
                halves.append(np.cumsum(_values(planes, np.uint64), dtype=np.uint64))
                at += 8 * count
            numbers = _values(body[at : at + 4 * count].reshape(4, count), np.uint32)
            at += 4 * count
            made.append(Steps(np.stack(halves, axis=1), numbers))
        return cls(*made), head


def _sortable(halves: npt.NDArray[np.uint64]) -> npt.NDArray[np.bytes_]:
    """Addresses as texts of 16 bytes, which numpy orders as it should: those that zeros end are padded with them."""
    return _octets(halves).view("S16").reshape(-1)


def _octets(halves: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return halves.astype(">u8").view(np.uint8).reshape(-1, 16)


def _last(first: npt.NDArray[np.uint64], end: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The address before the next one's `first`, and for the last one `end`."""
    last = first[1:].copy()
    last[:, 0] -= last[:, 1] == 0
    last[:, 1] -= np.uint64(1)
    return np.concatenate([last, end.reshape(1, 2)])


def _differences(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Modulo 2^64, as the lower halves of IPv6 do not rise."""
    return np.diff(values, prepend=np.uint64(0))


def _planes(values: npt.NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).view(np.uint8).reshape(len(values), -1).T.tobytes()


def _values(planes: npt.NDArray[np.uint8], dtype: type[np.unsignedinteger[Any]]) -> npt.NDArray[Any]:
    little = np.ascontiguousarray(planes.T).view(np.dtype(dtype).newbyteorder("<")).reshape(-1)
    return little.astype(dtype)
