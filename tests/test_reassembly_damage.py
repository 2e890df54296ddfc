"""Fragments that were bent in any way: nothing is read beyond its buffer, and how frames are cut changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from spanline.batch import Batch, Decode
from spanline.stages.flows import Flows
from spanline.transforms.reassemble import Reassemble
from tests.craft import Frame, authentication, ethernet, extension, icmp, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_fragments import pieces
from tests.craft_tunnels import gre, vxlan
from tests.rows import chunk_of
from tests.test_decode_damage import assert_inside
from tests.test_defrag import rows_of

SECOND = 10**9


def packets() -> list[Frame]:
    """Of each kind one, some of them in fragments inside others."""
    v4, v6 = ipv4("192.0.2.1", "192.0.2.2"), ipv6("2001:db8::7", "2001:db8::8")
    inner = [*pieces(v4 / udp(5, 6) / bytes(100), 40, identification=3), *pieces(v6 / tcp(5, 6) / bytes(100), 64)]
    vxlans = [outer / udp(7, 4789) / vxlan(9) / ethernet() for outer in (v4, v6)]
    return [
        v4 / icmp() / bytes(60),
        v4 / icmp(3, 1) / inner[0],
        v6 / extension(60) / udp(1, 2) / bytes(60),
        v4 / authentication() / tcp(1, 2) / bytes(40),
        *(tunnel / part for tunnel in [*vxlans, v4 / gre(key=9), v4] for part in inner),
    ]


def bent(seed: int) -> list[Record]:
    """Their fragments, mixed and repeated, with some bytes changed and some frames cut."""
    random = np.random.default_rng(seed)
    frames = [
        bytes(ethernet() / part)
        for n, packet in enumerate(packets())
        for part in pieces(packet, 8 * int(random.integers(2, 12)), identification=n)
    ]
    every = np.arange(len(frames))
    order = (every, random.permutation(every), np.sort(random.choice(every, 2 * len(every))))[seed % 3]
    found, now = [], START
    for n in order.tolist():
        octets = bytearray(frames[n])
        for _ in range(int(random.choice([0, 0, 0, 0, 0, 0, 0, 0, 1, 3]))):
            # Most of what decides stands in the first bytes behind Ethernet.
            at = int(random.integers(12, min(len(octets), 80) if random.random() < 0.8 else len(octets)))
            octets[at] = int(random.choice([0, 1, 4, 6, 17, 44, 47, 0x20, 0x40, 0x45, 0x60, random.integers(256)]))
        size = len(octets) if random.random() < 0.98 else int(random.integers(0, len(octets)))
        now += int(random.choice([1, 1, 1, 1, SECOND, -SECOND]))
        found.append(Record(now, bytes(octets[:size]), len(octets)))
    return found


def through(frames: list[Record], sizes: list[int]) -> tuple[list[Batch], Reassemble, Decode]:
    table, decode, batches, at = Reassemble(memory=1 << 18), Decode(reassemble=True, verify_checksums=True), [], 0
    flows = Flows()
    while at < len(frames):
        size = sizes[len(batches) % len(sizes)]
        for batch in table.feed(decode(chunk_of(frames[at : at + size]))):
            flows.update(batch)
            batches.append(batch)
        at += size
    return batches, table, decode


@pytest.mark.parametrize("seed", range(40))
def test_bent_fragments(seed: int) -> None:
    frames = bent(seed)
    (at_once, table, decode), random = through(frames, [len(frames)]), np.random.default_rng(seed)
    assert_inside(at_once[0])
    assert table.counters.completed == len(at_once[0].datagrams)
    batches, other, other_decode = through(frames, random.integers(1, 60, 7).tolist())
    for batch in batches:
        assert_inside(batch)
    assert other.counters == table.counters
    assert rows_of(batches) == rows_of(at_once)
    assert sum(len(batch.tunnels) for batch in batches) == len(at_once[0].tunnels)
    assert sum(len(batch.layers) for batch in batches) == len(at_once[0].layers)
    assert other_decode.decoder.too_deep == decode.decoder.too_deep
    assert other_decode.decoder.undecodable == decode.decoder.undecodable
    rows = at_once[0].packets
    assert decode.decoder.undecodable == np.count_nonzero((rows["verdict"] != 0) & (rows["ip_version"] == 0))


def test_most_of_them_are_completed() -> None:
    assert sum(through(bent(seed), [1000])[1].counters.completed for seed in range(12)) > 100
