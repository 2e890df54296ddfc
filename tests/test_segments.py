"""Segments: which frame is in which, what other programs read in them, and what is left when a disk is full.

Oracles: the crafted frames, byte for byte; tshark's dissection of pcapng blocks; hand-computed sizes.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spanline
from spanline.chunk import Interfaces
from spanline.errors import OutputError, UsageError
from spanline.segment_files import left_over
from spanline.segments import Rotation, Segments
from spanline.sources.live import Arrivals
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, Record, pcap

STEP = 1_000_000
RANDOM = random.Random(7)
FRAMES = [
    bytes(ethernet() / ipv4(identification=n) / udp(1000 + n, 53) / RANDOM.randbytes(n * 7 % 900)) for n in range(3000)
]
BLOCKS = [32 + (len(frame) + 3) // 4 * 4 for frame in FRAMES]
SUFFIXES = ["", ".zst", ".lz4"]


class Counted:
    """What counts frames, here as told."""

    def __init__(self, filters: bool = True) -> None:
        self.arrivals = Arrivals()
        self.filters = filters

    def refresh(self) -> None:
        """`arrivals` is up to date."""


class Writing:
    """Frames of a file, written to segments as if they came from an interface, of which a tenth was dropped."""

    def __init__(
        self,
        folder: Path,
        rotation: Rotation,
        compression: str = "",
        frames: list[bytes] = FRAMES,
        set_back: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """set_back: gives how many ns the clock is behind when a frame, by its number, comes."""
        source = folder.parent / "source.pcap"
        records = [Record(START + n * STEP - set_back(n), frame) for n, frame in enumerate(frames)]
        source.write_bytes(pcap(records, nanoseconds=True))
        source_counts = Counted()
        self.arrivals = source_counts.arrivals
        capture = spanline.open(source)
        segments = None
        for batch in capture:
            if segments is None:
                segments = Segments(folder, "eth0", capture.interfaces, source_counts, rotation, compression)
            self.arrivals.read = capture.counters.read
            self.arrivals.dropped["ring"] = self.arrivals.read // 10
            self.arrivals.offered = self.arrivals.read + self.arrivals.lost
            segments.write(batch)
        assert segments is not None
        segments.close()
        self.files = segments.files


def sorted_files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name.split("-")[2])


def frames_of(path: Path) -> list[bytes]:
    found = []
    for batch in spanline.open(path):
        octets = batch.buffers[0].tobytes()
        found += [
            octets[offset : offset + length] for offset, length in batch.records[["offset", "captured_length"]].tolist()
        ]
    return found


def tshark(path: Path, *fields: str, blocks: bool = False) -> list[list[str]]:
    """What tshark prints of each frame; or, with `blocks`, of the file as pcapng blocks."""
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    wanted = [argument for field in fields for argument in ("-e", field)]
    form = ["-X", "read_format:MIME Files Format"] if blocks else []
    command = ["tshark", "-n", "-r", str(path), *form, "-T", "fields", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def sizes(limit: int, count: int) -> list[int]:
    """Frames of each segment, by hand."""
    counts, room = [0], limit
    for block in BLOCKS[:count]:
        if counts[-1] and block > room:
            counts.append(0)
            room = limit
        counts[-1] += 1
        room -= block
    return counts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_those_that_came(suffix: str, tmp_path: Path) -> None:
    """tshark reads as many frames, at their time; the bytes are those that were crafted."""
    writing = Writing(tmp_path / "out", Rotation(packets=1000), suffix)
    files = sorted_files(tmp_path / "out")
    assert [path.name.split(".", 2)[2] for path in files] == [f"pcapng{suffix}"] * 3
    assert [frame for path in files for frame in frames_of(path)] == FRAMES
    for n, path in enumerate(files):
        read = tshark(path, "frame.time_epoch", "frame.len", "udp.srcport")
        first = 1000 * n
        assert [row[2] for row in read] == [str(1000 + first + k) for k in range(1000)]
        assert [int(row[1]) for row in read] == [len(frame) for frame in FRAMES[first : first + 1000]]
        assert [int(row[0].replace(".", "")) for row in read] == [START + (first + k) * STEP for k in range(1000)]
    assert (writing.files.written, writing.files.unwritten, writing.files.segments) == (3000, 0, 3)
    assert writing.files.failure is None


ROTATIONS = [
    (Rotation(packets=700), [700, 700, 700, 700, 200]),
    (Rotation(packets=3000), [3000]),
    (Rotation(seconds=0.9), [900, 900, 900, 300]),
    (Rotation(seconds=1.0, packets=400), [400] * 7 + [200]),
]


@pytest.mark.parametrize(("rotation", "expected"), ROTATIONS)
def test_rotation(rotation: Rotation, expected: list[int], tmp_path: Path) -> None:
    """A millisecond lies between frames: which frame begins a segment is known to the frame."""
    Writing(tmp_path / "out", rotation)
    files = sorted_files(tmp_path / "out")
    assert [len(frames_of(path)) for path in files] == expected
    assert [int(path.name.split("-")[2].split(".")[0]) for path in files] == list(range(1, len(expected) + 1))
    begins = [START + sum(expected[:n]) * STEP for n in range(1, len(expected))]
    names = [f"20231114T221320.{begin % 10**9 // 1000:06d}" for begin in begins]
    if max(begins, default=0) < START + 10**9:
        assert [path.name.split("-")[1].removesuffix("Z") for path in files[1:]] == names


@pytest.mark.parametrize(("limit", "count"), [(4096, 300), (100_000, 3000), (1 << 20, 3000)])
def test_size(limit: int, count: int, tmp_path: Path) -> None:
    """A segment is as large as its limit lets whole frames in, and never larger.

    It has headers as the first one, and keeps 128 bytes for statistics.
    """
    Writing(tmp_path / "out", Rotation(size=limit), frames=FRAMES[:count])
    files = sorted_files(tmp_path / "out")
    headers = files[0].stat().st_size - 100 - sum(BLOCKS[: len(frames_of(files[0]))])
    assert [len(frames_of(path)) for path in files] == sizes(limit - headers - 128, count)
    assert all(path.stat().st_size <= limit for path in files)


def test_a_frame_larger_than_a_segment(tmp_path: Path) -> None:
    Writing(tmp_path / "out", Rotation(size=300), frames=FRAMES[100:110])
    assert [frames_of(path) for path in sorted_files(tmp_path / "out")] == [[frame] for frame in FRAMES[100:110]]


COUNTERS = [
    f"pcapng.options.option.data.interface.{name}"
    for name in ("received", "accepted_by_filter", "dropped_by_os", "delivered_to_user")
]


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_statistics(suffix: str, tmp_path: Path) -> None:
    """tshark reads them; over all segments they are what the source counted; times join."""
    writing = Writing(tmp_path / "out", Rotation(packets=700), suffix)
    total = [0] * 4
    for n, path in enumerate(sorted_files(tmp_path / "out")):
        if suffix:
            path = decompressed(path)
        (row,) = tshark(path, *COUNTERS, "pcapng.options.option.data.interface.name", blocks=True)
        total = [before + int(text) for before, text in zip(total, row, strict=False)]
        assert int(row[3]) == (700 if n < 4 else 200)
    arrivals = writing.arrivals
    assert total == [arrivals.offered, arrivals.offered, arrivals.dropped["ring"], arrivals.read]
    assert (arrivals.offered, arrivals.read) == (3300, 3000)


def decompressed(path: Path) -> Path:
    from spanline.sources.streams import ByteStream

    stream = ByteStream(str(path))
    target, octets = path.parent.parent / f"plain-{path.stem}", memoryview(bytearray(1 << 20))
    with target.open("wb") as out:
        while count := stream.readinto(octets):
            out.write(octets[:count])
    stream.close()
    return target


def test_only_the_owner_reads(tmp_path: Path) -> None:
    Writing(tmp_path / "out", Rotation())
    (path,) = sorted_files(tmp_path / "out")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("keep", "left"), [(2, 2), (3, 3), (4, 4), (9, 5)])
def test_the_last_segments_are_kept(keep: int, left: int, tmp_path: Path) -> None:
    """What somebody else wrote into the folder stays."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "eth0-20200101T000000.000000Z-000000.pcapng").touch()
    writing = Writing(tmp_path / "out", Rotation(packets=700, keep=keep))
    files = sorted_files(tmp_path / "out")
    assert [int(path.stem.split("-")[2]) for path in files] == [0, *range(6 - left, 6)]
    assert (writing.files.written, writing.files.segments, writing.files.deleted) == (3000, 5, 5 - left)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_segments_of_earlier_captures_count(suffix: str, tmp_path: Path) -> None:
    """Of those that had --keep, also one that was not ended; nothing else that is there is ever deleted."""
    folder, limits = tmp_path / "out", Rotation(packets=700, keep=4)
    Writing(folder, Rotation(), suffix)
    others = [*folder.iterdir(), folder / f"eth1-20200101T000000.000000Z-000001.pcapng{suffix}"]
    others[1].write_bytes(others[0].read_bytes())
    writing = Writing(folder, limits, suffix)
    assert (writing.files.deleted, writing.files.replaced) == (1, 0)
    old = sorted(set(folder.iterdir()) - set(others))
    last = old.pop()
    last.rename(f"{last}.part")
    writing = Writing(folder, limits, suffix, FRAMES[:1000], later)
    assert (writing.files.segments, writing.files.deleted, writing.files.replaced) == (2, 0, 2)
    left = set(folder.iterdir())
    assert left > {*others, *old[2:], Path(f"{last}.part")}
    assert len(left) == len(others) + 4
    assert not left & set(old[:2])


def test_segments_of_captures_that_go_on(tmp_path: Path) -> None:
    """Two captures of an interface into a folder each delete their own."""
    folder, limits = tmp_path / "out", Rotation(packets=700, keep=2)
    segments = Segments(folder, "eth0", Interfaces(), Counted(), limits)
    writing = Writing(folder, limits, set_back=later)
    assert (writing.files.segments, writing.files.deleted, writing.files.replaced) == (5, 3, 0)
    segments.close()
    assert len(list(folder.iterdir())) == 3


def test_segments_of_captures_that_see_the_same_frames(tmp_path: Path) -> None:
    """Both are there in whole, whether the other's segment has its name already, or is open still."""
    folder, limits = tmp_path / "out", Rotation(packets=700)
    Writing(folder, limits)
    for path in sorted(folder.iterdir())[::2]:
        path.rename(f"{path}.part")
    Writing(folder, limits)
    assert sorted(frame for path in folder.iterdir() for frame in frames_of(path)) == sorted([*FRAMES, *FRAMES])


def later(_: int) -> int:
    """For Writing: an hour."""
    return -3600 * 10**9


def test_the_last_bytes_are_kept(tmp_path: Path) -> None:
    Writing(tmp_path / "out", Rotation(size=100_000, keep_size=500_000))
    files = sorted_files(tmp_path / "out")
    assert 400_000 < sum(path.stat().st_size for path in files) <= 500_000
    assert [frame for path in files for frame in frames_of(path)] == FRAMES[-sum(len(frames_of(p)) for p in files) :]


def test_a_disk_that_is_slow_to_have_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """150 of them do not wait for it with their files open, and what is kept is not much more than was asked for."""
    folder, found = tmp_path / "out", []

    def fsync(_: int) -> None:
        time.sleep(0.01)
        found.append(len(list(folder.iterdir())))

    monkeypatch.setattr(os, "fsync", fsync)
    writing = Writing(folder, Rotation(packets=20, keep=3))
    assert (writing.files.written, writing.files.segments) == (3000, 150)
    assert max(found) <= 3 + 9
    assert len(list(folder.iterdir())) == 3


def test_room_for_one_segment_is_not_enough() -> None:
    with pytest.raises(UsageError, match="no room for two segments"):
        Rotation(size=100_000, keep_size=150_000)


class SmallDisk:
    """os.write() onto a disk that has room for so many bytes, and takes a write in two parts."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room
        self._write = os.write
        self._sizes: dict[str, int] = {}
        monkeypatch.setattr("spanline.segment_files.os.write", self.write)
        self._truncate, self._unlink = os.ftruncate, Path.unlink
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: self.unlink(path))
        monkeypatch.setattr("spanline.segment_files.os.ftruncate", self.truncate)

    def write(self, descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self._write(descriptor, data[: min(self.room, len(data) // 2 + 1)])
        self.room -= count
        return count

    def truncate(self, descriptor: int, size: int) -> None:
        self.room += os.fstat(descriptor).st_size - size
        self._truncate(descriptor, size)

    def unlink(self, path: Path) -> None:
        self.room += path.stat().st_size
        self._unlink(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [10, 60, 700, 250_000, 400_000, 404_000])
def test_disk_full(suffix: str, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits is whole frames, from the first on, and tshark reads it without complaint; all frames are counted."""
    monkeypatch.setattr("spanline.segment_files.PIECE", 1 << 16)
    SmallDisk(room, monkeypatch)
    if room < 300:
        with pytest.raises(OutputError, match="No space left on device"):
            Writing(tmp_path / "out", Rotation(size=400_000), suffix)
        assert [path for path in (tmp_path / "out").iterdir() if path.stat().st_size > room] == []
        return
    writing = Writing(tmp_path / "out", Rotation(size=400_000), suffix)
    failure = writing.files.failure
    assert failure is not None
    assert "No space left on device; make room" in str(failure)
    files = sorted_files(tmp_path / "out")
    assert [path for path in files if path.name.endswith(".part")] == []
    kept = [frame for path in files for frame in frames_of(path)]
    assert kept == FRAMES[: len(kept)]
    assert sum(len(tshark(path, "frame.number")) for path in files) == len(kept)
    assert (writing.files.written, writing.files.unwritten) == (len(kept), len(FRAMES) - len(kept))
    if not suffix:
        held = sum(BLOCKS[: len(kept) + 1]) + 400
        assert sum(path.stat().st_size for path in files) <= room < held + len(files) * 400


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_takes_the_oldest(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanline.segment_files.PIECE", 1 << 16)
    SmallDisk(420_000, monkeypatch)
    writing = Writing(tmp_path / "out", Rotation(size=100_000, keep=50), suffix)
    assert writing.files.failure is None
    assert (writing.files.written, writing.files.unwritten) == (3000, 0)
    files = sorted_files(tmp_path / "out")
    kept = [frame for path in files for frame in frames_of(path)]
    assert kept == FRAMES[-len(kept) :]
    assert 0 < writing.files.deleted == writing.files.segments - len(files)


def test_a_folder_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed segments are gone with it; the rest is counted as unwritten."""
    opened = 0
    real = os.open

    def open_third(path: Any, flags: int, mode: int = 0o777) -> int:
        nonlocal opened
        is_segment = str(path).endswith(".part")
        opened += is_segment
        if is_segment and opened == 3:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return real(path, flags, mode)

    monkeypatch.setattr("spanline.segment_files.os.open", open_third)
    writing = Writing(tmp_path / "out", Rotation(packets=1000))
    assert "No such file or directory" in str(writing.files.failure)
    assert (writing.files.written, writing.files.unwritten) == (2000, 1000)


@pytest.mark.parametrize(
    ("folder", "message"),
    [("file", "is no folder; segments are written into a folder"), ("file/below", "below: Not a directory")],
)
def test_no_folder(folder: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message):
        Segments(tmp_path / folder, "eth0", Interfaces(), Counted(), Rotation())


def test_segments_that_were_not_ended(tmp_path: Path) -> None:
    """What nobody writes any more is told from what another capture is writing."""
    folder = tmp_path / "out"
    capture = spanline.open(tmp_path / "source.pcap")
    (tmp_path / "source.pcap").write_bytes(pcap([FRAMES[0]]))
    for batch in capture:
        segments = Segments(folder, "eth0", capture.interfaces, Counted(), Rotation())
        segments.write(batch)
        dead = folder / "eth0-20200101T000000.000000Z-000001.pcapng.part"
        dead.touch()
        assert left_over(folder) == [dead]
        segments.close()
        assert dead.exists()


def test_time_passes_without_frames(tmp_path: Path) -> None:
    """A segment that is over by the clock is closed before the next frame comes."""
    folder = tmp_path / "out"
    (tmp_path / "source.pcap").write_bytes(pcap([Record(START, FRAMES[0])], nanoseconds=True))
    capture = spanline.open(tmp_path / "source.pcap")
    for batch in capture:
        segments = Segments(folder, "eth0", capture.interfaces, Counted(), Rotation(seconds=60))
        segments.write(batch)
        segments.advance(START + 60 * 10**9 - 1)
        segments.files.settle()
        assert [path.suffix for path in folder.iterdir()] == [".part"]
        segments.advance(START + 60 * 10**9)
        segments.close()
    (path,) = folder.iterdir()
    assert frames_of(path) == FRAMES[:1]
    assert threading.active_count() == 1


def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """By an hour, after a second: the segment does not last an hour longer. Counted by hand."""
    Writing(tmp_path / "out", Rotation(seconds=0.9), set_back=lambda n: (n >= 1000) * 3600 * 10**9)
    assert [len(frames_of(path)) for path in sorted_files(tmp_path / "out")] == [900, 100, 900, 900, 200]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_read_of_an_open_segment(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole pieces; and when it is cut in the last one, as by the end of the process, the ones before."""
    monkeypatch.setattr("spanline.segment_files.PIECE", 1 << 16)
    folder = tmp_path / "out"
    (tmp_path / "source.pcap").write_bytes(pcap(FRAMES))
    capture = spanline.open(tmp_path / "source.pcap")
    batches = iter(capture)
    batch = next(batches)
    segments = Segments(folder, "eth0", capture.interfaces, Counted(), Rotation(), suffix)
    segments.write(batch)
    for batch in batches:
        segments.write(batch)
    segments.files.settle()
    (part,) = folder.glob("*.part")
    written = part.read_bytes()
    read = frames_of(part)
    assert sum(BLOCKS) - sum(BLOCKS[: len(read)]) < 1 << 16
    assert read == FRAMES[: len(read)]
    cut = tmp_path / f"cut.pcapng{suffix}"
    cut.write_bytes(written[:-100])
    left = frames_of(cut)
    assert left == FRAMES[: len(left)]
    assert sum(BLOCKS[len(left) : len(read)]) <= 1 << 16
    segments.close()
    assert not part.exists()
