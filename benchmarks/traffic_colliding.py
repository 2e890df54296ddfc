"""Five-tuples that collide under hashes without a secret: what somebody would send to whoever keeps a flow table.

CRC-32 and the Toeplitz hash of network cards (with the key that Microsoft published and most drivers load) are linear
over GF(2), and so is every xor of words: tuples with equal hashes are a tuple of one's choice plus the null space of a
matrix. Two families are made:

- ends that are complements of each other (destination = ~source, for addresses and ports): the xor of both ends, their
  sum and, by choice from the null space, the CRC-32 of the tuple are each the same for all of them, in both directions;
- tuples with one CRC-32 and one Toeplitz hash.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from traffic_frames import Array, Flows

RSS_KEY = int(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa",
    16,
)
"""The key of Microsoft's "Verifying the RSS hash calculation", 40 bytes."""

TUPLE_BYTES = 12
"""Source and destination address, source and destination port; the protocol is the same for all."""

TUNNEL_PORTS = (2152, 3544, 4341, 4754, 4789, 6081, 6635, 8472, 37008)
"""UDP ports behind which a decoder may look for another packet."""


def toeplitz(octets: bytes) -> int:
    """The 32-bit hash by which receive-side scaling picks a queue."""
    result = 0
    for position in range(8 * len(octets)):
        if octets[position // 8] >> (7 - position % 8) & 1:
            result ^= RSS_KEY >> (320 - 32 - position) & 0xFFFFFFFF
    return result


def _bit(position: int, size: int) -> bytes:
    return (1 << (8 * size - 1 - position)).to_bytes(size, "big")


def _null_space(images: Sequence[int]) -> list[int]:
    """Sums of inputs whose images cancel: bit i of a result says that input i takes part."""
    pivots: dict[int, tuple[int, int]] = {}
    found = []
    for number, value in enumerate(images):
        image, taken = value, 1 << number
        while image and image.bit_length() in pivots:
            other, others = pivots[image.bit_length()]
            image, taken = image ^ other, taken ^ others
        if image:
            pivots[image.bit_length()] = image, taken
        else:
            found.append(taken)
    return found


def _solutions(first: bytes, fixed: Sequence[int], function: Callable[[bytes], int], count: int) -> Array:
    """About `count` rows of bytes, or all there are, that keep `function` and the bits `fixed` of `first`."""
    size = len(first)
    zero = function(bytes(size))
    images = [
        (function(_bit(position, size)) ^ zero) << 1 | (position in fixed and 1 << 200 + position)
        for position in range(8 * size)
    ]
    rows = np.frombuffer(first, np.uint8).reshape(1, size)
    for taken in _null_space(images):
        if len(rows) >= count:
            break
        change = np.zeros(size, np.uint8)
        for position in range(8 * size):
            if taken >> position & 1:
                change ^= np.frombuffer(_bit(position, size), np.uint8)
        rows = np.concatenate((rows, rows ^ change))
    return rows


def _with_complement(half: bytes) -> bytes:
    """The tuple of a source address and port whose destination is their complement."""
    other = bytes(octet ^ 0xFF for octet in half)
    return half[:4] + other[:4] + half[4:] + other[4:]


def _both(octets: bytes) -> int:
    return zlib.crc32(octets) << 32 | toeplitz(octets)


def _usable(tuples: Array) -> Array:
    ports = tuples[:, 8:].copy().view(">u2")
    return np.asarray(tuples[~np.isin(ports, TUNNEL_PORTS).any(axis=1) & (ports != 0).all(axis=1)])


def colliding_tuples(count: int) -> Array:
    """`count` different tuples as uint8[count, TUPLE_BYTES], at most a quarter of them with complementary ends."""
    # The first two bits of an address are kept, so that neither end is multicast: 64.0.0.0/2 and 128.0.0.0/2.
    halves = _solutions(
        bytes((100, 64, 1, 2, 0xC3, 0x51)), (0, 1), lambda half: zlib.crc32(_with_complement(half)), count // 3
    )
    complements = _usable(np.array([list(_with_complement(half.tobytes())) for half in halves], np.uint8))[: count // 4]
    fixed = (*range(8), 32, 33, 64, 65, 80, 81)
    first = bytes((10, 1, 2, 3, 198, 18, 0, 1, 0xC3, 0x51, 0xD4, 0x31))
    rest = _usable(_solutions(first, fixed, _both, 2 * count))
    tuples = np.concatenate((complements, rest))[:count]
    if len(np.unique(tuples, axis=0)) < count:
        raise ValueError(f"there are not {count} colliding five-tuples: ask for fewer flows")
    assert len({zlib.crc32(row.tobytes()) for row in complements}) <= 1
    assert len({_both(row.tobytes()) for row in rest[:1000]}) == 1
    return tuples


def make_collide(flows: Flows, rng: np.random.Generator) -> None:
    """Gives IPv4 flows five-tuples that collide, in random order."""
    tuples = rng.permutation(colliding_tuples(len(flows.source)))
    flows.source[:, 12:], flows.destination[:, 12:] = tuples[:, :4], tuples[:, 4:8]
    ports = tuples[:, 8:].copy().view(">u2")
    flows.source_port, flows.destination_port = ports[:, 0].astype(np.uint16), ports[:, 1].astype(np.uint16)
