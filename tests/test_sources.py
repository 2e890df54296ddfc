"""Files, streams and folders as one capture: compression, standard input, FIFOs, order, merging, numbering.

Oracle: the frames that the test wrote, with the times it gave them. Files are compressed by Python's own libraries.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import lz4.frame
import numpy as np
import pytest

import spanline
from spanline.errors import CaptureError
from spanline.sources import capture_file
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, STEP, Pcapng, Record, pcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NG = Pcapng()
MS = 1_000_000


def numbered(number: int) -> bytes:
    """A frame that says its number in ip.id, of a size of its own."""
    return bytes(ethernet() / ipv4(identification=number) / udp() / bytes(number % 50))


def some(numbers: Sequence[int], times: Sequence[int] | None = None) -> list[Record]:
    given = times if times is not None else [START + n * STEP for n in numbers]
    return [Record(time, numbered(n)) for n, time in zip(numbers, given, strict=True)]


def write(path: Path, numbers: Sequence[int], times: Sequence[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pcap(some(numbers, times), nanoseconds=True))
    return path


def seen(*paths: Path | str) -> list[int]:
    """The numbers of all frames, in the order of the capture; each frame's bytes are compared."""
    numbers = []
    for batch in spanline.open([str(path) for path in paths]):
        assert batch.first_frame == len(numbers) + 1
        for row in batch.packets:
            number = int(row["ip_id"])
            at = int(row["frame_offset"])
            assert batch.buffers[0][at : at + int(row["captured_length"])].tobytes() == numbered(number)
            numbers.append(number)
    return numbers


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_file, "CHUNK_BYTES", 512)


# --- compression

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "lz4": lz4.frame.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("name", ["capture.pcap", "capture.gz", "capture.zst", "capture.txt", "capture"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compression_is_found_by_content(tmp_path: Path, compression: str, name: str) -> None:
    data = pcap(some(range(300)))
    (tmp_path / name).write_bytes(COMPRESSIONS[compression](data))
    capture = spanline.open(tmp_path / name)
    assert capture.packets()["ip_id"].tolist() == list(range(300))
    info = capture.files[0]
    assert (info.compression, info.format, info.uncompressed_size) == (compression, "pcap", len(data))
    assert info.size == (tmp_path / name).stat().st_size
    assert capture.problems == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("count", [2, 3, 40])
def test_compressed_parts_that_were_joined(tmp_path: Path, compression: str, count: int) -> None:
    """Multi-member gzip, several zstd or lz4 frames, xz and bzip2 streams; cut anywhere, also inside a record."""
    data = pcap(some(range(500)))
    bounds = [len(data) * n // count for n in range(count + 1)]
    parts = [data[a:b] for a, b in itertools.pairwise(bounds)]
    (tmp_path / "joined").write_bytes(b"".join(map(COMPRESSIONS[compression], parts)))
    capture = spanline.open(tmp_path / "joined")
    assert capture.packets()["ip_id"].tolist() == list(range(500))
    assert capture.problems == []


@pytest.mark.parametrize("compression", ["", *COMPRESSIONS])
def test_more_than_one_read_of_compressed_data(tmp_path: Path, compression: str) -> None:
    """Bytes that do not shrink, so that the compressed file takes several reads, too."""
    chance = random.Random(1)
    frames = [Record(START + n, numbered(n) + chance.randbytes(1400)) for n in range(1200)]
    data = pcap(frames, nanoseconds=True)
    (tmp_path / "large").write_bytes(COMPRESSIONS.get(compression, bytes)(data))
    rows = spanline.open(tmp_path / "large").packets()
    assert rows["ip_id"].tolist() == list(range(1200))
    assert rows["timestamp"].tolist() == [START + n for n in range(1200)]


def test_padding_behind_compressed_data(tmp_path: Path) -> None:
    """Tapes fill up with zeros; anything else behind is told, and what came before stands."""
    data = gzip.compress(pcap(some(range(9))))
    (tmp_path / "padded").write_bytes(data + bytes(512))
    capture = spanline.open(tmp_path / "padded")
    assert (len(capture.packets()), capture.problems) == (9, [])
    (tmp_path / "trailed").write_bytes(data + b"what is this?")
    capture = spanline.open(tmp_path / "trailed")
    assert (len(capture.packets()), [problem.kind for problem in capture.problems]) == (9, ["damaged"])


@pytest.mark.parametrize("compress", [zstd.compress, lz4.frame.compress])
def test_skippable_frames(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Parallel and seekable compressors put notes of their own between the parts (RFC 8878 section 3.1.2)."""
    notes = [(0x184D2A50 + n).to_bytes(4, "little") + size.to_bytes(4, "little") + bytes(size)
             for n, size in enumerate((5, 300_000, 0, 9))]  # fmt: skip
    data = pcap(some(range(40)))
    parts = [notes[0], compress(data[:1000]), notes[1], notes[2], compress(data[1000:]), notes[3]]
    (tmp_path / "seekable").write_bytes(b"".join(parts))
    capture = spanline.open(tmp_path / "seekable")
    assert (capture.packets()["ip_id"].tolist(), capture.problems) == (list(range(40)), [])


# --- streams

READ = "import spanline, sys; print(spanline.open(sys.argv[1]).packets()['ip_id'].tolist())"


@pytest.mark.parametrize("compression", ["", *COMPRESSIONS])
def test_standard_input(compression: str) -> None:
    data = COMPRESSIONS.get(compression, bytes)(pcap(some(range(200))))
    done = subprocess.run([sys.executable, "-c", READ, "-"], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == str(list(range(200)))


def test_standard_input_in_pieces() -> None:
    """A pipe gives what there is: here a few bytes at a time."""
    command = [sys.executable, "-c", READ, "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        data = NG.file(some(range(20)))
        for at in range(0, len(data), 97):
            process.stdin.write(data[at : at + 97])
        process.stdin.close()
        assert process.stdout.read().decode().strip() == str(list(range(20)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("beside_a_file", [False, True])
def test_a_fifo(tmp_path: Path, beside_a_file: bool) -> None:
    """It can be read once only: merging looks at its first record and must not lose it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    file = write(tmp_path / "file.pcap", range(0, 40, 2))
    data = pcap(some(range(1, 40, 2)), nanoseconds=True)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,), daemon=True)
    writer.start()
    assert seen(fifo, file) == list(range(40)) if beside_a_file else seen(fifo) == list(range(1, 40, 2))
    writer.join(10)


# --- folders and patterns


def test_a_folder_is_ordered_by_time_and_not_by_name(tmp_path: Path) -> None:
    for name, first in (("a.pcap", 30), ("b.pcap", 0), ("deep/down/c.pcap", 20), ("z.pcap", 10)):
        write(tmp_path / name, range(first, first + 10))
    assert seen(tmp_path) == list(range(40))


def test_what_a_folder_holds_besides_captures(tmp_path: Path) -> None:
    """Hidden files and folders are not looked at; files that are no captures are passed over in silence."""
    write(tmp_path / "capture.pcap", range(5))
    write(tmp_path / ".hidden.pcap", range(5, 9))
    write(tmp_path / ".git" / "x.pcap", range(5, 9))
    (tmp_path / "notes.txt").write_text("what was captured when")
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"what was captured when"))
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "empty folder").mkdir()
    capture = spanline.open(tmp_path)
    assert capture.packets()["ip_id"].tolist() == list(range(5))
    assert capture.problems == []
    assert [Path(info.path).name for info in capture.files] == ["capture.pcap"]


def test_a_file_that_was_named_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "capture.pcap", range(5))
    (tmp_path / "notes.txt").write_text("what was captured when")
    capture = spanline.open([tmp_path / "capture.pcap", tmp_path / "notes.txt"])
    assert len(capture.packets()) == 5
    assert [(problem.kind, Path(problem.path).name) for problem in capture.problems] == [("not-a-capture", "notes.txt")]


def test_patterns(tmp_path: Path) -> None:
    for n in range(4):
        write(tmp_path / f"part{n}.pcap", range(n * 10, n * 10 + 10))
    write(tmp_path / "below" / "part4.pcap", range(40, 50))
    write(tmp_path / "[odd] name.pcap", range(50, 60))
    assert seen(tmp_path / "part?.pcap") == list(range(40))
    assert seen(tmp_path / "part[12].pcap") == list(range(10, 30))
    assert seen(tmp_path / "**" / "part*.pcap") == list(range(50))
    assert seen(tmp_path / "[odd] name.pcap") == list(range(50, 60)), "a file of that very name"


def test_what_is_named_twice_is_read_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pcap", range(5))
    (tmp_path / "link.pcap").symlink_to(file)
    again = tmp_path / "." / ".." / tmp_path.name / "a.pcap"
    assert seen(file, file, again, tmp_path, tmp_path / "*.pcap", tmp_path / "link.pcap") == list(range(5))


@pytest.mark.parametrize("name", ["", "*.pcap", "nothing*"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaptureError, match="no captures in this"):
        spanline.open(tmp_path / name).packets()


# --- merging


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("count", [2, 3, 7])
def test_files_that_overlap_are_merged_by_time(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)
    numbers = list(range(1000))
    of = [chance.randrange(count) for _ in numbers]
    files = [write(tmp_path / f"{n}.pcap", [k for k in numbers if of[k] == n]) for n in range(count)]
    assert seen(*files) == numbers
    assert seen(*reversed(files)) == numbers


@pytest.mark.usefixtures("small_pieces")
def test_files_that_do_not_overlap_follow_one_another(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.pcap", range(n * 100, n * 100 + 100)) for n in (2, 0, 1)]
    write(tmp_path / "empty.pcap", [])
    assert seen(*files) == list(range(300))
    assert seen(tmp_path) == list(range(300))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("seed", range(10))
def test_the_order_inside_a_file_is_never_changed(tmp_path: Path, seed: int) -> None:
    """Also where timestamps go back; frames of other files come before the first that is newer than they are."""
    chance = random.Random(seed)
    files, times, number = [], {}, 0
    for n in range(3):
        clock, own = START + chance.randrange(100) * MS, []
        for _ in range(200):
            clock += chance.choice((0, 1, 1, 2, 5, -3, -20)) * MS
            own.append(number)
            times[number] = clock
            number += 1
        files.append((own, write(tmp_path / f"{n}.pcap", own, [times[k] for k in own])))
    order = seen(*(path for _, path in files))
    assert sorted(order) == list(range(number))
    keys = {}
    for own, _ in files:
        assert [k for k in order if own[0] <= k <= own[-1]] == own
        keys |= zip(own, np.maximum.accumulate([times[k] for k in own]).tolist(), strict=True)
    merged = [keys[k] for k in order]
    assert merged == sorted(merged)


@pytest.mark.parametrize("size", [100, 512, 4096, 1 << 20])
def test_the_size_of_pieces_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A piece may be smaller than a record: then it grows."""
    files = [write(tmp_path / f"{n}.pcap", range(n, 600, 3)) for n in range(3)]
    (tmp_path / "0.pcap").write_bytes(NG.file([*some(range(0, 600, 3))]))
    monkeypatch.setattr(capture_file, "CHUNK_BYTES", size)
    assert seen(*files) == list(range(600))


@pytest.mark.usefixtures("small_pieces")
def test_batches_that_are_kept_are_not_overwritten(tmp_path: Path) -> None:
    """Memory is used again only when nobody holds it: the rows of a batch, or one slice of its bytes."""
    file = write(tmp_path / "a.pcap", range(2000))
    kept, slices, number = [], [], 0
    for n, batch in enumerate(spanline.open(file)):
        if n % 3 == 0:
            kept.append((number, batch))
        elif n % 3 == 1:
            at = int(batch.packets["frame_offset"][0])
            slices.append((number, batch.buffers[0][at : at + int(batch.packets["captured_length"][0])]))
        number += len(batch)
    assert len(kept) > 100
    for first, batch in kept:
        assert batch.packets["ip_id"].tolist() == list(range(first, first + len(batch)))
        assert [int.from_bytes(batch.buffers[0][at + 18 : at + 20].tobytes(), "big") for at in
                batch.packets["frame_offset"].tolist()] == list(range(first, first + len(batch)))  # fmt: skip
    assert all(octets.tobytes() == numbered(first) for first, octets in slices)


def test_interfaces_are_numbered_across_files(tmp_path: Path) -> None:
    """Each file counts from 0; in the capture every interface has a number of its own, also where files interleave."""
    files = []
    for n in range(3):
        data = NG.section() + NG.interface(name=f"{n}a") + NG.interface(name=f"{n}b") + NG.interface(101, name=f"{n}c")
        for k in range(n, 60, 3):
            data += NG.enhanced(numbered(k), START + k * STEP, interface=k // 3 % 2)
        data += NG.statistics(interface=1, received=n) + NG.enhanced(numbered(99), START + n, interface=7)
        (tmp_path / f"{n}.pcapng").write_bytes(data)
        files.append(tmp_path / f"{n}.pcapng")
    plain = write(tmp_path / "plain.pcap", range(100, 103))
    capture = spanline.open([*files, plain])
    rows = capture.packets()
    names = [interface.name for interface in capture.interfaces]
    for row in rows[(rows["ip_id"] < 99) & (rows["interface"] != 65535)]:
        number = int(row["ip_id"])
        assert names[row["interface"]] == f"{number % 3}{'ab'[number // 3 % 2]}"
    assert (rows["interface"] == 65535).sum() == 3
    assert capture.interfaces[int(rows["interface"][rows["ip_id"] == 100][0])].path == str(plain)
    assert sorted(n for info in capture.files for n in info.interfaces) == list(range(10))
    by_name = {interface.name: interface for interface in capture.interfaces}
    assert [by_name[f"{n}b"].statistics for n in range(3)] == [{"received": n} for n in range(3)]


def test_many_files(tmp_path: Path) -> None:
    """More than a process may have open."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 128), hard))
    try:
        for n in range(300):
            write(tmp_path / f"{(n * 7) % 300}.pcap", [n * 2, n * 2 + 1], [START + n * 2, START + n * 2 + 1])
        assert seen(tmp_path) == list(range(600))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_capture_is_read_from_its_beginning_each_time(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pcap", range(50))
    capture = spanline.open(file)
    for batch in capture:
        assert len(batch)
        break
    for _ in range(3):
        assert capture.packets()["ip_id"].tolist() == list(range(50))
        assert capture.counters.read == 50
    assert capture.bytes_total == capture.bytes_read == file.stat().st_size
