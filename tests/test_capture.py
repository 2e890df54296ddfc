"""`spanline capture` at an interface of its own network: what was sent is in the segments, or counted.

Oracles: what was sent; tshark and capinfos on each segment; sums of the account. Linux and root.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import spanline
from tests.commands import PROGRAM, run
from tests.craft import ethernet, ipv4, tcp, udp
from tests.craft_tunnels import vxlan
from tests.lab.hosts import takes_frames, wait_for
from tests.own_network import FAR, NEAR, Sender, impossible, ip, own_network

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(impossible()), reason=impossible())]

PROMPT = 2.0
"""Seconds in which a signal ends a capture."""
KILLS = int(os.environ.get("SPANLINE_KILLS", "10"))
FRAMES = [
    bytes(ethernet() / ipv4(identification=n) / udp(1000 + n, 53) / random.Random(n).randbytes(18 + n % 900))
    for n in range(1000)
]
FLOOD = f"""
import itertools, socket, sys, time
pause, *ends = map(float, sys.argv[1].split())
frames = sys.stdin.buffer.read()
frames = [frames[int(a):int(b)] for a, b in itertools.pairwise(ends)]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(({FAR!r}, 0))
    print(flush=True)
    while True:
        for frame in frames:
            out.send(frame)
        time.sleep(pause)
"""


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=30)
        yield


@contextmanager
def capturing(folder: Path, *options: object, interface: str = NEAR) -> Iterator[subprocess.Popen[str]]:
    """A capture that has begun."""
    command = [*PROGRAM, "capture", interface, "-w", folder, "--allow-root", *options]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            wait_for("the first segment", lambda: process.poll() is not None or has_begun(folder))
            yield process
        finally:
            process.kill()


def has_begun(folder: Path) -> bool:
    """Whether a segment has its headers; what was ended meanwhile has."""
    try:
        return any(path.stat().st_size for path in folder.glob("*.pcapng*"))
    except FileNotFoundError:
        return True


@contextmanager
def flood(frames: list[bytes] = FRAMES[500:501], pause: float = 0) -> Iterator[None]:
    """`frames` again and again, as fast as a core of Python sends them, with a pause after each time."""
    ends = " ".join(map(str, [pause, 0, *itertools.accumulate(map(len, frames))]))
    command = [sys.executable, "-c", FLOOD, ends]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(b"".join(frames))
        sender.stdin.close()
        sender.stdout.readline()
        try:
            yield
        finally:
            sender.kill()


def end(process: subprocess.Popen[str], code: int = 0) -> dict[str, int]:
    """Waits for the end; checks that the account adds up, and gives it."""
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    return account(said)


def account(said: str) -> dict[str, int]:
    (line,) = [line for line in said.splitlines() if line.startswith("spanline: offered")]
    offered, read = line.split("; ")[:2]
    found = {name.strip(): int(count.replace(",", "")) for name, count in re.findall(r"([a-z' ]+) ([\d,]+)", line)}
    assert found["offered"] == found["read"] + found["dropped"]
    assert re.match(r"read [\d,]+ = written", read), line
    assert found["read"] == sum(int(count.replace(",", "")) for count in re.findall(r"[\d,]*\d", read)[1:]), line
    assert offered.startswith("spanline: offered")
    return found


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> dict[str, int]:
    process.send_signal(number)
    begun = time.monotonic()
    found = end(process)
    assert time.monotonic() - begun < PROMPT
    return found


def segments(folder: Path) -> list[Path]:
    """Closed ones."""
    closed = [path for path in folder.glob("*.pcapng*") if path.suffix != ".part"]
    return sorted(closed, key=lambda path: path.name.rpartition("-")[2])


def frames_of(path: Path) -> list[bytes]:
    found = []
    for batch in spanline.open(path):
        octets = batch.buffers[0].tobytes()
        found += [octets[at : at + size] for at, size in batch.records[["offset", "captured_length"]].tolist()]
    return found


def all_frames(folder: Path) -> list[bytes]:
    return [frame for path in segments(folder) for frame in frames_of(path)]


def tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-n", "-r", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_what_was_sent_is_written(compression: str | None, tmp_path: Path) -> None:
    """tshark reads as many frames, of the length on the wire; statistics in the segment are those of the account."""
    options = ["--compress", compression] if compression else []
    with capturing(tmp_path / "out", *options) as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        found = stop(process, signal.SIGINT)
    assert (found["offered"], found["written"]) == (1000, 1000)
    (path,) = segments(tmp_path / "out")
    assert frames_of(path) == FRAMES
    assert [int(line) for line in tshark(path, "-T", "fields", "-e", "frame.len")] == list(map(len, FRAMES))
    capture = spanline.open(path)
    assert sum(map(len, capture)) == 1000
    interface = capture.interfaces[0]
    assert (interface.name, interface.link_type, interface.resolution) == (NEAR, 1, 1e-9)
    assert interface.os.startswith("Linux ")
    link = json.loads(subprocess.run(["ip", "-json", "link", "show", NEAR], capture_output=True, timeout=30).stdout)[0]
    mac, speed = (dict(interface.options)[code] for code in (6, 8))
    assert mac.hex(":") == link["address"]
    assert int.from_bytes(speed, sys.byteorder) == 10**10  # as Linux' veth says of itself
    counted = {name: interface.statistics[name] for name in ("received", "accepted", "os_dropped", "delivered")}
    assert counted == {"received": 1000, "accepted": 1000, "os_dropped": 0, "delivered": 1000}
    said = subprocess.run(["capinfos", path], capture_output=True, text=True, timeout=60).stdout
    assert "Number of stat entries = 1" in said
    assert f"Name = {NEAR}" in said
    assert f"Capture application: spanline {spanline.__version__}" in re.sub(r" +", " ", said)


ROTATIONS = [
    (("--segment-packets", 300), [300, 300, 300, 100]),
    (("--segment-packets", 300, "--keep", 2), [300, 100]),
    (("--segment-packets", 300, "--compress", "zstd"), [300, 300, 300, 100]),
]


@pytest.mark.parametrize(("options", "expected"), ROTATIONS)
def test_rotation(options: tuple[object, ...], expected: list[int], tmp_path: Path) -> None:
    with capturing(tmp_path / "out", *options) as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        assert stop(process)["written"] == 1000
    assert [len(frames_of(path)) for path in segments(tmp_path / "out")] == expected
    assert all_frames(tmp_path / "out") == FRAMES[-sum(expected) :]


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_service_that_starts_again_keeps_the_last_segments(compression: str | None, tmp_path: Path) -> None:
    """Also when it was killed; what was captured without --keep stays. The frames that are left are the last ones."""
    folder, options = tmp_path / "out", ["--compress", compression] if compression else []
    sent = []
    for turn, keeps in enumerate((False, True, True, True)):
        with capturing(folder, *options, "--segment-packets", 100, *(("--keep", 3) if keeps else ())) as process:
            wait_for("the socket", lambda: takes_frames(process.pid))
            before = set(segments(folder))
            sent.append(FRAMES[250 * turn : 250 * turn + 250])
            with Sender() as sender:
                sender.send(*sent[-1])
            wait_for("two segments", lambda: len(set(segments(folder)) - before) >= 2)  # noqa: B023
            if turn != 2:
                assert stop(process)["written"] == 250
    files = sorted(folder.iterdir())
    left = [frame for path in files for frame in frames_of(path)]
    assert len(files) == 3 + 3
    assert left == sent[0] + sent[3]


def test_size(tmp_path: Path) -> None:
    """No segment is larger than was asked for, and none so small that a frame more had room."""
    with capturing(tmp_path / "out", "--segment-size", "100K") as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        stop(process)
    sizes = [path.stat().st_size for path in segments(tmp_path / "out")]
    assert all(100 * 1024 - 1200 < size <= 100 * 1024 for size in sizes[:-1])
    assert all_frames(tmp_path / "out") == FRAMES


def test_an_idle_link_ends_a_segment(tmp_path: Path) -> None:
    with capturing(tmp_path / "out", "--segment-time", "0.5") as process:
        with Sender() as sender:
            for n in (0, 1):
                sender.send(*FRAMES[500 * n : 500 * n + 500])
                wait_for("the segment's end", lambda: len(segments(tmp_path / "out")) == n + 1)  # noqa: B023
        assert list((tmp_path / "out").glob("*.part")) == []
        assert stop(process)["written"] == 1000
    assert [frames_of(path) for path in segments(tmp_path / "out")] == [FRAMES[:500], FRAMES[500:]]


def test_bytes_per_packet(tmp_path: Path) -> None:
    with capturing(tmp_path / "out", "--bytes-per-packet", 64) as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        stop(process)
    (path,) = segments(tmp_path / "out")
    assert frames_of(path) == [frame[:64] for frame in FRAMES]
    assert [int(line) for line in tshark(path, "-T", "fields", "-e", "frame.len")] == list(map(len, FRAMES))


@pytest.mark.parametrize("count", [1, 2, 333, 1000])
def test_bytes_per_session(count: int, tmp_path: Path) -> None:
    """It ends with the frame that makes it so many bytes, and by itself; the next frame would be one too many."""
    most = sum(map(len, FRAMES[:count]))
    with capturing(tmp_path / "out", "--bytes-per-session", most) as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        found = end(process)
    assert all_frames(tmp_path / "out") == FRAMES[:count]
    assert found["written"] == count
    assert found.get("behind the session's end", 0) == found["read"] - count


def test_time_limit(tmp_path: Path) -> None:
    begun = time.monotonic()
    with capturing(tmp_path / "out", "--time-limit", 1) as process:
        with Sender() as sender:
            sender.send(*FRAMES)
        assert end(process)["written"] == 1000
    assert time.monotonic() - begun >= 1
    assert all_frames(tmp_path / "out") == FRAMES


OTHERS = [bytes(ethernet() / ipv4() / tcp(1000 + n, 80)) for n in range(50)]


@pytest.mark.parametrize(
    ("filter", "filtered", "offered"), [("udp", 0, 1000), ("udp or vlan", 50, 1050)], ids=["kernel", "later"]
)
def test_filter(filter: str, filtered: int, offered: int, tmp_path: Path) -> None:
    """In the kernel, what is left out is counted nowhere; where that cannot be, after it was read."""
    with capturing(tmp_path / "out", "--filter", filter) as process:
        with Sender() as sender:
            sender.send(*OTHERS, *FRAMES)
        found = stop(process)
    assert all_frames(tmp_path / "out") == FRAMES
    assert (found["offered"], found.get("filtered out", 0)) == (offered, filtered)
    capture = spanline.open(segments(tmp_path / "out")[0])
    assert sum(map(len, capture)) == 1000
    assert capture.interfaces[0].filter == filter
    assert ("received" in capture.interfaces[0].statistics) == bool(filtered)
    assert ("accepted" in capture.interfaces[0].statistics) != bool(filtered)


def test_inner_filter(tmp_path: Path) -> None:
    """Outer headers are written, too."""
    outer = ethernet() / ipv4("10.9.9.1", "10.9.9.2") / udp(50000, 4789) / vxlan(7)
    wanted = [bytes(outer / ethernet() / ipv4() / tcp(1000 + n, 23)) for n in range(20)]
    others = [bytes(outer / ethernet() / ipv4() / tcp(1000 + n, 80)) for n in range(30)]
    with capturing(tmp_path / "out", "--inner-filter", "port 23") as process:
        with Sender() as sender:
            sender.send(*others, *wanted)
        found = stop(process)
    assert all_frames(tmp_path / "out") == wanted
    assert (found["written"], found["filtered out"]) == (20, 30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_an_idle_capture(number: int, tmp_path: Path) -> None:
    """Also without a frame there is a capture."""
    with capturing(tmp_path / "out") as process:
        assert stop(process, number)["written"] == 0
    (path,) = segments(tmp_path / "out")
    assert tshark(path) == []


@pytest.mark.parametrize("options", [(), ("--compress", "zstd", "--segment-packets", 5000)], ids=["plain", "zstd"])
def test_a_signal_ends_a_loaded_capture(options: tuple[object, ...], tmp_path: Path) -> None:
    with flood(), capturing(tmp_path / "out", *options) as process:
        time.sleep(1)
        found = stop(process)
    assert found["written"] > 1000
    assert set(all_frames(tmp_path / "out")) == {FRAMES[500]}
    assert (
        sum(len(tshark(path, "-T", "fields", "-e", "frame.len")) for path in segments(tmp_path / "out"))
        == (found["written"])
    )


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_killed(compression: str | None, tmp_path: Path) -> None:
    """At any moment: segments that were closed are what they were, and tshark reads all; at most one was open."""
    options = ["--compress", compression] if compression else []
    moments = random.Random(compression)
    for n in range(KILLS // 2):
        folder = tmp_path / str(n)
        with flood(), capturing(folder, "-q", "--segment-packets", 2000, *options) as process:
            time.sleep(moments.uniform(0, 0.6))
            before = {path.name: digest(path) for path in segments(folder)}
            process.kill()
            process.wait(30)
        after = {path.name: digest(path) for path in segments(folder)}
        assert before.items() <= after.items()
        closed = segments(folder)
        for path in closed[:1] + closed[-1:]:
            assert len(tshark(path, "-T", "fields", "-e", "frame.number")) == 2000
        open_ones = list(folder.glob("*.part"))
        assert len(open_ones) <= 2  # one may be on its way to the disk
        for path in open_ones:
            if path.stat().st_size:
                assert set(frames_of(path)) <= {FRAMES[500]}
        shutil.rmtree(folder)


def test_what_was_not_ended_is_told(tmp_path: Path) -> None:
    """And left as it is; what another capture is writing is not meant."""
    with flood(), capturing(tmp_path / "out", "-q") as process:
        process.kill()
        process.wait(30)
    (left,) = (tmp_path / "out").glob("*.part")
    before = digest(left)
    with capturing(tmp_path / "out", "-q"), capturing(tmp_path / "out", "--time-limit", 0.2) as process:
        said = process.communicate(timeout=60)[1]
    told = re.findall(r"^spanline: (.*): was not ended by what wrote it", said, re.M)
    assert told == [str(left)]
    assert digest(left) == before
    assert set(frames_of(left)) <= {FRAMES[500]}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


SMALL_DISK = "mount -t tmpfs -o size={size} none {folder} && {command} ; code=$?; cp {folder}/* {kept}; exit $code"


@pytest.mark.parametrize(
    ("options", "code"),
    [((), 2), (("--compress", "zstd"), 2), (("--keep", 50), 0), (("--keep", 50, "--compress", "lz4"), 0)],
    ids=["plain", "zstd", "keep", "keep-lz4"],
)
def test_disk_full(options: tuple[object, ...], code: int, tmp_path: Path) -> None:
    """A disk of 2 MiB: what fits is kept, and what it was is said; with --keep, the oldest segments go."""
    folder, kept = tmp_path / "disk", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()
    words = [*PROGRAM, "capture", NEAR, "-w", folder, "--allow-root", "--segment-size", "500K", "--time-limit", 2]
    command = " ".join(f"'{word}'" for word in (*words, *options))
    script = SMALL_DISK.format(size="2m", folder=folder, kept=kept, command=command)
    with (
        flood(FRAMES, pause=0.05),
        subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=subprocess.PIPE, text=True) as process,
    ):
        _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    found = account(said)
    files = segments(kept)
    frames = [frame for path in files for frame in frames_of(path)]
    assert set(frames) <= set(FRAMES)
    assert sum(len(tshark(path, "-T", "fields", "-e", "frame.len")) for path in files) == len(frames)
    assert not list(kept.glob("*.part"))
    assert 1_400_000 < sum(path.stat().st_size for path in files) <= 2 << 20
    if code:
        assert found["written"] == len(frames)
        assert found["not written"] > 0
        last = said.splitlines()[-1]
        assert "No space left on device; kept" in last
        assert f"{len(frames):,} frames in {len(files)} segments; make room" in last
    else:
        assert found["written"] > len(frames)
        assert "are deleted" in said


def test_the_folder_vanishes(tmp_path: Path) -> None:
    with flood(), capturing(tmp_path / "out", "--segment-packets", 500) as process:
        wait_for("a segment", lambda: len(segments(tmp_path / "out")) > 2)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "No such file or directory" in said.splitlines()[-1]
    assert account(said)["not written"] > 0


def test_served(tmp_path: Path) -> None:
    """Our own reader gets the frames that come after it has connected."""
    with capturing(tmp_path / "out", "--serve", "127.0.0.1:17001", "--segment-packets", 300) as process:
        reader = subprocess.Popen(
            [*PROGRAM, "packets", "tcp:127.0.0.1:17001", "-w", str(tmp_path / "read.pcapng")], stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        wait_for("the reader", lambda: "connected" in process.stderr.readline())  # type: ignore[union-attr]
        with Sender() as sender:
            sender.send(*FRAMES)
        assert stop(process)["written"] == 1000
        assert reader.wait(30) == 0, reader.stderr.read()  # type: ignore[union-attr]
        reader.stderr.close()  # type: ignore[union-attr]
    assert frames_of(tmp_path / "read.pcapng") == FRAMES


def test_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """Standard error is closed, or whoever read it went away: nothing of it is in a segment, and capturing goes on.

    Oracle: capinfos, and the frames that were sent.
    """
    for name, streams in (("closed", "2>&-"), ("left", "")):
        reader, writer = os.pipe()
        command = [*PROGRAM, "capture", NEAR, "-w", str(tmp_path / name), "--allow-root"]
        with subprocess.Popen(["sh", "-c", f'exec "$@" {streams}', "sh", *command], stderr=writer, cwd="/") as process:
            os.close(reader)
            os.close(writer)
            wait_for("the first segment", lambda folder=tmp_path / name: has_begun(folder))
            with Sender() as sender:
                sender.send(*FRAMES[:100])
                ip(f"link set {NEAR} down")
                time.sleep(1)  # until it would be said
                ip(f"link set {NEAR} up")
                sender.send(*FRAMES[100:200])
            process.terminate()
            assert process.wait(30) == 0
        (segment,) = segments(tmp_path / name)
        assert frames_of(segment) == FRAMES[:200]
        counted = subprocess.run(["capinfos", "-c", "-M", str(segment)], capture_output=True, text=True, timeout=60)
        assert counted.stdout.split()[-1] == "200", counted.stderr


def test_errors(tmp_path: Path) -> None:
    """One line each."""
    (tmp_path / "file").touch()
    for arguments, message in (
        ((NEAR,), "nothing to do with the frames"),
        ((NEAR, "--serve", "1", "--keep", "3"), "no segments without a folder"),
        ((NEAR, "-w", tmp_path / "file"), "is a file"),
        ((NEAR, "-w", tmp_path / "file" / "below"), "cannot make"),
        ((NEAR, "-w", "-"), "written into a folder; into one file, or a pipe: spanline packets live:IFACE -w -"),
        ((NEAR, "-w", tmp_path / "out.pcap"), "segments are written into a folder"),
        ((NEAR, "-w", tmp_path / "out", "--keep-size", "1M"), "no room for two segments"),
        ((NEAR, "-w", tmp_path / "out", "-f", "tpc"), "filter 'tpc'"),
        (("nowhere0", "-w", tmp_path / "out"), "nowhere0"),
    ):
        said = run("capture", *arguments, code=2).output
        assert message in said
        assert said.startswith("spanline: ")
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
