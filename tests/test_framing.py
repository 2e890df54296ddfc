"""Where records lie in pcap and pcapng files, and when they were captured.

Oracles: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Files are written by tests/craft_files.py block by block;
times are computed here with Python's unbounded integers, from the definition: ticks × resolution + offset, cut to ns.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spanline
from spanline import _framing
from spanline.schema import MARK_DTYPE, RECORD_DTYPE
from tests.craft import ethernet, ipv4, ipv6, padded, udp
from tests.craft_files import START, Pcapng, Record, pcap, pcap_header, pcap_record

LITTLE, BIG = Pcapng(), Pcapng(big_endian=True)
FRAMES = [bytes(ethernet() / ipv4(identification=n) / udp() / bytes(range(n))) for n in range(7)]
Found = tuple[int, bytes, int, int]
"""Time, captured bytes, wire length, interface."""


def scan(data: bytes, pieces: Iterable[int] = (), *, room: int = 64) -> tuple[list[Found], _framing.Framer, int]:
    """Frames of a file that comes in pieces of these sizes, and then the rest; the framer; its last status."""
    framer, found, rest, at = _framing.Framer(), [], b"", 0
    records, marks = np.empty(room, RECORD_DTYPE), np.empty(room, MARK_DTYPE)
    status = _framing.MORE
    for size in (*pieces, len(data)):
        piece = np.frombuffer(rest + data[at : at + size], np.uint8).copy()
        at += size
        status = _framing.FULL
        while status == _framing.FULL:
            status, count, _, consumed = framer.scan(piece, records.view(np.uint8), marks.view(np.uint8))
            for time, offset, captured, wire, interface, options in records[:count].tolist():
                assert offset + captured + 4 * options <= consumed
                found.append((time, piece[offset : offset + captured].tobytes(), wire, interface))
            assert consumed or status != _framing.FULL or framer.interface_count, "no progress"
            piece = piece[consumed:]
        rest = piece.tobytes()
        if status == _framing.DAMAGED:
            break
    return found, framer, status


def frames_of(path: Path) -> list[Found]:
    """The same through Capture."""
    found = []
    for batch in spanline.open(path):
        for row in batch.packets:
            data = batch.buffers[0][row["frame_offset"] :][: row["captured_length"]].tobytes()
            found.append((int(row["timestamp"]), data, int(row["wire_length"]), int(row["interface"])))
    return found


def times(found: list[Found]) -> list[int]:
    return [one[0] for one in found]


# --- pcap


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("nanoseconds", [False, True], ids=["µs", "ns"])
def test_pcap(nanoseconds: bool, big_endian: bool) -> None:
    records = [Record(START + n * 1_001_001_001, frame, 1000 + n) for n, frame in enumerate(FRAMES)]
    data = pcap(records, link_type=113, snaplen=70_000, nanoseconds=nanoseconds, big_endian=big_endian)
    found, framer, status = scan(data)
    tick = 1 if nanoseconds else 1000
    assert found == [(r.time // tick * tick, r.frame, r.wire_length, 0) for r in records]
    assert (status, framer.format, framer.swapped, framer.frames) == (_framing.MORE, "pcap", big_endian, len(FRAMES))
    assert framer.interface(0) == (113, 70_000, 9 if nanoseconds else 6, 0)
    assert framer.position == len(data)


def test_pcap_times_at_their_limits() -> None:
    """Seconds are unsigned (they end in 2106), and a fraction may be more than a second."""
    header = pcap_header()
    fields = [(0, 0), (0xFFFFFFFF, 999_999), (1, 2_000_001), (0x7FFFFFFF, 0xFFFFFFFF)]
    data = header + b"".join(struct.pack("<IIII", *time, 0, 0) for time in fields)
    assert times(scan(data)[0]) == [(seconds * 10**6 + micro) * 1000 for seconds, micro in fields]


def test_pcap_link_type_has_flags_above_it() -> None:
    """The upper six bits tell the length of the frame check sequence."""
    assert scan(pcap_header(link_type=0x24000001))[1].interface(0)[0] == 1


def test_largest_frame() -> None:
    """262,144 bytes, the limit of tshark and libpcap; one more is damage."""
    whole = pcap([b"x" * 262_144, b"y"])
    assert [len(data) for _, data, _, _ in scan(whole)[0]] == [262_144, 1]
    found, framer, status = scan(pcap([b"y", b"x" * 262_145, b"z"]))
    assert ([data for _, data, _, _ in found], status) == ([b"y"], _framing.DAMAGED)
    assert (framer.position, framer.fault[1]) == (24 + 17, 262_145)


# --- pcapng: clocks

RESOLUTIONS = [0, 3, 6, 9, 10, 12, 15, 18, 19, 0x80, 0x8A, 0x94, 0xA0, 0xA2, 0xA3, 0xB0, 0xBF]


def exact_time(ticks: int, resolution: int | None, offset: int = 0) -> int:
    if resolution is None:
        resolution = 6
    ns = ticks * 10**9 >> (resolution & 0x7F) if resolution & 0x80 else ticks * 10**9 // 10**resolution
    return ns + offset * 10**9


def one_clock(order: Pcapng, resolution: int | None, offset: int | None, ticks: list[int]) -> list[int]:
    frames = b"".join(order.enhanced(b"x", n) for n in ticks)
    return times(scan(order.section() + order.interface(tsresol=resolution, tsoffset=offset) + frames)[0])


@pytest.mark.parametrize("order", [LITTLE, BIG], ids=["little", "big"])
@pytest.mark.parametrize("resolution", [None, *RESOLUTIONS])
def test_time_stamp_resolution(resolution: int | None, order: Pcapng) -> None:
    """if_tsresol; without it µs. Random ticks of the years 1970 to 2200."""
    number = 6 if resolution is None else resolution
    bits = number & 0x7F
    second = 2**bits if number & 0x80 else 10**bits
    chance = random.Random(bits)
    ticks = [0, 1, second - 1, second, *(chance.randrange(min(second * 7_000_000_000, 1 << 64)) for _ in range(50))]
    assert one_clock(order, resolution, None, ticks) == [exact_time(n, resolution) for n in ticks]


@pytest.mark.parametrize("resolution", [20, 28, 29, 30, 127, 0xC0, 0xC8, 0xFF])
def test_resolutions_finer_than_64_bits_of_a_second(resolution: int) -> None:
    ticks = [0, 1, 10**19, (1 << 64) - 1]
    assert one_clock(LITTLE, resolution, None, ticks) == [exact_time(n, resolution) for n in ticks]


@pytest.mark.parametrize("order", [LITTLE, BIG], ids=["little", "big"])
@pytest.mark.parametrize("resolution", [6, 9, 0xA0])
@pytest.mark.parametrize("offset", [0, 1, -1, 3600, -3600, 1_700_000_000, -1_700_000_000])
def test_time_stamp_offset(offset: int, resolution: int, order: Pcapng) -> None:
    """if_tsoffset, whole seconds, signed."""
    ticks = [0, 1, 123_456_789_012]
    assert one_clock(order, resolution, offset, ticks) == [exact_time(n, resolution, offset) for n in ticks]


@pytest.mark.parametrize("order", [LITTLE, BIG], ids=["little", "big"])
@pytest.mark.parametrize("offset", [-(1 << 63), -9_223_372_037, -9_223_372_036, 9_223_372_036, (1 << 63) - 1])
def test_time_stamp_offset_beyond_the_ends_of_time(offset: int, order: Pcapng) -> None:
    """2262 and 1677 are as far as nanoseconds in 64 bits go; the very least number stands for no time at all."""
    low, high = -(1 << 63), (1 << 63) - 1
    told = one_clock(order, 9, offset, [0])[0]
    assert told == min(max(offset * 10**9, low), high) or (told == low + 1 and offset * 10**9 <= low)


@given(
    st.sampled_from(RESOLUTIONS),
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([-9_223_372_037, -9_223_372_036, 9_223_372_036]),
)
@settings(max_examples=500, deadline=None)
def test_any_clock_stays_in_64_bits(resolution: int, ticks: int, offset: int) -> None:
    """What does not fit is the last nanosecond that does; what fits is exact."""
    told = one_clock(LITTLE, resolution, offset, [ticks])[0]
    exact = exact_time(ticks, resolution, offset)
    low, high = -(1 << 63), (1 << 63) - 1
    if low <= exact_time(ticks, resolution) <= high and low <= offset * 10**9 <= high:
        assert told == min(max(exact, low), high)


# --- pcapng: blocks


def many_blocks() -> tuple[bytes, list[Found]]:
    """Sections of different byte order, interfaces of different link types and clocks, every kind of block."""
    micro, nano, binary = START // 1000, START, (START // 10**9 << 10) + 512
    second = START // 10**9 * 10**9
    blocks = [
        LITTLE.section(hardware="h", system="s", application="a", comment="c"),
        LITTLE.interface(1, snaplen=40, tsresol=None, name="eth0"),
        LITTLE.enhanced(FRAMES[1], micro, wire_length=1500, flags=1, comment="one"),
        LITTLE.names([(b"\1\2\3\4", "a.example"), (bytes(16), "b.example")]),
        LITTLE.interface(101, tsresol=9, name="tun0"),
        LITTLE.enhanced(FRAMES[2], nano + 7, interface=1),
        LITTLE.simple(FRAMES[3][:40], wire_length=44),
        LITTLE.secrets(b"CLIENT_RANDOM 1 2"),
        LITTLE.custom(b"something", copy=False),
        LITTLE.statistics(nano, interface=1, received=10, dropped=3),
        BIG.section(section_length=12345),
        BIG.interface(113, tsresol=0x8A, tsoffset=-3600),
        BIG.block(0x7FFFFFFF, bytes(100)),
        BIG.obsolete(FRAMES[4], binary, dropped=9, wire_length=99),
        BIG.custom(bytes(33)),
        BIG.interface(228, snaplen=0, tsresol=3),
        BIG.enhanced(FRAMES[5], START // 10**6, interface=1),
        BIG.simple(FRAMES[6]),
        LITTLE.section(),
        LITTLE.interface(1, snaplen=0),
        LITTLE.enhanced(b"", nano),
    ]
    found = [
        (micro * 1000, FRAMES[1], 1500, 0),
        (nano + 7, FRAMES[2], len(FRAMES[2]), 1),
        (nano + 7, FRAMES[3][:40], 44, 0),
        (second + 500_000_000 - 3600 * 10**9, FRAMES[4], 99, 2),
        (START // 10**6 * 10**6, FRAMES[5], len(FRAMES[5]), 3),
        (START // 10**6 * 10**6, FRAMES[6], len(FRAMES[6]), 2),
        (nano, b"", 0, 4),
    ]
    return b"".join(blocks), found


def test_all_blocks(tmp_path: Path) -> None:
    """Interfaces count on from section to section; a simple packet is as old as the frame before it."""
    data, wanted = many_blocks()
    found, framer, status = scan(data)
    assert found == wanted
    assert (status, framer.format, framer.frames, framer.skipping) == (_framing.MORE, "pcapng", len(wanted), 0)
    clocks = [(1, 40, 6, 0), (101, 262144, 9, 0), (113, 262144, 0x8A, -3600), (228, 0, 3, 0), (1, 0, 9, 0)]
    assert [framer.interface(n) for n in range(framer.interface_count)] == clocks
    with pytest.raises(IndexError):
        framer.interface(5)

    (tmp_path / "all.pcapng").write_bytes(data)
    capture = spanline.open(tmp_path / "all.pcapng")
    assert frames_of(tmp_path / "all.pcapng") == wanted
    assert sum(map(len, capture)) == len(wanted)
    interfaces = capture.interfaces
    assert [interfaces[n].link_type for n in range(len(interfaces))] == [1, 101, 113, 228, 1]
    assert [interfaces[n].resolution for n in range(3)] == [1e-6, 1e-9, 2**-10]
    assert (interfaces[0].name, interfaces[1].name, interfaces[2].offset) == ("eth0", "tun0", -3600)
    assert interfaces[1].statistics == {"received": 10, "dropped": 3}
    texts = {"hardware": "h", "os": "s", "application": "a", "comment": "c"}
    assert capture.files[0].sections == [texts, {}, {}]
    assert [problem.kind for problem in capture.problems] == ["backwards"], "if_tsoffset takes an hour away"


@pytest.mark.parametrize("swapped", [False, True])
def test_the_wire_length_of_simple_packets(swapped: bool) -> None:
    """Captured are `wire length` bytes or the first interface's snaplen, whichever is less; snaplen 0 is no limit."""
    ng = BIG if swapped else LITTLE
    for snaplen, size in ((0, 60), (100, 60), (60, 60), (59, 59), (1, 1)):
        data = ng.section() + ng.interface(snaplen=snaplen) + ng.interface(snaplen=5)
        found, _, _ = scan(data + ng.simple(b"x" * size, wire_length=60))
        assert found == [(0, b"x" * size, 60, 0)]


def test_each_interface_has_its_own_link_type(tmp_path: Path) -> None:
    packet = ipv4("192.0.2.1", "192.0.2.2") / udp(1, 2)
    data = LITTLE.section() + LITTLE.interface(1) + LITTLE.interface(101) + LITTLE.interface(229)
    data += LITTLE.enhanced(packet, interface=1) + LITTLE.enhanced(ethernet() / packet, interface=0)
    data += LITTLE.enhanced(ipv6() / udp(3, 4), interface=2)
    (tmp_path / "x").write_bytes(data)
    rows = spanline.open(tmp_path / "x").packets()
    assert rows["source_port"].tolist() == [1, 1, 3]
    assert not rows["verdict"].any()


@pytest.mark.parametrize("size", [100_000, (1 << 20) + 4, 5 << 20, 40 << 20])
def test_skipped_blocks_may_be_larger_than_any_buffer(tmp_path: Path, size: int) -> None:
    data = LITTLE.section() + LITTLE.interface() + LITTLE.enhanced(b"before", START)
    data += LITTLE.custom(bytes(size)) + LITTLE.enhanced(b"behind", START + 1)
    (tmp_path / "large").write_bytes(data)
    capture = spanline.open(tmp_path / "large")
    assert [frame[1] for frame in frames_of(tmp_path / "large")] == [b"before", b"behind"]
    assert (sum(map(len, capture)), capture.problems) == (2, [])


def test_a_packet_block_larger_than_the_buffer(tmp_path: Path) -> None:
    """Options may be long: a block that has to be whole makes the buffer grow."""
    comments = [(1, b"c" * 65_000)] * 60
    data = LITTLE.section() + LITTLE.interface() + LITTLE.enhanced(b"frame", START, options=comments)
    data += LITTLE.enhanced(b"after", START + 1)
    (tmp_path / "large").write_bytes(data)
    assert [frame[1] for frame in frames_of(tmp_path / "large")] == [b"frame", b"after"]


def test_the_most_interfaces() -> None:
    """65,535; the number 65535 itself stands for one that was never declared."""
    data = LITTLE.section() + LITTLE.interface(tsresol=9) * 65_535 + LITTLE.enhanced(b"x", START, interface=65_534)
    found, framer, status = scan(data)
    assert (found, framer.interface_count, status) == ([(START, b"x", 1, 65_534)], 65_535, _framing.MORE)
    found, framer, status = scan(data + LITTLE.interface() + LITTLE.enhanced(b"y"))
    assert (len(found), status, framer.position) == (1, _framing.DAMAGED, len(data))


def test_undeclared_interfaces() -> None:
    """In a section that declares fewer, the interfaces of the section before are not meant."""
    data = LITTLE.section() + LITTLE.interface() + LITTLE.interface() + LITTLE.enhanced(b"a", START, interface=1)
    data += LITTLE.section() + LITTLE.interface() + LITTLE.enhanced(b"b", START + 5, interface=1)
    data += LITTLE.section() + LITTLE.simple(b"c") + LITTLE.obsolete(b"d", START + 7, interface=65_535)
    found, framer, _ = scan(data)
    assert [(frame[1], frame[3]) for frame in found] == [(b"a", 1), (b"b", 65535), (b"c", 65535), (b"d", 65535)]
    assert framer.undeclared == (3, 2)


# --- in pieces

FILES = {
    "pcap": pcap([Record(START + n, frame, 99) for n, frame in enumerate(FRAMES)]),
    "pcap-big": pcap(FRAMES, big_endian=True, nanoseconds=True),
    "pcapng": many_blocks()[0],
    "pcapng-big": BIG.file(FRAMES),
}


@pytest.mark.parametrize("room", [1, 2, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 31, 64, 1000])
@pytest.mark.parametrize("name", FILES)
def test_pieces_of_one_size(name: str, size: int, room: int) -> None:
    data = FILES[name]
    whole, pieces = scan(data), scan(data, [size] * (len(data) // size), room=room)
    assert pieces[0] == whole[0]
    assert [one.position for _, one, _ in (whole, pieces)] == [len(data)] * 2


@given(st.sampled_from(sorted(FILES)), st.lists(st.integers(0, 200), max_size=40), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_pieces_of_any_size(name: str, sizes: list[int], room: int) -> None:
    whole, pieces = scan(FILES[name]), scan(FILES[name], sizes, room=room)
    assert pieces[0] == whole[0]
    for fact in ("position", "frames", "format", "swapped", "skipping", "fault", "backwards", "longer", "undeclared"):
        assert getattr(pieces[1], fact) == getattr(whole[1], fact)


@given(st.binary(max_size=300), st.sampled_from(["", *FILES]), st.lists(st.integers(1, 100), max_size=5))
@settings(max_examples=500, deadline=None)
def test_any_bytes_at_all(garbage: bytes, name: str, sizes: list[int]) -> None:
    """Random bytes, alone or behind a valid beginning: frames stay inside, pieces make no difference."""
    data = FILES.get(name, b"")[: 28 + len(garbage)] + garbage
    assert scan(data)[0] == scan(data, sizes)[0]


@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4))
@settings(max_examples=500, deadline=None)
def test_bent_files(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(FILES[name])
    for at, value in changes:
        data[at % len(data)] = value
    scan(bytes(data))


def test_oddities_are_counted() -> None:
    """Frames older than one before them, by how much at most; frames longer than the wire."""
    steps = [0, 10, 5, 20, 7, 30]
    records = [Record(START + step, b"abcd", 3 if n in (2, 4) else 4) for n, step in enumerate(steps)]
    _, framer, _ = scan(pcap_header(nanoseconds=True) + b"".join(pcap_record(r, nanoseconds=True) for r in records))
    assert framer.backwards == (2, 3, 13)
    assert framer.longer == (2, 3)


def test_padding_is_not_captured() -> None:
    for size in range(1, 9):
        data = LITTLE.section() + LITTLE.interface() + LITTLE.enhanced(b"f" * size) + LITTLE.obsolete(b"g" * size)
        assert [frame[1] for frame in scan(data)[0]] == [b"f" * size, b"g" * size]
        assert len(data) == len(padded(data, 4))
