"""Pipes that stall and files that grow while they are read.

Oracle: the frames that another process or this one writes. What is read of a growing file is the beginning of it, whole
frame by whole frame, and everything if the writer is the faster.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import spanline
from spanline.sources import streams
from tests.commands import PROGRAM, question
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, STEP, Pcapng, Record, pcap
from tests.test_cli_processes import on_a_terminal

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")

NG = Pcapng()
COUNT = 3000
FRAMES = [Record(START + n * STEP, ethernet() / ipv4(identification=n) / udp() / bytes(n % 700)) for n in range(COUNT)]
DATA = {
    "pcap": pcap(FRAMES),
    "pcapng": NG.file(FRAMES),
    "gzip": b"".join(gzip.compress(pcap(FRAMES)[n : n + 50_000]) for n in range(0, len(pcap(FRAMES)), 50_000)),
}

# --- pipes that stall


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@contextlib.contextmanager
def reading(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [*PROGRAM, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_pipe_that_stalls_is_told_once_and_goes_on(fifo: Path) -> None:
    """Before its writer comes, and again in the middle of a frame; the frames are all there."""
    data = DATA["pcap"]
    with reading("flows", fifo, "--format", "json") as process:
        assert process.stderr
        assert process.stdout
        told = process.stderr.readline().decode()
        assert told == f"spanline: {fifo}: nothing came for 5 s, still waiting (Ctrl-C ends it)\n"
        with fifo.open("wb") as feed:
            feed.write(data[:50_001])
            feed.flush()
            time.sleep(6)
            feed.write(data[50_001:])
        flows = json.loads(process.stdout.read())
        assert sum(flow["source_packets"] for flow in flows) == COUNT
        assert (process.wait(30), process.stderr.read()) == (0, b"")


def test_who_wants_no_news_gets_none(fifo: Path) -> None:
    with reading("flows", "-q", fifo) as process:
        time.sleep(6)
        fifo.write_bytes(DATA["pcap"])
        assert (process.wait(30), process.stderr.read()) == (0, b"")  # type: ignore[union-attr]


def test_a_terminal_shows_that_it_waits(fifo: Path) -> None:
    def feed() -> None:
        time.sleep(2.5)
        fifo.write_bytes(pcap([question(0)]))

    feeder = threading.Thread(target=feed)
    feeder.start()
    code, shown = on_a_terminal("info", fifo)
    feeder.join()
    assert code == 0
    assert "waiting for " in shown
    assert "\x1b[2K" in shown  # a line that was drawn is cleared


@pytest.mark.parametrize("begun", [b"", DATA["pcap"][:10], DATA["pcap"][:70_000], DATA["gzip"][:40_000]])
def test_a_signal_ends_the_waiting(fifo: Path, tmp_path: Path, begun: bytes) -> None:
    """Whether the writer has come or not, and wherever it stopped."""
    (tmp_path / "out").mkdir()
    with reading("crunch", fifo, "-o", tmp_path / "out" / "flows.csv") as process:
        feed = None
        if begun:
            feed = os.open(fifo, os.O_WRONLY)
            os.write(feed, begun)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(30) == 130
        assert time.monotonic() - started < 1
        assert process.stderr.read() == b""  # type: ignore[union-attr]
        if feed is not None:
            os.close(feed)
    assert list((tmp_path / "out").iterdir()) == []


# --- files that grow

WRITER = """if True:
    import random, sys, time
    source, target, seed, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    chance, data = random.Random(seed), open(source, "rb").read()
    with open(target, "wb", buffering=0) as file:
        at = 0
        while at < len(data):
            size = chance.choice((1, 7, 100, 4096, 65536))
            file.write(data[at : at + size])
            at += size
            if at > 30000:
                print(flush=True)
            time.sleep(pause * chance.random())
"""


def identifications(path: Path) -> tuple[list[int], list[str]]:
    numbers: list[int] = []
    capture = spanline.open(path)
    for batch in capture:
        numbers += batch.packets["ip_id"].tolist()
    return numbers, [problem.kind for problem in capture.problems]


@pytest.mark.parametrize("format", DATA)
@pytest.mark.parametrize("seed", range(3))
def test_a_file_that_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, seed: int
) -> None:
    """Odd pieces, cutting records anywhere; the writer is on its way when reading begins."""
    monkeypatch.setattr(streams, "_PATIENCE", 5.0)  # a busy machine may stop the writer for longer than people would
    (tmp_path / "source").write_bytes(DATA[format])
    command = [sys.executable, "-c", WRITER, tmp_path / "source", tmp_path / "growing", str(seed), "0.002"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        numbers, problems = identifications(tmp_path / "growing")
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 0
        assert problems == []  # cut records were waited for
        writer.stdout.read()
    assert identifications(tmp_path / "growing") == (list(range(COUNT)), [])


@pytest.mark.parametrize("format", DATA)
def test_a_writer_that_is_faster(tmp_path: Path, format: str) -> None:
    """The file grows while its first batch is in the hands of the caller: all of it is read."""
    data, path, numbers = DATA[format], tmp_path / "growing", []
    path.write_bytes(data[: len(data) // 2])
    capture = spanline.open(path)
    for n, batch in enumerate(capture):
        numbers += batch.packets["ip_id"].tolist()
        if n == 0:
            with path.open("ab") as file:
                file.write(data[len(data) // 2 :])
    assert (numbers, capture.problems) == (list(range(COUNT)), [])


@pytest.mark.parametrize("format", DATA)
def test_a_writer_that_stops_in_a_record(tmp_path: Path, format: str) -> None:
    """Reading does not wait for ever for the rest, and says who is to blame."""
    data, path, numbers = DATA[format], tmp_path / "growing", []
    path.write_bytes(data[: len(data) // 2])
    capture = spanline.open(path)
    started = time.monotonic()
    for n, batch in enumerate(capture):
        numbers += batch.packets["ip_id"].tolist()
        if n == 0:
            with path.open("ab") as file:
                file.write(data[len(data) // 2 : -5])
    assert time.monotonic() - started < 5
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= COUNT - 1 if format != "gzip" else len(numbers) > COUNT // 2
    assert [problem.kind for problem in capture.problems] == ["truncated"]
    assert "writer has not finished" in capture.problems[0].what


def test_a_cut_file_that_nobody_writes_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(DATA["pcap"][:-5])
    os.utime(tmp_path / "cut", (0, time.time() - 5))
    started = time.monotonic()
    for _ in range(100):
        assert identifications(tmp_path / "cut")[1] == ["truncated"]
    assert time.monotonic() - started < 100 * streams._PATIENCE


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    """As rotation by copying and truncating does."""
    path, numbers = tmp_path / "shrinking", []
    path.write_bytes(DATA["pcap"])
    for batch in spanline.open(path):
        numbers += batch.packets["ip_id"].tolist()
        os.truncate(path, 100)
    assert numbers == list(range(len(numbers)))
