"""Data that unpacks to far more than it is: memory is bounded, reading stops and says why, what was read stands.

Oracle: the file as it was built, the limits that docs/input.md states, and what the system says of memory.
"""

from __future__ import annotations

import bz2
import functools
import json
import lzma
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import lz4.frame
import pytest

import spanline
from spanline.sources import expansion, streams
from tests.commands import PROGRAM
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, Pcapng, Record, pcap, pcap_record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NG = Pcapng()
MIB = 1 << 20
MOST_MEMORY = 200 * MIB
"""Of a process, Python and its libraries included, which alone take some 80 MiB."""
MOST_SECONDS = 30
FREE_BESIDES = 64 * MIB
FRAME = bytes(ethernet() / ipv4() / udp() / bytes(1400))


def compress(compressor: object, parts: Iterable[bytes], begin: bytes = b"") -> bytes:
    return begin + b"".join(map(compressor.compress, parts)) + compressor.flush()  # type: ignore[attr-defined]


def lz4_of(parts: Iterable[bytes]) -> bytes:
    compressor = lz4.frame.LZ4FrameCompressor()
    return compress(compressor, parts, compressor.begin())


COMPRESSIONS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "zstd": lambda parts: compress(zstd.ZstdCompressor(), parts),
    "gzip": lambda parts: compress(zlib.compressobj(9, zlib.DEFLATED, 31), parts),
    "lz4": lz4_of,
    "xz": lambda parts: compress(lzma.LZMACompressor(preset=0), parts),
    "bzip2": lambda parts: compress(bz2.BZ2Compressor(), parts),
}


def spread(first: bytes, piece: bytes, times: int) -> Iterator[bytes]:
    yield first
    for _ in range(times):
        yield piece


# Small itself: the system counts what a process was before it became another program.
LAUNCHER = """if True:
    import os, sys
    pid = os.posix_spawn(sys.executable, sys.argv[2:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    with open(sys.argv[1], "w") as file:
        print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=file)
"""


class Ran(NamedTuple):
    code: int
    out: bytes
    errors: list[str]
    memory: int
    """Bytes, the most there were."""
    seconds: float


def run_measured(folder: Path, *arguments: object) -> Ran:
    started = time.monotonic()
    command = [sys.executable, "-c", LAUNCHER, folder / "usage", *PROGRAM, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, timeout=120, check=True)
    code, memory = map(int, (folder / "usage").read_text().split())
    return Ran(code, ran.stdout, ran.stderr.decode().splitlines(), memory * 1024, time.monotonic() - started)


BOMBS: dict[str, tuple[bytes, bytes]] = {
    "records-without-bytes": (pcap([FRAME]), bytes(MIB)),
    "a-skipped-block": (NG.file([FRAME]) + struct.pack("<III", 0xBAD, 0xFFFFFFFC, 0), bytes(MIB)),
    "skipped-blocks": (NG.file([FRAME]), NG.custom(b"") * (MIB // 16)),
    "sections": (NG.file([FRAME]), NG.section() * (MIB // 28)),
    "statistics": (NG.file([FRAME]), NG.statistics(received=7) * (MIB // 40)),
}


@functools.cache
def bomb(compression: str, name: str) -> bytes:
    first, piece = BOMBS[name]
    return COMPRESSIONS[compression](spread(first, piece, 300))


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_reading_stops_with_a_reason(tmp_path: Path, compression: str, name: str) -> None:
    """32,000 to 1 and 1,000 to 1, 300 MiB of it; the frame at the beginning is there."""
    data = bomb(compression, name)
    (tmp_path / "bomb").write_bytes(data)
    code, out, errors, memory, seconds = run_measured(tmp_path, "flows", "-q", "--format", "json", tmp_path / "bomb")
    assert code == 2
    # Zeros as records are of 1970, which is told besides.
    told = [line for line in errors if "backwards" not in line]
    assert len(told) == 1
    assert str(tmp_path / "bomb") in told[0]
    assert "decompression bomb" in told[0]
    assert "unpack it first" in told[0]
    assert [flow["source_packets"] for flow in json.loads(out)] == [1]
    assert memory < MOST_MEMORY
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("compression", ["lz4", "xz", "bzip2"])
def test_every_compression_is_watched(tmp_path: Path, compression: str) -> None:
    (tmp_path / "bomb").write_bytes(bomb(compression, "a-skipped-block"))
    capture = spanline.open(tmp_path / "bomb")
    assert len(capture.packets()) == 1
    assert [problem.kind for problem in capture.problems] == ["bomb"]
    assert FREE_BESIDES < capture.files[0].uncompressed_size < 2 * FREE_BESIDES


def test_members_count_together(tmp_path: Path) -> None:
    """Each unpacks to less than what is granted."""
    first, piece = BOMBS["a-skipped-block"]
    parts = COMPRESSIONS["zstd"]([first]) + COMPRESSIONS["zstd"]([piece]) * 200
    (tmp_path / "bomb").write_bytes(parts)
    capture = spanline.open(tmp_path / "bomb")
    assert len(capture.packets()) == 1
    assert [problem.kind for problem in capture.problems] == ["bomb"]


def test_frames_may_be_all_alike_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 GB of one frame of 256 KiB, 16,000 to 1: no capture goes on like this. 4 GiB, here 256 MiB, are granted."""
    monkeypatch.setattr(expansion, "_FREE", free := 1 << 28)
    record = pcap_record(Record(START, bytes(262_000)))
    data = COMPRESSIONS["zstd"](spread(pcap([]), record, 4000))
    assert 4000 * len(record) > free + 10_000 * len(data)
    (tmp_path / "bomb").write_bytes(data)
    capture = spanline.open(tmp_path / "bomb")
    frames = sum(map(len, capture))
    assert [(problem.kind, "more than 10,000 to 1" in problem.what) for problem in capture.problems] == [("bomb", True)]
    assert free < capture.files[0].uncompressed_size <= free + 10_000 * len(data) + MIB
    assert frames == capture.files[0].uncompressed_size // len(record)


@pytest.mark.parametrize("compression", ["zstd", "bzip2"])
def test_what_shrinks_well_is_no_bomb(tmp_path: Path, compression: str) -> None:
    """1.5 GiB of equal frames of 1,442 bytes, 10,000 to 1 in zstd and more in bzip2; 150 MiB of it in bzip2."""
    count = 1000 if compression == "zstd" else 100
    piece = pcap_record(Record(START, FRAME)) * 1000
    data = COMPRESSIONS[compression](spread(pcap([]), piece, count))
    assert len(piece) * count / len(data) > 5000
    (tmp_path / "alike").write_bytes(data)
    code, out, errors, _, _ = run_measured(tmp_path, "info", "-q", "--format", "json", tmp_path / "alike")
    assert (code, errors) == (0, [])
    assert json.loads(out)[0]["packets"] == 1000 * count


def test_short_frames_whose_clock_moves_are_no_bomb(tmp_path: Path) -> None:
    """2 million of the shortest frames of equal content: what is not frame is a quarter, 32 MB are 120 MB unpacked."""
    frame = bytes(ethernet() / ipv4() / udp())[:60]
    step = pcap_record(Record(START, frame))
    pieces = []
    for base in range(40):
        block = bytearray(step * 50_000)
        times = range(base * 50_000, base * 50_000 + 50_000)
        for n, ticks in enumerate(times):
            struct.pack_into("<II", block, n * len(step), 1_700_000_000 + ticks // 1_000_000, ticks % 1_000_000)
        pieces.append(bytes(block))
    (tmp_path / "short").write_bytes(COMPRESSIONS["zstd"]([pcap([]), *pieces]))
    capture = spanline.open(tmp_path / "short")
    assert sum(map(len, capture)) == 2_000_000
    assert capture.problems == []


def test_an_unpacked_file_may_hold_anything(tmp_path: Path) -> None:
    """The same bytes without compression are read: a disk holds them all the same."""
    first, piece = BOMBS["a-skipped-block"]
    (tmp_path / "plain").write_bytes(b"".join(spread(first, piece, 100)))
    capture = spanline.open(tmp_path / "plain")
    assert len(capture.packets()) == 1
    assert [problem.kind for problem in capture.problems] == ["truncated"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_empty_members_without_end(tmp_path: Path, compression: str) -> None:
    """200,000 of them behind a capture; it is read, and then it is enough."""
    make = COMPRESSIONS[compression]
    (tmp_path / "empties").write_bytes(make([pcap([FRAME])]) + make([b""]) * 200_000)
    capture = spanline.open(tmp_path / "empties")
    started = time.monotonic()
    assert len(capture.packets()) == 1
    assert time.monotonic() - started < MOST_SECONDS
    assert [(problem.kind, "10,000" in problem.what) for problem in capture.problems] == [("bomb", True)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_some_empty_members_are_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    """bgzip ends with one; joined rotations of a quiet night may have many. Also where a read ends among them."""
    make = COMPRESSIONS[compression]
    data = pcap([FRAME] * 9)
    (tmp_path / "some").write_bytes(make([data[:5000]]) + make([b""]) * 3000 + make([data[5000:]]) + make([b""]))
    for size in (streams._READ, 1000):
        monkeypatch.setattr(streams, "_READ", size)
        capture = spanline.open(tmp_path / "some")
        assert (len(capture.packets()), capture.problems) == (9, [])


def test_members_of_a_byte_each(tmp_path: Path) -> None:
    data = pcap([FRAME] * 20)
    for compression, make in COMPRESSIONS.items():
        (tmp_path / compression).write_bytes(b"".join(make([data[n : n + 1]]) for n in range(len(data))))
        capture = spanline.open(tmp_path / compression)
        assert (compression, len(capture.packets()), capture.problems) == (compression, 20, [])


def test_skippable_frames_without_end(tmp_path: Path) -> None:
    """They unpack to nothing at all and are passed over one by one."""
    notes = b"\x50\x2a\x4d\x18\0\0\0\0" * 500_000
    (tmp_path / "skippable").write_bytes(notes + COMPRESSIONS["zstd"]([pcap([FRAME])]) + notes)
    capture = spanline.open(tmp_path / "skippable")
    assert (len(capture.packets()), capture.problems) == (1, [])


def test_dictionaries_that_take_too_much_memory(tmp_path: Path) -> None:
    """A header may ask for gigabytes; what xz and zstd write without being told to stays far below the limits."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1_500_000_000, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    # Only the size in the header is changed: to compress with it would take as much memory.
    small = lzma.compress(pcap([FRAME]), filters=[{**filters[0], "dict_size": 1 << 16}], check=lzma.CHECK_NONE)
    header = bytearray(small[12:24])
    assert header[2] == lzma.FILTER_LZMA2
    header[4] = 39  # 3 GiB
    header[8:12] = struct.pack("<I", zlib.crc32(header[:8]))
    (tmp_path / "hungry.xz").write_bytes(small[:12] + bytes(header) + small[24:])
    window = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0xA8]) + b"\x01\x00\x00"  # 2 GiB, and an empty last block
    (tmp_path / "hungry.zst").write_bytes(window)
    for name in ("hungry.xz", "hungry.zst"):
        code, _, errors, memory, _ = run_measured(tmp_path, "info", "-q", tmp_path / name)
        assert (code, len(errors)) == (2, 1)
        assert "needs too much memory to unpack" in errors[0]
        assert memory < MOST_MEMORY


def test_texts_of_interfaces_take_bounded_memory(tmp_path: Path) -> None:
    """2,000 interfaces with three texts of 60,000 characters each: 360 MB. Frames are read all the same."""
    interface = NG.interface(name="n" * 60_000, description="d" * 60_000, options=[(12, b"o" * 60_000)])
    parts = spread(NG.section(), interface, 2_000)
    (tmp_path / "talkative").write_bytes(b"".join([*parts, NG.enhanced(FRAME, interface=1999)]))
    code, out, errors, memory, _ = run_measured(tmp_path, "info", "-q", "--format", "json", tmp_path / "talkative")
    assert (code, len(errors)) == (2, 1)
    assert "the rest is left out" in errors[0]
    (facts,) = json.loads(out)
    assert (facts["packets"], len(facts["interfaces"])) == (1, 2000)
    assert facts["interfaces"][0]["name"] == "n" * 60_000
    assert facts["interfaces"][1999]["name"] is None
    assert memory < MOST_MEMORY


def test_millions_of_options_take_no_time(tmp_path: Path) -> None:
    body = NG.pack("HHI", 1, 0, 0) + NG.pack("HH", 1, 0) * 4_000_000
    (tmp_path / "options").write_bytes(NG.section() + NG.block(1, body) * 5 + NG.enhanced(FRAME, 1))
    started = time.monotonic()
    capture = spanline.open(tmp_path / "options")
    assert (len(capture.packets()), capture.problems) == (1, [])
    assert time.monotonic() - started < 5
