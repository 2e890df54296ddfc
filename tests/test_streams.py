"""Annotate on frames of our own.

Oracles: what tshark 4.0.17 says of the same frames, written down beside them; and the same frames fed in one piece.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from spanline._streams import STREAMS_PER_SLAB
from spanline.batch import Batch, Decode
from spanline.errors import UsageError
from spanline.schema import ANALYSIS_FLAGS, NO_STREAM, NO_TIME
from spanline.transforms.annotate import Annotate
from tests.craft import Frame, ethernet, fragments, icmp, ipv4, option, raw, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.rows import chunk_of, decode_all

MS = 1_000_000


def annotate(*frames: Frame | bytes | Record) -> Batch:
    batch = decode_all(frames)
    (annotated,) = Annotate(details=True).feed(batch)
    return annotated


def segment(
    way: int, seq: int, ack: int, flags: str = "A", length: int = 0, window: int = 1000, options: bytes = b""
) -> Frame:
    """A segment between two ends, 0 the client; numbers are relative, 100 and 500 at the beginning."""
    address, ports, start = ("10.0.0.1", "10.0.0.2"), (40000, 8099), (100, 500)
    numbers = (start[way] + seq) % 2**32, (start[1 - way] + ack) % 2**32 if "A" in flags else 0
    header = tcp(
        ports[way], ports[1 - way], seq=numbers[0], ack=numbers[1], flags=flags, window=window, options=options
    )
    return ethernet() / ipv4(address[way], address[1 - way]) / header / raw(b"x" * length)


HANDSHAKE = [(0, segment(0, 0, 0, "S")), (1, segment(1, 0, 1, "SA")), (2, segment(0, 1, 1))]


def flags_of(batch: Batch) -> list[str]:
    return [
        " ".join(name for bit, name in enumerate(ANALYSIS_FLAGS) if bits >> bit & 1)
        for bits in batch.streams["analysis"].tolist()
    ]


# Segments after the handshake, with their time in ms, and what tshark flags each of them.
ANALYSED: dict[str, list[tuple[float, Frame, str]]] = {
    "sent again late": [(3, segment(0, 1, 1, "PA", 10), ""), (300, segment(0, 1, 1, "PA", 10), "retransmission")],
    "sent again although acknowledged": [
        (3, segment(0, 1, 1, "PA", 10), ""),
        (4, segment(1, 1, 11), ""),
        (300, segment(0, 1, 1, "PA", 10), "retransmission spurious-retransmission"),
    ],
    "sent again and longer": [(3, segment(0, 1, 1, "A", 10), ""), (300, segment(0, 1, 1, "A", 20), "retransmission")],
    "overtaken": [(3, segment(0, 11, 1, "A", 10), "lost-segment"), (3.5, segment(0, 1, 1, "A", 10), "out-of-order")],
    "overtaken by far": [
        (3, segment(0, 11, 1, "A", 9), "lost-segment"),
        (9, segment(0, 1, 1, "A", 9), "retransmission"),
    ],
    "asked for": [
        (3, segment(1, 1, 1, "A", 100), ""),
        (4, segment(1, 101, 1, "A", 100), ""),
        (5, segment(0, 1, 1), "duplicate-ack"),
        (50, segment(0, 1, 1), "duplicate-ack"),
        (60, segment(1, 1, 1, "A", 100), "retransmission fast-retransmission"),
    ],
    "kept alive": [
        (3, segment(0, 1, 1, "A", 5), ""),
        (4, segment(1, 1, 6), ""),
        (900, segment(0, 5, 1, "A", 1), "keep-alive"),
        (901, segment(1, 1, 6), "keep-alive-ack"),
    ],
    "window shut and probed": [
        (3, segment(1, 1, 1, window=0), "zero-window"),
        (900, segment(0, 1, 1, "A", 1), "zero-window-probe"),
        (901, segment(1, 1, 1, window=0), "zero-window zero-window-probe-ack"),
        (990, segment(1, 1, 1, window=500), "window-update"),
    ],
    "window filled": [(3, segment(1, 1, 1, window=10), "window-update"), (4, segment(0, 1, 1, "A", 10), "window-full")],
    "acknowledged unseen": [(3, segment(1, 1, 30), "ack-lost-segment")],
    "ports used again": [(3, segment(0, 7000, 0, "S"), "reused-ports"), (4, segment(0, 7001, 1), "")],
    "SYN again": [(3, segment(0, 0, 0, "S"), "retransmission")],
}


@pytest.mark.parametrize("name", ANALYSED)
def test_flags_are_tsharks(name: str) -> None:
    timed = [*HANDSHAKE, *((at, frame) for at, frame, _ in ANALYSED[name])]
    batch = annotate(*(Record(START + int(at * MS), frame) for at, frame in timed))
    assert flags_of(batch) == ["", "", "", *(flags for _, _, flags in ANALYSED[name])]


def test_details_of_a_connection() -> None:
    """Every column of `analysis`, as tshark prints it."""
    scale = b"\1" + option(3, b"\7")
    batch = annotate(
        Record(START, segment(0, 0, 0, "S", options=scale)),
        Record(START + 10 * MS, segment(1, 0, 1, "SA", options=scale)),
        Record(START + 15 * MS, segment(0, 1, 1)),
        Record(START + 20 * MS, segment(0, 1, 1, "PA", 30)),
        Record(START + 31 * MS, segment(1, 1, 31)),
        Record(START + 32 * MS, segment(1, 1, 31)),
    )
    rows = batch.analysis
    assert rows["seq"].tolist() == [0, 0, 1, 1, 1, 1]
    assert rows["ack"].tolist() == [0, 1, 1, 1, 31, 31]
    assert rows["next_seq"].tolist() == [1, 1, 1, 31, 1, 1]
    assert rows["length"].tolist() == [0, 0, 0, 30, 0, 0]
    assert rows["window"].tolist() == [1000, 1000, 128000, 128000, 128000, 128000]
    assert rows["window_scale"].tolist() == [0, 0, 128, 128, 128, 128]
    assert rows["time_relative"].tolist() == [0, 10 * MS, 15 * MS, 20 * MS, 31 * MS, 32 * MS]
    assert rows["time_delta"].tolist() == [0, 10 * MS, 5 * MS, 5 * MS, 11 * MS, MS]
    assert rows["initial_rtt"].tolist() == [NO_TIME, NO_TIME, 15 * MS, 15 * MS, 15 * MS, 15 * MS]
    assert rows["ack_rtt"].tolist() == [NO_TIME, 10 * MS, 5 * MS, NO_TIME, 11 * MS, NO_TIME]
    assert rows["completeness"].tolist() == [0, 1, 3, 7, 15, 15]
    assert rows["duplicate_ack_number"].tolist() == [0, 0, 0, 0, 0, 1]
    assert rows["duplicate_ack_frame"].tolist() == [0, 0, 0, 0, 0, 5]
    assert batch.streams["direction"].tolist() == [0, 1, 0, 0, 1, 1]
    assert batch.streams["begins"].tolist() == [1, 0, 0, 0, 0, 0]


def test_the_middle_of_a_connection_starts_at_one() -> None:
    rows = annotate(segment(0, 900, 400, "A", 10), segment(1, 400, 910)).analysis
    assert (rows["seq"].tolist(), rows["ack"].tolist()) == ([1, 1], [1, 11])
    assert rows["window_scale"].tolist() == [-1, -1]


def test_another_connection_is_another_stream_in_the_same_slot() -> None:
    batch = annotate(segment(0, 0, 0, "S"), segment(0, 5, 0, "S"), segment(1, 0, 6, "SA"))
    assert batch.streams["stream"].tolist() == [0, 1, 1]
    assert batch.streams["slot"].tolist() == [0, 0, 0]
    assert batch.streams["begins"].tolist() == [1, 1, 0]


def numbers(batch: Batch, protocol: str) -> list[tuple[int, int]]:
    return list(zip(*(part.tolist() for part in batch.stream_numbers(protocol)), strict=True))


def test_outer_and_quoted_headers_have_streams() -> None:
    """Outermost first; of a quoted TCP header 16 bytes must be there."""
    inner = ethernet() / ipv4("192.168.0.1", "192.168.0.2") / udp(1, 2) / raw(b"hello")
    outer = ethernet() / ipv4() / udp(5000, 4789) / vxlan(7)
    about = bytes(ipv4("10.0.0.2", "10.0.0.9") / tcp(1, 2, flags="A"))
    unreachable = ethernet() / ipv4("10.0.0.9", "10.0.0.2") / icmp(3, 1, bytes(4))
    batch = annotate(
        outer / inner, inner, outer / ethernet() / raw(b"?" * 40, ether_type=0x1234), ethernet() / icmp(),
        unreachable / raw(about[:36]), unreachable / raw(about[:35]),
        ethernet() / ipv4("10.0.0.9", "10.0.0.2") / tcp(2, 1) / raw(b"x"),
    )  # fmt: skip
    assert numbers(batch, "udp") == [(0, 0), (0, 1), (1, 1), (2, 0)]
    assert numbers(batch, "tcp") == [(4, 0), (6, 0)]
    assert batch.streams["stream"].tolist() == [1, 1, 0, NO_STREAM, NO_STREAM, NO_STREAM, 0]


def test_a_selection_keeps_its_streams() -> None:
    outer = ethernet() / ipv4() / udp(5000, 4789) / vxlan(7)
    batch = annotate(segment(0, 0, 0, "S"), outer / segment(1, 0, 1, "SA"), ethernet() / ipv4() / udp(7, 8))
    some = batch.select(np.array([False, True, True]))
    assert numbers(some, "udp") == [(0, 0), (1, 1)]
    assert numbers(some, "tcp") == [(0, 0)]
    assert (len(some.streams), len(some.analysis)) == (2, 2)


def test_fragments() -> None:
    """Without reassembly the first fragment has a stream, and its length is not known."""
    whole = ipv4() / tcp(1, 2, seq=7, flags="A") / raw(b"x" * 64)
    batch = annotate(*(ethernet() / piece for piece in fragments(whole, 40)))
    assert batch.streams["stream"].tolist() == [0, NO_STREAM, NO_STREAM]
    assert (batch.analysis["seq"][0], batch.analysis["present"][0]) == (7, 0b101)


def chaos(seed: int, count: int = 400) -> list[Record]:
    """Segments of four connections with numbers, flags and options as they come."""
    chance, now, made = random.Random(seed), START, []
    for _ in range(count):
        now += chance.choice([0, 100_000, MS, 5 * MS, 30 * MS, -MS])
        way, port = chance.randrange(2), chance.randrange(4)
        seq, ack = (
            base + chance.choice([0, 1, 1, 2, 10, 11, 20, 30, 50, 60, 1 << 31, -1, 100_000]) for base in (1000, 1000)
        )
        flags = chance.choice([*["A"] * 8, *["PA"] * 5, "S", "SA", "FA", "F", "R", "RA", "SF", ""])
        ports = (40000 + port, 8099) if way == 0 else (8099, 40000 + port)
        ends = ("10.0.0.1", "10.0.0.2") if way == 0 else ("10.0.0.2", "10.0.0.1")
        scale = chance.choice([b"", option(3, bytes([chance.choice([0, 2, 14, 200])])), b"\3\0", b"\3"])
        header = tcp(*ports, seq=seq, ack=ack, flags=flags, window=chance.choice([0, 20, 100]), options=scale)
        made.append(Record(now, ethernet() / ipv4(*ends) / header / raw(b"x" * chance.choice([0, 0, 1, 10, 30]))))
    return made


def in_pieces(frames: list[Record], sizes: list[int]) -> Iterator[Batch]:
    decode, at = Decode(), 0
    while at < len(frames):
        size = sizes[at % len(sizes)]
        yield decode(chunk_of(frames[at : at + size]))
        at += size


def rows_in_order(frames: list[Record], sizes: list[int]) -> tuple[bytes, bytes]:
    transform, streams, analysis = Annotate(details=True), b"", b""
    for batch in in_pieces(frames, sizes):
        transform.feed(batch)
        streams += batch.streams.tobytes()
        analysis += batch.analysis.tobytes()
    return streams, analysis


@pytest.mark.parametrize("seed", range(4))
def test_the_size_of_batches_does_not_matter(seed: int) -> None:
    frames = chaos(seed)
    assert rows_in_order(frames, [1]) == rows_in_order(frames, [7, 3, 60]) == rows_in_order(frames, [len(frames)])


@pytest.mark.parametrize("seed", range(8))
def test_another_one_goes_on_where_the_state_was_taken(seed: int) -> None:
    frames = chaos(seed)
    place = random.Random(seed).randrange(1, len(frames))
    first, second = (list(in_pieces(frames, [place, *[len(frames)] * len(frames)])) for _ in range(2))
    one, other, same = Annotate(details=True), Annotate(details=True), Annotate(details=True)
    one.feed(first[0])
    other.restore(one.state())
    for mine, theirs in zip(first[1:], second[1:], strict=True):
        one.feed(mine)
        other.feed(theirs)
        assert mine.streams.tobytes() == theirs.streams.tobytes()
        assert mine.analysis.tobytes() == theirs.analysis.tobytes()
    assert one.counters == other.counters
    same.restore(one.state())
    for name in ("records", "segments"):
        assert same.state()[name].tobytes() == other.state()[name].tobytes() == one.state()[name].tobytes()


def damaged(name: str, column: str, value: int) -> dict[str, object]:
    one = Annotate()
    one.feed(decode_all(chaos(1)))
    state = {**one.state()}
    state[name] = state[name].copy()
    rows = state[name]["direction"] if column in ("scale", "sent") else state[name]
    rows[column][...] = np.array(value) if column != "sent" else np.array((0, 0, value, 0, 0), rows[column].dtype)
    return state


@pytest.mark.parametrize(
    ("column", "value"), [("protocol", 1), ("scale", 15), ("scale", -3), ("sent", 9), ("sent", 10001)]
)
def test_a_damaged_state_is_refused(column: str, value: int) -> None:
    with pytest.raises(UsageError, match="damaged"):
        Annotate().restore(damaged("records", column, value))


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="too few for streams"):
        Annotate(memory=1 << 20)


def test_eviction_and_forgotten_segments_under_a_cap() -> None:
    """The least recently used streams go, and numbers go on; memory for segments is taken from streams in turn."""
    count = 8 * STREAMS_PER_SLAB
    transform, busy, seen = Annotate(memory=1 << 24), segment(0, 1, 1), set()
    template = bytearray(bytes(ethernet() / ipv4("10.0.0.1", "192.0.2.1") / tcp(1, 2, flags="A") / raw(b"x")))
    for start in range(0, count, 5_000):
        frames: list[Record] = [Record(START + start, busy)]
        for n in range(start, min(start + 5_000, count)):
            template[26:30] = struct.pack("!I", 0x0B000000 + n)
            frames.append(Record(START + n, bytes(template)))
        batch = decode_all(frames)
        transform.feed(batch)
        seen.add(int(batch.streams["stream"][0]))
        assert batch.streams["slot"].max() < 3 * STREAMS_PER_SLAB
    assert seen == {0}, "who is used stays"
    assert transform.counters.tcp_streams == count + 1
    assert transform.counters.evicted >= count - 3 * STREAMS_PER_SLAB
    assert transform.counters.packets == count + len(range(0, count, 5_000))


def test_endless_unacknowledged_segments_are_bounded() -> None:
    """10,000 of a direction are remembered, as Wireshark does; and an ACK of all of them empties the list."""
    frames = [segment(0, 1 + n, 1, "A", 1) for n in range(10_050)]
    transform = Annotate(details=True)
    transform.feed(decode_all(frames))
    assert len(transform.state()["segments"]) == 10_000
    transform.feed(decode_all([segment(1, 1, 10_051)]))
    assert len(transform.state()["segments"]) == 0
