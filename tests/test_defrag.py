"""The table of unfinished datagrams: fragments that overlap, repeat, lie and never end, its memory, its state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spanline
from spanline.batch import Batch, Decode
from spanline.transforms.reassemble import Reassemble, ReassemblyCounters
from tests.craft import Frame, ethernet, ipv4, ipv6, udp
from tests.craft_files import START, Record, records
from tests.craft_fragments import piece, pieces
from tests.rows import chunk_of, payload, stack
from tests.test_reassembly import DATA, V4, V6, flags

SECOND = 10**9
OTHER = ipv4("192.0.2.1", "192.0.2.2", protocol=253) / DATA  # of a protocol that nobody reads


def fed(table: Reassemble, frames: Iterable[Frame | bytes | Record], decode: Decode | None = None) -> Batch:
    [batch] = table.feed((decode or Decode(reassemble=True))(chunk_of(frames)))
    return batch


def part(start: int, data: bytes, more: bool, *, packet: Frame = OTHER, identification: int = 1) -> Frame:
    return ethernet() / piece(packet, start, more=more, data=data, identification=identification)


def both(*frames: Frame) -> tuple[bytes, set[str]]:
    """The datagram that the last of the frames completes, and what its row says of overlap."""
    batch = fed(Reassemble(), frames)
    assert len(batch.datagrams) == 1
    assert batch.datagrams["packet"][0] == len(frames) - 1
    return payload(batch, -1), flags(batch, len(frames) - 1) & {"overlap", "overlap-differs"}


OVERLAP, DIFFERS = {"overlap"}, {"overlap", "overlap-differs"}


def test_overlap_policy() -> None:
    a, b = b"a" * 16, b"b" * 16
    assert both(part(0, a, True), part(16, b, False)) == (a + b, set())
    assert both(part(0, a, True), part(0, a, True), part(16, b, False)) == (a + b, OVERLAP)
    assert both(part(0, a, True), part(0, b, True), part(16, b, False)) == (a + b, DIFFERS), "the first of two"
    assert both(part(0, b, True), part(0, a, True), part(16, b, False)) == (b + b, DIFFERS)
    assert both(part(8, b, False), part(0, a, True)) == (a + b[:8], DIFFERS), "the one that begins first"
    assert both(part(0, a, True), part(8, b, False)) == (a + b[:8], DIFFERS)
    assert both(part(8, a, False), part(0, a, True)) == (a + a[:8], OVERLAP)
    inside = part(0, a + a, True), part(8, b, True), part(32, b, False)
    assert both(*inside) == (a + a + b, DIFFERS)


def test_teardrop() -> None:
    """The second fragment ends inside the first: what is to be copied of it is nothing, and not a negative length."""
    assert both(part(0, b"a" * 36, True), part(24, b"b" * 4, False)) == (b"a" * 28, DIFFERS)
    assert both(part(24, b"a" * 4, False), part(0, b"a" * 36, True)) == (b"a" * 28, OVERLAP)


def test_the_first_end_counts() -> None:
    a, b = b"a" * 16, b"b" * 16
    assert both(part(16, b, False), part(32, b, False), part(0, a, True)) == (a + b, set())
    assert both(part(16, b[:5], False), part(16, b, True), part(0, a, True)) == (a + b[:5], OVERLAP)
    assert both(part(32, b, True), part(16, b[:3], False), part(0, a, True)) == (a + b[:3], set())


def test_a_fragment_may_end_inside_eight_bytes() -> None:
    """IPv4 forbids it and everybody takes it: its last bytes count where another fragment starts among them."""
    assert both(part(0, b"a" * 13, True), part(8, b"b" * 8, False)) == (b"a" * 13 + b"b" * 3, DIFFERS)
    table = Reassemble()
    fed(table, [part(0, b"a" * 13, True), part(16, b"b" * 8, False)])
    assert table.counters == ReassemblyCounters(pending=1)
    batch = fed(table, [part(8, b"c" * 8, True)])
    assert payload(batch, -1) == b"a" * 13 + b"c" * 3 + b"b" * 8


def test_the_longest_datagram() -> None:
    data = bytes(range(256)) * 256
    table = Reassemble()
    for packet in (OTHER, ipv6(next_header=253) / b"x"):
        parts = [
            part(at, data[at : min(at + 1480, 65535)], at + 1480 < 65535, packet=packet) for at in range(0, 65535, 1480)
        ]
        for order in (parts, parts[::-1], parts[1::2] + parts[::2]):
            assert payload(fed(table, order), -1) == data[:65535]
    assert table.counters == ReassemblyCounters(completed=6)


def test_ping_of_death() -> None:
    """Nobody takes a datagram of more than 65,535 bytes: it goes, and what follows begins another."""
    table = Reassemble()
    fed(table, [part(0, bytes(1480), True), part(65528, bytes(8), True), part(1480, bytes(8), False)])
    assert table.counters == ReassemblyCounters(refused=1, pending=1)
    fed(table, [part(65528, bytes(1480), False, identification=2)])
    assert table.counters == ReassemblyCounters(refused=2, pending=1)
    fed(table, [part(0, bytes(1480), True)])
    assert table.counters == ReassemblyCounters(refused=2, completed=1)


@pytest.mark.parametrize("packet", [V4, V6], ids=["v4", "v6"])
def test_too_old(packet: Frame) -> None:
    first, second = (ethernet() / one for one in pieces(packet, 64))
    other = part(0, b"a" * 8, True, packet=packet, identification=9)
    for late, counters in (
        (60 * SECOND, ReassemblyCounters(completed=1)),
        (60 * SECOND + 1, ReassemblyCounters(timed_out=1, pending=1)),
        (-60 * SECOND, ReassemblyCounters(completed=1)),
    ):
        table = Reassemble()
        fed(table, [Record(START, first), Record(START + late, second)])
        assert table.counters == counters
    table = Reassemble(timeout=1.5)
    fed(table, [Record(START, first), Record(START + 2 * SECOND, other)])
    assert table.counters == ReassemblyCounters(timed_out=1, pending=1), "another's fragment tells the time as well"
    table = Reassemble()
    fed(table, [Record(START + 100 * SECOND, other), Record(START, first), Record(START + 61 * SECOND, second)])
    assert table.counters == ReassemblyCounters(timed_out=1, pending=2), "where the clock went back too"


def test_times_at_the_ends_of_the_clock() -> None:
    table = Reassemble()
    first, second = (ethernet() / one for one in pieces(V4, 64))
    extremes = -(2**63), 2**63 - 1
    fed(table, [Record(extremes[0], first), Record(extremes[1], second), Record(extremes[0], first)])
    assert table.counters == ReassemblyCounters(timed_out=1, completed=1)


def test_the_oldest_goes_when_datagrams_are_full() -> None:
    table, many = Reassemble(memory=1 << 18), (1 << 18) // 2048
    begun = [ethernet() / pieces(V4, 64, identification=n)[0] for n in range(many + 5)]
    fed(table, begun)
    assert table.counters == ReassemblyCounters(evicted=5, pending=many)
    ended = [ethernet() / pieces(V4, 64, identification=n)[1] for n in range(many + 5)]
    fed(table, ended[5:])
    assert table.counters == ReassemblyCounters(evicted=5, completed=many)


def test_the_oldest_goes_when_bytes_are_full() -> None:
    table, most = Reassemble(memory=1 << 18), (1 << 18) // 512 // 9
    frames = [part(0, bytes(4000), True, identification=n) for n in range(most + 7)]
    fed(table, frames[:most])
    assert table.counters == ReassemblyCounters(pending=most)
    fed(table, frames[most:])
    assert table.counters == ReassemblyCounters(pending=most, evicted=7)
    fed(table, [part(4000, b"end", False, identification=n) for n in (6, 7)])
    assert table.counters.completed == 1


def test_a_datagram_that_never_ends_takes_no_more_than_the_memory() -> None:
    table, blocks = Reassemble(memory=1 << 18), (1 << 18) // 512
    fed(table, [part(8, b"a" * 8, True)] * (3 * blocks))
    assert table.counters == ReassemblyCounters(evicted=2, pending=1)
    batch = fed(table, [part(0, b"b" * 8, True), part(16, b"d" * 8, False), part(8, b"c" * 8, True)])
    assert table.counters == ReassemblyCounters(evicted=3, completed=1)
    assert payload(batch, -1) == b"b" * 8 + b"c" * 8 + b"d" * 8


def test_eviction_of_the_datagram_that_needs_room() -> None:
    """The oldest is the one that the fragment belongs to: it begins anew with it."""
    table = Reassemble(memory=1 << 18)
    fed(table, [part(8, bytes(65000), True), *(part(8, bytes(65000), True) for _ in range(3))])
    assert table.counters == ReassemblyCounters(evicted=1, pending=1)


def test_memory_has_a_least() -> None:
    with pytest.raises(spanline.UsageError, match="256 KiB"):
        Reassemble(memory=1000)


def test_many_fragments_are_put_in_order() -> None:
    """8,000 fragments of 8 bytes, last first, each twice: work in proportion, and the right bytes."""
    data = np.random.default_rng(1).integers(0, 256, 64000, np.uint8).tobytes()
    frames = [part(at, data[at : at + 8], at + 8 < len(data)) for at in range(0, len(data), 8)]
    repeated = [frame for frame in frames[:0:-1] for _ in range(2)] + frames[:1]
    batch = fed(Reassemble(), repeated)
    assert payload(batch, -1) == data
    assert flags(batch, len(batch) - 1) >= OVERLAP


@dataclass
class Model:
    """Reassembly in the plainest way: by byte, with everything kept."""

    pending: dict[int, list[tuple[int, bytes, bool]]] = field(default_factory=dict)

    def add(self, key: int, start: int, data: bytes, more: bool) -> tuple[bytes, bool, bool] | None:
        fragments = self.pending.setdefault(key, [])
        fragments.append((start, data, more))
        length = next((at + len(d) for at, d, m in fragments if not m), None)
        if length is None:
            return None
        found: list[int | None] = [None] * length
        overlap = differs = False
        for at, octets, _ in sorted(fragments, key=lambda one: one[0]):
            for n, octet in enumerate(octets[: max(0, length - at)], at):
                overlap |= found[n] is not None
                differs |= found[n] not in (None, octet)
                found[n] = octet if found[n] is None else found[n]
        if None in found:
            return None
        del self.pending[key]
        return bytes(octet for octet in found if octet is not None), overlap, differs


FRAGMENTS = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.integers(0, 8).map(lambda n: 8 * n),
        st.sampled_from([8, 16, 24, 5, 13, 1]),
        st.sampled_from([True, True, False]),
        st.integers(0, 1),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(FRAGMENTS, st.lists(st.integers(0, 40), max_size=6), st.booleans(), st.randoms(use_true_random=False))
def test_any_fragments_in_any_batches(
    fragments: list[tuple[int, int, int, bool, int]], cuts: list[int], six: bool, random: Any
) -> None:
    """As the model does it, however the frames are cut into batches and whenever the table is saved and restored."""
    packet = ipv6(next_header=253) / b"x" if six else OTHER
    model, frames, wanted = Model(), [], []
    for key, start, length, more, fill in fragments:
        data = bytes([fill] * length)
        frames.append(part(start, data, more, packet=packet, identification=key))
        atomic = six and start == 0 and not more
        unfragmented = start == 0 and not more
        wanted.append(None if atomic or unfragmented else model.add(key, start, data, more))
    table, decode = Reassemble(), Decode(reassemble=True)
    timed = records(frames)
    for begin, end in pairwise(sorted({0, len(frames), *(min(cut, len(frames)) for cut in cuts)})):
        if random.random() < 0.5:
            other = Reassemble()
            other.restore(table.state())
            table = other
        batch = fed(table, timed[begin:end], decode)
        place = {int(one["packet"]): n for n, one in enumerate(batch.datagrams)}
        for n in range(end - begin):
            expected = wanted[begin + n]
            assert (n in place) == (expected is not None)
            if expected:
                assert payload(batch, n) == expected[0]
                found = flags(batch, n)
                assert ("overlap" in found, "overlap-differs" in found) == expected[1:]
    assert table.counters.pending == len(model.pending)
    assert table.counters.completed == sum(one is not None for one in wanted)


def rows_of(batches: list[Batch]) -> list[tuple[object, ...]]:
    """What the rows say, with payloads and stacks for the numbers that depend on how frames were cut into batches."""
    same = [n for n in batches[0].packets.dtype.names if n not in ("frame_offset", "payload_offset", "path")]
    return [
        (
            *(batch.packets[name][n].tobytes() for name in same),
            payload(batch, n),
            stack(batch, n),
        )
        for batch in batches
        for n in range(len(batch))
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_state_goes_on_at_any_packet(size: int) -> None:
    inner = pieces(ipv4("10.9.0.1", "10.9.0.2") / udp(5, 6) / bytes(900), 304)
    frames = [ethernet() / one for n, part in enumerate(inner) for one in pieces(ipv4() / part, 120, identification=n)]
    frames += [ethernet() / one for n in range(9) for one in pieces(V6, 40, identification=n)]
    np.random.default_rng(3).shuffle(frames)
    timed = records(frames, START)
    at_once = fed(Reassemble(), timed)
    table, decode, batches = Reassemble(), Decode(reassemble=True), []
    for start in range(0, len(timed), size):
        state = table.state()
        table = Reassemble()
        table.restore(state)
        batches.append(fed(table, timed[start : start + size], decode))
        assert table.state()["counters"]["pending"] == table.counters.pending
    assert rows_of(batches) == rows_of([at_once])
    assert table.counters.completed == 3 + 1 + 9


def test_restore_refuses_what_is_no_state() -> None:
    table = Reassemble()
    fed(table, [ethernet() / pieces(V4, 64)[0]])
    good = table.state()
    odd, far = good["fragments"].copy(), good["fragments"].copy()
    odd["offset"] += 4
    far["offset"] = 65_528
    for bad in (
        good | {"fragments": odd},
        good | {"fragments": far},
        good | {"octets": good["octets"][:-1]},
        good | {"fragments": np.concatenate([good["fragments"], np.zeros(1, good["fragments"].dtype)])},
    ):
        with pytest.raises(spanline.UsageError):
            Reassemble().restore(bad)


def test_a_restored_table_evicts_and_times_out_alike() -> None:
    table = Reassemble(memory=1 << 18)
    fed(table, [Record(START + n, part(0, bytes(8), True, identification=n)) for n in range(200)])
    other = Reassemble(memory=1 << 18)
    other.restore(table.state())
    late = [Record(START + 60 * SECOND + 150, part(0, bytes(8), True, identification=999))]
    for one in (table, other):
        fed(one, late)
    assert table.counters == other.counters == ReassemblyCounters(timed_out=78, evicted=72, pending=51)
