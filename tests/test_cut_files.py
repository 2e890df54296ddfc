"""Files cut at every byte: never an exception, every frame before the cut, one line that tells, exit code 2.

Oracle: where each record and block of the crafted files ends; of compressed ones, what the library that compressed them
unpacks of the beginning.
"""

from __future__ import annotations

import bz2
import itertools
import lzma
import sys
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame
import pytest

import spanline
from spanline.errors import CaptureError, Problem
from spanline.sources import streams
from tests.commands import run
from tests.craft import ethernet, ipv4, tcp, udp
from tests.craft_files import START, STEP, Pcapng, Record, pcap_header, pcap_record
from tests.craft_tunnels import vxlan

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAMES = [
    ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp(50123, 443, flags="S"),
    ethernet() / ipv4() / udp(50000, 4789) / vxlan(7) / ethernet() / ipv4("10.0.0.2", "10.0.0.1") / udp() / b"inner",
    ethernet() / ipv4() / udp() / bytes(range(61)),
]
RECORDS = [Record(START + n * STEP, frame) for n, frame in enumerate(FRAMES)]


class Made(NamedTuple):
    parts: Sequence[bytes]
    """After each of which a file may end."""
    frames: Sequence[int]
    """How many frames each of them holds."""

    def whole(self, length: int) -> tuple[int, bool]:
        """Whole frames in the first `length` bytes, and whether a file may end there."""
        ends = list(itertools.accumulate(map(len, self.parts)))
        count = bisect_right(ends, length)
        return sum(self.frames[:count]), length in ends


def classic(**options: bool) -> Made:
    return Made([pcap_header(**options), *(pcap_record(one, **options) for one in RECORDS)], [0, 1, 1, 1])  # type: ignore


def next_generation(big_endian: bool = False) -> Made:
    ng = Pcapng(big_endian=big_endian)
    parts = [ng.section(application="test"), ng.interface(name="eth0"), *(ng.enhanced(frame) for frame in FRAMES)]
    return Made([*parts, ng.statistics(received=3)], [0, 0, 1, 1, 1, 0])


def several_sections() -> Made:
    """Of both byte orders, with several interfaces, blocks of every kind and what is passed over."""
    ng, big = Pcapng(), Pcapng(big_endian=True)
    parts = [
        ng.section(), ng.interface(name="a"), ng.interface(113, name="b", tsresol=6), ng.custom(b"note" * 9),
        ng.enhanced(FRAMES[0]), ng.names([(b"\x0a\0\0\1", "ten")]), ng.simple(FRAMES[1]), ng.secrets(b"secret" * 5),
        ng.statistics(received=1, interface=1), big.section(comment="other"), big.interface(), big.enhanced(FRAMES[2]),
        big.custom(b""), big.obsolete(FRAMES[0]),
    ]  # fmt: skip
    return Made(parts, [0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1])


PLAIN = {
    "pcap": classic(),
    "pcap-big-endian": classic(big_endian=True),
    "pcap-ns": classic(nanoseconds=True),
    "pcap-ns-big-endian": classic(nanoseconds=True, big_endian=True),
    "pcapng": next_generation(),
    "pcapng-big-endian": next_generation(big_endian=True),
    "pcapng-sections": several_sections(),
}
COMPRESSIONS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Any]]] = {
    "gzip": (lambda data: zlib.compress(data, wbits=31), lambda: zlib.decompressobj(31)),
    "zstd": (zstd.compress, zstd.ZstdDecompressor),
    "lz4": (lz4.frame.compress, lz4.frame.LZ4FrameDecompressor),
    "xz": (lzma.compress, lzma.LZMADecompressor),
    "bzip2": (bz2.compress, bz2.BZ2Decompressor),
}


def read(path: Path) -> tuple[list[bytes], list[Problem]]:
    """All frames and what was wrong."""
    frames, capture = [], spanline.open(path)
    try:
        for batch in capture:
            for at, size in batch.packets[["frame_offset", "captured_length"]].tolist():
                frames.append(batch.buffers[0][at : at + size].tobytes())
    except CaptureError:
        assert not frames
    return frames, capture.problems


@pytest.fixture(autouse=True)
def nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a file that was cut a moment ago."""
    monkeypatch.setattr(streams, "_PATIENCE", 0)


@pytest.mark.parametrize("name", PLAIN)
def test_every_cut(tmp_path: Path, name: str) -> None:
    made = PLAIN[name]
    data, path = b"".join(made.parts), tmp_path / "cut"
    whole = [frame for frame, _ in zip(read_whole(data, path), range(sum(made.frames)), strict=True)]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        frames, problems = read(path)
        count, may_end = made.whole(cut)
        assert frames == whole[:count], cut
        assert len(problems) == (not (may_end and count)), (cut, problems)
        assert all(str(problem).startswith(str(path)) and "\n" not in str(problem) for problem in problems)


def read_whole(data: bytes, path: Path) -> list[bytes]:
    path.write_bytes(data)
    return read(path)[0]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", ["pcap", "pcapng-sections"])
def test_every_cut_of_compressed_files(tmp_path: Path, compression: str, name: str) -> None:
    made, (compress, decompressor) = PLAIN[name], COMPRESSIONS[compression]
    plain, path = b"".join(made.parts), tmp_path / "cut"
    whole = read_whole(plain, path)
    data = compress(plain)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        unpacker = decompressor()
        unpacked = len(unpacker.decompress(data[:cut]))
        frames, problems = read(path)
        assert frames == whole[: made.whole(unpacked)[0]], cut
        assert len(problems) == (not unpacker.eof), (cut, problems)
    assert frames == whole


@pytest.mark.parametrize("name", [*PLAIN, *COMPRESSIONS])
def test_what_the_command_line_says(tmp_path: Path, name: str) -> None:
    """A line and exit code 2, wherever it was cut."""
    plain = b"".join(PLAIN.get(name, PLAIN["pcap"]).parts)
    data = COMPRESSIONS[name][0](plain) if name in COMPRESSIONS else plain
    for cut in {1, 3, 5, 20, 23, *range(30, len(data), 41), len(data) - 1}:
        (tmp_path / "cut").write_bytes(data[:cut])
        made = PLAIN.get(name)
        if made and made.whole(cut)[1] and made.whole(cut)[0]:
            continue
        for command in ("flows", "packets", "info"):
            assert len(run(command, "-q", tmp_path / "cut", code=2).stderr.splitlines()) == 1
